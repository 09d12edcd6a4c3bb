"""Builds a wheel for an editable install, https://peps.python.org/pep-0660/, with one start of the build backend.

uv starts it three times, one after the other. Where this ends with an error, uv builds the package.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from functools import reduce
from pathlib import Path

# Where the backend goes, and the wheel.
BACKEND, WHEELS = Path(".venv", "backend").absolute(), Path(".venv", "wheels").absolute()


def main() -> None:
    """Install the build backend beside the environment, and have it build."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    system = project["build-system"]
    # uv may be told how to build it.
    if "backend-path" in system or "uv" in project.get("tool", {}):
        sys.exit(1)
    subprocess.run(["uv", "pip", "install", f"--target={BACKEND}", "--", *system["requires"]], check=True)
    WHEELS.mkdir()
    # For what the backend starts.
    os.environ.update(PYTHONPATH=str(BACKEND), PATH=f"{BACKEND / 'bin'}{os.pathsep}{os.environ['PATH']}")
    sys.path.insert(0, str(BACKEND))
    module, _, names = system["build-backend"].partition(":")
    backend = reduce(getattr, filter(None, names.split(".")), importlib.import_module(module))
    if hasattr(backend, "get_requires_for_build_editable") and backend.get_requires_for_build_editable():
        sys.exit(1)
    backend.build_editable(str(WHEELS))


if __name__ == "__main__":
    main()
