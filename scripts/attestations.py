"""Reads what attestations say."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any


def unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; raise ValueError for a name that it has twice, of which readers take either."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a name twice")
    return found


def read(text: bytes) -> Any:
    """Return what JSON says; raise ValueError where it is none, or is ambiguous."""
    return json.loads(text, object_pairs_hook=unambiguous)


def predicate(payload: str) -> Any:
    """Return the predicate of a statement, as an envelope has it: https://in-toto.io/Statement/v1"""
    return read(base64.b64decode(payload))["predicate"]


def source(provenance: Any) -> str:
    """Return the repository, tag and commit that a provenance names."""
    (dependency,) = provenance["buildDefinition"]["resolvedDependencies"]
    return f"{dependency['uri']} at {dependency['digest']['gitCommit']}"


def our_source() -> str:
    """Return those of this pipeline, as the job cosign wrote them down."""
    return source(read(Path(".cosign/provenance.json").read_bytes()))
