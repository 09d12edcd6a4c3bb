"""Takes the digest of the image that was pushed, and that of its bill of materials where there is one.

To be run where `take.py` has put the files of the jobs `build-image` and `sbom-image`. Writes `image-sbom.cdx.json`,
and `image.env` for later jobs. Ends with 1 and a line where there is something else than one digest and JSON.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from scripts.plain_files import clear, content, write
from scripts.unambiguous_json import ODD, read

DIGEST = re.compile(rb"(sha256:[0-9a-f]{64})\n?")


def main() -> None:
    """Write the digests."""
    found = DIGEST.fullmatch(content(Path(".from-build-image/1/image.digest")))
    if not found:
        sys.exit("image.digest is not one digest.")
    lines = [f"PY_CI_IMAGE_DIGEST={found[1].decode()}\n"]
    clear(Path("image-sbom.cdx.json"))
    if Path(".from-sbom-image/1").exists():
        bill = content(Path(".from-sbom-image/1/image-sbom.cdx.json"))
        try:
            read(bill)
        except ODD as problem:
            sys.exit(f"image-sbom.cdx.json is not JSON: {problem}")
        write(Path("image-sbom.cdx.json"), bill)
        lines.append(f"PY_CI_IMAGE_SBOM_DIGEST={hashlib.sha256(bill).hexdigest()}\n")
    print("".join(lines), end="")
    write(Path("image.env"), "".join(lines))


if __name__ == "__main__":
    main()
