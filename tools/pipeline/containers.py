"""Knows the containers and volumes of a run by a label, so that none is left when it ends."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

# podman 4 removes none of several containers where one is gone already, as gitlab-ci-local asks it to.
WRAPPER = """#!/bin/sh
case "$1 $2" in
  "create "*) shift; exec {program} create --label {label} "$@" ;;
  "volume create") shift 2; exec {program} volume create --label {label} "$@" ;;
esac
exec {program} "$@"
"""


def label_of(folder: Path) -> str:
    """Return the label of the run that has this folder for itself."""
    return f"py-ci-pipeline={folder.name}"


def write_wrapper(program: str, folder: Path) -> Path:
    """Write a program of the name of docker or podman that labels what it makes; return the folder that it is in."""
    (place := folder / "containers").mkdir()
    words = {"program": shlex.quote(str(shutil.which(program))), "label": shlex.quote(label_of(folder))}
    (place / program).write_text(WRAPPER.format(**words), encoding="utf-8")
    (place / program).chmod(0o755)
    return place


def remove(program: str, folder: Path) -> None:
    """End and remove all containers of a run, and its volumes; what is gone already is no error."""

    def said(*arguments: str) -> list[str]:
        command = (program, *arguments)
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8").stdout.split()

    chosen = ("--quiet", "--filter", f"label={label_of(folder)}")
    for container in said("ps", "--all", *chosen):
        # Without the time that podman gives a container to end by itself.
        said("kill", container)
        said("rm", "--force", "--volumes", container)
    for volume in said("volume", "ls", *chosen):
        said("volume", "rm", "--force", volume)
