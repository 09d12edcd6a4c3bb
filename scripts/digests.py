"""Takes the digests of the distributions and of the bill of materials of a release, and opens none of them as code.

To be run where the artifacts of the jobs `build` and `sbom` are. Writes `SHA256SUMS`, and `digests.env` for later jobs.
Ends with 1 and a line where there is something else than one source distribution and wheels of the package and the tag,
all of them plain files, and a bill in JSON.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

from scripts.plain_files import content, write
from scripts.unambiguous_json import ODD, read

PACKAGE = os.environ["PY_CI_PACKAGE_NAME"]
VERSION = os.environ["CI_COMMIT_TAG"].removeprefix(f"{PACKAGE}-").removeprefix("v")
# https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention
WHEEL = re.compile(r"([A-Za-z0-9][\w.]*)-([^-]+)(-\d[^-]*)?(-[\w.]+){3}\.whl", re.ASCII)
# https://packaging.python.org/en/latest/specifications/source-distribution-format/#source-distribution-file-name
SDIST = re.compile(r"([A-Za-z0-9][\w.-]*)-([^-]+)\.tar\.gz", re.ASCII)


def normalized(name: str) -> str:
    """Return the one spelling of a package's name: https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(folder: Path) -> dict[str, bytes]:
    """Return the distributions in a folder by name; end the program where there is anything else."""
    if folder.is_symlink() or not folder.is_dir():
        sys.exit(f"{folder} is not a folder.")
    names = sorted(file.name for file in folder.iterdir())
    for name in names:
        found = WHEEL.fullmatch(name) or SDIST.fullmatch(name)
        if not found or normalized(found[1]) != normalized(PACKAGE) or found[2] != VERSION:
            sys.exit(f"{name!r} is no distribution of {PACKAGE} {VERSION}.")
    kinds = sorted(name.endswith(".whl") for name in names)
    if kinds[:2] != [False, True]:
        sys.exit(f"There are no wheel and one source distribution, but {names}.")
    return {name: content(folder / name) for name in names}


def main() -> None:
    """Write the sums and the digests."""
    sums = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in distributions(Path("dist")).items()
    )
    bill = content(Path("sbom.cdx.json"))
    try:
        read(bill)
    except ODD as problem:
        sys.exit(f"sbom.cdx.json is not JSON: {problem}")
    print(sums, end="")
    write(Path("SHA256SUMS"), sums)
    # Later jobs compare what they get with these.
    digests = {"SHA256SUMS": sums.encode(), "SBOM": bill}
    lines = [f"PY_CI_{name}_DIGEST={hashlib.sha256(data).hexdigest()}\n" for name, data in digests.items()]
    write(Path("digests.env"), "".join(lines))


if __name__ == "__main__":
    main()
