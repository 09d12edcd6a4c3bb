"""Writes the programs of this folder into the components that run them: `python -m scripts`.

A component is one file that works by itself, so that it can be included from anywhere. The text of a program stands
in it between two marks, `# >>> scripts/NAME` and `# <<< scripts/NAME`; a test finds one that is out of date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).resolve().parents[1]
PART = re.compile(r"^( *)# >>> (scripts/[\w.-]+)\n.*?^\1# <<< \2$", re.MULTILINE | re.DOTALL)
# What a program takes from another of this folder stands in its place: a job has one file.
IMPORT = re.compile(r"^from (scripts)\.(\w+) import .+\n", re.MULTILINE)
PROLOGUE = re.compile(r'\A""".*?"""\n|^from __future__ import annotations\n', re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    """Return the text of a program, with that of each module from which it imports, and single blank lines."""
    taken: set[str] = set()

    def whole(name: str) -> str:
        return IMPORT.sub(imported, (ROOT / name).read_text(encoding="utf-8"))

    def imported(found: re.Match[str]) -> str:
        name = f"scripts/{found[2]}.py"
        if name in taken:
            return ""
        taken.add(name)
        return PROLOGUE.sub("", whole(name)).strip() + "\n"

    return re.sub(r"\n{3,}", "\n\n", whole(name))


def brought_up_to_date(component: str) -> str:
    """Return the text of a component with its programs as they are now."""

    def part(found: re.Match[str]) -> str:
        margin, name = found.groups()
        return indent(f"# >>> {name}\n{text_of(name)}# <<< {name}", margin)

    return PART.sub(part, component)


def main() -> int:
    """Write every program; say which components changed."""
    for component in sorted((ROOT / "templates").glob("*.yml")):
        old = component.read_text(encoding="utf-8")
        new = brought_up_to_date(old)
        if new != old:
            component.write_text(new, encoding="utf-8")
            print(f"{component.relative_to(ROOT)} is up to date now.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
