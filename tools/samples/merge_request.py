"""The branch of the merge request in the tutorial: what a person changes in it, as the text says."""

from __future__ import annotations

import re
from pathlib import Path

from tools.documents import block, page
from tools.template import edit

_, _, STEP = page("docs/tutorial.md").partition("## 5. Open a merge request\n")
BRANCH = "debug"
APP = "src/my_service/app.py"


def break_a_test(project: Path) -> None:
    """Change a project so that a test fails, ruff has a finding, and no test reaches a line."""
    before, _, _ = STEP.partition("<!-- open -->")
    turn(before, project)
    app = project / APP
    app.write_text(
        f"{app.read_text(encoding='utf-8')}\n\n{block(before, 'Add to the end', 'python')}", encoding="utf-8"
    )


def fix_it(project: Path) -> None:
    """Change it so that its tests and `lint` pass."""
    fix, _, _ = STEP.partition("<!-- open -->")[2].partition("<!-- fix -->")
    turn(fix, project)


def turn(text: str, project: Path) -> None:
    """Do what a text says: in a file, turn one thing into another."""
    found = re.findall(r"In `(\S+)`, turn `(.+?)` into `(.+?)`", " ".join(text.split()))
    assert found
    for name, old, new in found:
        edit(project / name, old, new)
