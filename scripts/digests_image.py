"""Takes the digest of the image that was pushed, and that of its bill of materials where there is one.

To be run where the artifacts of the jobs `build-image` and `sbom-image` are. Writes `image.env` for later jobs. Ends
with 1 and a line where there is something else than one digest and a plain file of JSON.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

from scripts.plain_files import content, write
from scripts.unambiguous_json import ODD, read

DIGEST = re.compile(rb"(sha256:[0-9a-f]{64})\n?")


def main() -> None:
    """Write the digests."""
    found = DIGEST.fullmatch(content(Path("image.digest")))
    if not found:
        sys.exit("image.digest is not one digest.")
    lines = [f"PY_CI_IMAGE_DIGEST={found[1].decode()}\n"]
    if os.path.lexists("image-sbom.cdx.json"):
        bill = content(Path("image-sbom.cdx.json"))
        try:
            read(bill)
        except ODD as problem:
            sys.exit(f"image-sbom.cdx.json is not JSON: {problem}")
        lines.append(f"PY_CI_IMAGE_SBOM_DIGEST={hashlib.sha256(bill).hexdigest()}\n")
    print("".join(lines), end="")
    write(Path("image.env"), "".join(lines))


if __name__ == "__main__":
    main()
