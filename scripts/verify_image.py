"""Compares what the provenance of an image says with this pipeline's tag and commit.

Takes the file with the envelopes that Cosign has verified, one in a line. Ends with 1 and a line where one differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.attestations import our_source, predicate, read, source


def main() -> None:
    """Compare; end the program with what differs."""
    ours = our_source()
    for line in Path(sys.argv[1]).read_bytes().splitlines():
        said = source(predicate(read(line)["payload"]))
        if said != ours:
            sys.exit(f"An attestation says that the image was made from {said}; this is {ours}")
    print(f"The image was made from {ours}")


if __name__ == "__main__":
    main()
