"""Names the paragraph of the documents about a message."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def paragraph(name: str) -> str:
    """Return the address of a paragraph of docs/troubleshooting.md, as a person can click it."""
    return f"See {os.environ.get('PY_CI_TROUBLESHOOTING') or 'py-ci-template/docs/troubleshooting.md'}#{name}"


def give_up(name: str, message: str) -> NoReturn:
    """End the program with a message, below the address of the paragraph about it."""
    sys.exit(f"{paragraph(name)}\n{message}")
