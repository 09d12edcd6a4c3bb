"""Reads and writes files where other code may have put something else than a file."""

from __future__ import annotations

import shutil
import stat
import sys
from pathlib import Path


def content(file: Path) -> bytes:
    """Return what is in a file; end the program where it is a link, a folder or a device, or is not there."""
    try:
        if stat.S_ISREG(file.lstat().st_mode):
            return file.read_bytes()
    except OSError as problem:
        sys.exit(f"{file} cannot be read: {problem.strerror}")
    sys.exit(f"{file} is not a plain file.")


def clear(path: Path) -> None:
    """Remove what stands in a place, but not what a link there leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write(file: Path, text: str | bytes) -> None:
    """Write a new file in the place of what stands there."""
    clear(file)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
