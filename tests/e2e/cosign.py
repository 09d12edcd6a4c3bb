"""Finds Cosign, or builds it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import yaml
from filelock import FileLock

from tests.baked import run
from tests.conftest import need
from tests.pipeline import component


def pinned_version() -> str:
    """Return the version that the component pins."""
    _, jobs = yaml.safe_load_all(component("cosign"))
    return str(jobs["cosign"]["variables"]["COSIGN_VERSION"])


def find_cosign(cache: Path) -> Path:
    """Return a Cosign 3: one on PATH, or else the pinned one, which Go builds into a folder that outlives the tests."""
    on_path = shutil.which("cosign")
    if on_path:
        said = subprocess.run([on_path, "version", "--json"], capture_output=True, encoding="utf-8").stdout
        if said.startswith("{") and json.loads(said)["gitVersion"].startswith("v3."):
            return Path(on_path)
    folder = cache / pinned_version()
    with FileLock(cache / "lock"):
        if not (folder / "cosign").exists():
            go = need("go", "install Go, which builds Cosign, or install Cosign 3")
            source = f"github.com/sigstore/cosign/v3/cmd/cosign@{pinned_version()}"
            run(go, "install", source, env={**os.environ, "GOBIN": str(folder)})
    return folder / "cosign"
