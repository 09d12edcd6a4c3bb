"""Packs source distributions again, so that the same files give the same bytes.

setuptools keeps the time and the user of the build in them: pypa/setuptools#2133. Takes their paths, and from
SOURCE_DATE_EPOCH, in seconds, the time that all files get.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
from pathlib import Path


def packed(content: bytes, epoch: int) -> bytes:
    """Return an archive with the same files, of nobody and of one time, in the order of their names."""
    archive, result = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as old, tarfile.open(fileobj=archive, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            file = old.extractfile(member) if member.isfile() else None
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
            member.mtime, member.pax_headers = epoch, {}
            new.addfile(member, file)
    with gzip.GzipFile("", "wb", fileobj=result, mtime=epoch) as compressed:
        compressed.write(archive.getvalue())
    return result.getvalue()


def main() -> None:
    """Pack each of them."""
    for sdist in map(Path, sys.argv[1:]):
        sdist.write_bytes(packed(sdist.read_bytes(), int(os.environ["SOURCE_DATE_EPOCH"])))


if __name__ == "__main__":
    main()
