"""The machine of somebody who installs a release, and trusts nobody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tools.commands import run


def make_venv(folder: Path, python: Path, cache: Mapping[str, str]) -> None:
    """Make an environment with pip; `python -m venv` takes seconds to unpack a pip that it also brings."""
    run("uv", "venv", "--quiet", "--seed", "--python", python, folder, env={**os.environ, **cache})
