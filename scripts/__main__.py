"""Writes the programs and locks of this folder into the components that use them: `python -m scripts`.

A component is one file that works by itself, so that it can be included from anywhere. The text of a program stands
in it between two marks, `# >>> scripts/NAME` and `# <<< scripts/NAME`; a test finds one that is out of date.

With `--lock`, it first locks anew what `locks/pyproject.toml` asks for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "scripts" / "locks"
PART = re.compile(r"^( *)# >>> (scripts/[\w./-]+)\n.*?^\1# <<< \2$", re.MULTILINE | re.DOTALL)
# What a program takes from another of this folder stands in its place: a job has one file.
IMPORT = re.compile(r"^from (scripts)\.(\w+) import .+\n", re.MULTILINE)
PROLOGUE = re.compile(r'\A""".*?"""\n|^from __future__ import annotations\n', re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    """Return the text of a part, with that of the locks and modules that it takes in, and single blank lines."""
    taken: set[str] = set()

    def whole(name: str) -> str:
        return IMPORT.sub(imported, (ROOT / name).read_text(encoding="utf-8"))

    def imported(found: re.Match[str]) -> str:
        name = f"scripts/{found[2]}.py"
        if name in taken:
            return ""
        taken.add(name)
        return PROLOGUE.sub("", whole(name)).strip() + "\n"

    return brought_up_to_date(re.sub(r"\n{3,}", "\n\n", whole(name)))


def brought_up_to_date(text: str) -> str:
    """Return the text of a component, or of a part of one, with the parts in it as they are now."""

    def part(found: re.Match[str]) -> str:
        margin, name = found.groups()
        return indent(f"# >>> {name}\n{text_of(name)}# <<< {name}", margin)

    return PART.sub(part, text)


def lock() -> None:
    """Lock every group, with the newest of what its tool needs."""
    pyproject = LOCKS / "pyproject.toml"
    options = ("--quiet", "--no-annotate", "--no-header")
    with TemporaryDirectory() as folder:
        shutil.copy(pyproject, folder)
        for group in tomllib.loads(pyproject.read_text(encoding="utf-8"))["dependency-groups"]:
            given = ("--project", folder, "--only-group", group, "--output-file", LOCKS / f"{group}.txt")
            subprocess.run(["uv", "export", *options, *given], check=True)


def main() -> int:
    """Write every part; say which components changed."""
    if sys.argv[1:] == ["--lock"]:
        lock()
    for component in sorted((ROOT / "templates").glob("*.yml")):
        old = component.read_text(encoding="utf-8")
        new = brought_up_to_date(old)
        if new != old:
            component.write_text(new, encoding="utf-8")
            print(f"{component.relative_to(ROOT)} is up to date now.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
