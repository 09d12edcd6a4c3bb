"""Where a project's messages are explained."""

from __future__ import annotations

import re
from pathlib import Path


def explained_in(project: Path) -> str:
    """Return the document about messages that the pipeline of a project names, or where the template has it."""
    file = project / ".gitlab-ci.yml"
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    found = re.search(r'^  PY_CI_TROUBLESHOOTING: "([!-~]+)"$', text, re.MULTILINE)
    return found[1] if found else "py-ci-template/docs/troubleshooting.md"
