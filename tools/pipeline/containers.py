"""Knows the containers and volumes of a run by a label, so that none is left when it ends."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# podman 4 removes none of several containers where one is gone already, as gitlab-ci-local asks it to.
WRAPPER = """#!/bin/sh
case "$1 $2" in
  "create "*) shift; exec {program} create --label {label} "$@" ;;
  "volume create") shift 2; exec {program} volume create --label {label} "$@" ;;
esac
exec {program} "$@"
"""

# gitlab-ci-local pastes these parts of a job into a command of the machine's shell.
WORDS = re.compile(r"[\w./:@+,~={}*?\[\] -]*", re.ASCII)
VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
# Who made the commit has chosen the others of these.
OF_THE_COMMIT = re.compile(r"CI_COMMIT_(?!SHA|SHORT_SHA|REF_SLUG)|CI_MERGE_REQUEST|CI_DEFAULT_BRANCH")


def texts(content: Any) -> Iterator[str]:
    """Yield the texts in a value of YAML."""
    if isinstance(content, Mapping):
        content = [*content, *content.values()]
    if isinstance(content, list):
        for part in content:
            yield from texts(part)
    elif content is not None:
        yield str(content)


def pasted(pipeline: Mapping[str, Any]) -> str | None:
    """Return what of an expanded pipeline a shell of the machine would act on outside of a container, or None."""
    common = pipeline.get("variables", {})
    for job in pipeline.values():
        if not isinstance(job, Mapping) or "script" not in job:
            continue
        matrix = job["parallel"].get("matrix", []) if isinstance(job.get("parallel"), Mapping) else []
        ruled = [rule.get("variables", {}) for rule in job.get("rules", []) if isinstance(rule, Mapping)]
        variables = [common, job.get("variables", {}), *ruled, *matrix]
        names = {str(name) for some in variables for name in some}
        parts = [*texts([job.get(key) for key in ("image", "services", "cache", "artifacts")])]
        used: set[str] = set()
        # A variable may name others.
        while new := {a or b for part in parts for a, b in VARIABLE.findall(part)} - used:
            used |= new
            parts += [text for some in variables for name in new & some.keys() for text in texts(some[name])]
        for part in parts:
            if not WORDS.fullmatch(VARIABLE.sub("", part)):
                return part
        for name in sorted(used):
            if OF_THE_COMMIT.match(name):
                return f"${name}"
        odd = [name for name in sorted(names) if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)]
        if odd:
            return odd[0]
    return None


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
