"""What several processes need alike is made by the first of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

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
