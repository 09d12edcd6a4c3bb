"""Reads JSON that others wrote."""

from __future__ import annotations

import json
from typing import Any

# What reading may raise, and using what was read.
ODD = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; raise ValueError for a name that it has twice, of which readers take either."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a name twice")
    return found


def read(text: bytes) -> dict[str, Any]:
    """Return an object of JSON; raise one of ODD where it is none, or is ambiguous."""
    found = json.loads(text, object_pairs_hook=unambiguous)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return found
