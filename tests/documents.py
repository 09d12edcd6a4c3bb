"""The documents of the template, and the commands in them."""

from __future__ import annotations

import re
from textwrap import dedent

from tests.options import ROOT

SIGNING = (ROOT / "docs" / "signing.md").read_text(encoding="utf-8")
IMAGE = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")
WORKSHOP = (ROOT / "docs" / "workshop.md").read_text(encoding="utf-8")


def block(document: str, before: str) -> str:
    """Return the shell commands of the first code block after a text."""
    found = re.search(rf"{re.escape(before)}.*?^( *)```sh\n(.*?)^\1```$", document, re.MULTILINE | re.DOTALL)
    assert found, before
    return dedent(found[2])
