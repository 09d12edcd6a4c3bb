"""Takes the digests of the distributions and of the bill of materials of a release, and opens none of them as code.

To be run where `take.py` has put the files of the jobs `build` and `sbom`. Writes `dist`, `sbom.cdx.json`,
`SHA256SUMS`, and `digests.env` for later jobs. Ends with 1 and a line where there is something else than one source
distribution and wheels of the package and the tag, and a bill in JSON.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from scripts.plain_files import clear, content, write
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


def distributions(files: Iterable[Path]) -> dict[str, bytes]:
    """Return the contents of the distributions by name, sorted; end the program where there is anything else."""
    contents: dict[str, bytes] = {}
    for file in sorted(files, key=lambda file: file.name):
        parts = WHEEL.fullmatch(file.name) or SDIST.fullmatch(file.name)
        if not parts or normalized(parts[1]) != normalized(PACKAGE) or parts[2] != VERSION:
            sys.exit(f"{file.name!r} is no distribution of {PACKAGE} {VERSION}.")
        # Where `build` is a matrix, each of its jobs may have made the source distribution.
        if contents.setdefault(file.name, content(file)) != content(file):
            sys.exit(f"Two jobs have made {file.name}, and not the same one.")
    kinds = sorted(name.endswith(".whl") for name in contents)
    if kinds[:2] != [False, True]:
        sys.exit(f"There are no wheel and one source distribution, but {list(contents)}.")
    return contents


def main() -> None:
    """Write the files, the sums and the digests."""
    files = distributions(Path(".from-build").glob("*/dist/*"))
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    bill = content(Path(".from-sbom/1/sbom.cdx.json"))
    try:
        read(bill)
    except ODD as problem:
        sys.exit(f"sbom.cdx.json is not JSON: {problem}")
    print(sums, end="")
    clear(Path("dist"))
    Path("dist").mkdir()
    for name, data in files.items():
        write(Path("dist", name), data)
    write(Path("sbom.cdx.json"), bill)
    write(Path("SHA256SUMS"), sums)
    # Later jobs compare what they get with these.
    digests = {"SHA256SUMS": sums.encode(), "SBOM": bill}
    lines = [f"PY_CI_{name}_DIGEST={hashlib.sha256(data).hexdigest()}\n" for name, data in digests.items()]
    write(Path("digests.env"), "".join(lines))


if __name__ == "__main__":
    main()
