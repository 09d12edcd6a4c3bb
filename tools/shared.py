"""What several processes need alike is made, or checked, by the first of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return a folder that whoever asks first makes; the others wait until it is complete."""
    made = Path(f"{folder}.made")
    with FileLock(f"{folder}.lock"):
        if not made.exists():
            # Whoever tried before has failed.
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder


def checked_once(folder: Path, contents: Mapping[str, str], check: Callable[[], object]) -> None:
    """Check files that several projects may have alike, where none with the same contents has passed yet."""
    passed = folder / f"{digest(contents)}.passed"
    if not passed.exists():
        check()
        passed.touch()


def digest(value: Any) -> str:
    """Return a short name for a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
