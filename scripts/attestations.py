"""Reads what attestations say."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from scripts.unambiguous_json import read

# Of a bundle with an attestation. Cosign also takes older forms, and skips what it does not know: two readers of one
# file would read two statements there.
BUNDLE = {"mediaType", "verificationMaterial", "dsseEnvelope"}


def predicate(payload: str) -> Any:
    """Return the predicate of a statement, as an envelope has it: https://in-toto.io/Statement/v1"""
    return read(base64.b64decode(payload, validate=True))["predicate"]


def attested(bundle: Path) -> Any:
    """Return the predicate that a bundle attests, in the form that these jobs make; raise an error for another."""
    found = read(bundle.read_bytes())
    if found.keys() != BUNDLE:
        raise ValueError("it is not such a bundle as the job sign makes")
    return predicate(found["dsseEnvelope"]["payload"])


def source(provenance: Any) -> str:
    """Return the repository, tag and commit that a provenance names."""
    (dependency,) = provenance["buildDefinition"]["resolvedDependencies"]
    return f"{dependency['uri']} at {dependency['digest']['gitCommit']}"


def our_source() -> str:
    """Return those of this pipeline, as the job cosign wrote them down."""
    return source(read(Path(".cosign/provenance.json").read_bytes()))
