"""Renders the template in the current folder with each set of answers on standard input, as a user without rights.

The last line of what it prints has for each the files of the project with their numbers in git, or why there are none.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cookiecutter.generate import generate_context, generate_files
from cookiecutter.prompt import prompt_for_config


def blob(content: bytes) -> str:
    """Return the number that git gives to the content of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def render(answers: dict[str, Any]) -> dict[str, str]:
    """Return the files of a project that is made with these answers, but for its link to the template."""
    context = generate_context("cookiecutter.json", extra_context=answers)
    context["cookiecutter"] = prompt_for_config(context, no_input=True)
    with TemporaryDirectory() as folder:
        made = Path(generate_files(repo_dir=".", context=context, output_dir=folder))
        files = {path.relative_to(made): path for path in made.rglob("*") if path.is_file() and not path.is_symlink()}
        return {
            name.as_posix(): blob(path.read_bytes())
            for name, path in sorted(files.items())
            if name.parts[0] != ".git" and name != Path(".cruft.json")
        }


def main() -> None:
    """Render all."""
    found: list[Any] = []
    # Where the template has its filters.
    sys.path.insert(0, str(Path.cwd()))
    for answers in json.load(sys.stdin):
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                found.append(render(answers))
        except (Exception, SystemExit) as error:
            found.append(f"not compared: the template refuses the answers ({type(error).__name__})")
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
