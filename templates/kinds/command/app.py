"""The command line: greets a person by name."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

PROGRAM = "{{ cookiecutter.project_slug }}"


def greet(name: str) -> str:
    """Return a greeting for a person.

    Raises:
        ValueError: The name is blank.
    """
    name = name.strip()
    if not name:
        raise ValueError("the name is blank")
    return f"Hello, {name}!"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 is success, 1 a name that cannot be greeted; argparse itself exits with 2 on wrong usage.
    """
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Greet a person by name.")
    parser.add_argument("name", nargs="?", default="world", help="whom to greet (%(default)s)")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version(PROGRAM)}")
    options = parser.parse_args(arguments)
    try:
        print(greet(options.name))
    except ValueError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    return 0
