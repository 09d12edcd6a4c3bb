"""The documents of the template, and the commands in them."""

from __future__ import annotations

import re
from textwrap import dedent

from tests.options import ROOT

SIGNING = (ROOT / "docs" / "signing.md").read_text(encoding="utf-8")
ADOPTING = (ROOT / "docs" / "adopting.md").read_text(encoding="utf-8")
IMAGE = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")


def block(document: str, before: str, language: str = "sh") -> str:
    """Return the first code block of a language after a text: shell commands, if not said otherwise."""
    found = re.search(rf"{re.escape(before)}.*?^( *)```{language}\n(.*?)^\1```$", document, re.MULTILINE | re.DOTALL)
    assert found, before
    return dedent(found[2])
