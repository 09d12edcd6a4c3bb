"""Names the files of a release, which follow from its sums."""

from __future__ import annotations

from pathlib import Path

SUMS, BILL = Path("SHA256SUMS"), Path("sbom.cdx.json")
PROVENANCE, OF_BILL = ".provenance.sigstore.json", ".sbom.sigstore.json"


def signatures() -> list[Path]:
    """Return the files of all signatures and attestations, in the order of the sums."""
    names = [line.partition("  ")[2] for line in SUMS.read_text(encoding="utf-8").splitlines()]
    kinds = (".sigstore.json", PROVENANCE, OF_BILL)
    found = ["SHA256SUMS.sigstore.json", *(f"{name}{kind}" for name in names for kind in kinds)]
    return [Path("signatures", name) for name in found]
