"""Compares what the attestations of an image say with this pipeline's tag and commit, and with its bill of materials.

Takes two files with the envelopes that Cosign has verified, one in a line: those with provenance, and those with bills.
Ends with 1 and a line where there is none, or one differs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from scripts.attestations import our_source, predicate, source
from scripts.unambiguous_json import ODD, read


def predicates(file: str) -> list[Any]:
    """Return what the envelopes in a file say."""
    return [predicate(read(line)["payload"]) for line in Path(file).read_bytes().splitlines() if line.strip()]


def main() -> None:
    """Compare; end the program with what differs."""
    ours = our_source()
    try:
        sources, bills = [source(said) for said in predicates(sys.argv[1])], predicates(sys.argv[2])
        bill = read(Path("image-sbom.cdx.json").read_bytes())
    except (*ODD, OSError) as odd:
        sys.exit(f"An attestation or the bill of materials cannot be read: {odd!r}")
    for said in sources:
        if said != ours:
            sys.exit(f"An attestation says that the image was made from {said}; this is {ours}")
    # A second run of the pipeline attests the bill of its day.
    if not sources or bill not in bills:
        sys.exit(
            "No attestation has the bill of materials of this pipeline, or none says what the image was made from."
        )
    print(f"The image was made from {ours}")


if __name__ == "__main__":
    main()
