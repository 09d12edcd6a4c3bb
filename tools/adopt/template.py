"""A clone of the template, and what it makes of answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.adopt.metadata import Known
from tools.adopt.repository import GitError, RefusedError, git


def installed_from() -> tuple[str, str]:
    """Return the address and the revision that this program was installed from; nothing where that was not git.

    https://packaging.python.org/en/latest/specifications/direct-url/
    """
    try:
        said = json.loads(distribution("py-ci-template").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return "", ""
    about = said.get("vcs_info")
    return (str(said.get("url", "")), str(about.get("requested_revision") or "")) if about else ("", "")


def clone(address: str, revision: str, folder: Path) -> Path:
    """Clone the template, at a revision if one is given."""
    target = folder / "py-ci-template"
    try:
        git(folder, "clone", "--quiet", "--", address, str(target))
        if revision.startswith("-"):
            # git's own word for the end of options is one that older ones do not know here.
            raise GitError(f"{revision} is no version")
        if revision:
            git(target, "checkout", "--quiet", revision, "--")
    except GitError as failed:
        said = str(failed).splitlines()[-1]
        raise RefusedError("adopt-template", f"The template cannot be had from {address}: {said}") from None
    if not (target / "cookiecutter.json").is_file():
        raise RefusedError("adopt-template", f"{address} is no template: it has no cookiecutter.json.")
    return target


def declared(template: Path) -> dict[str, Any]:
    """Return what the template asks."""
    questions: dict[str, Any] = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    return questions


def render(template: Path, answers: Mapping[str, Known]) -> dict[str, str]:
    """Return the files that the template makes of the answers, by path; refuse with what it says of an answer."""
    if not find_spec("cookiecutter"):
        raise RefusedError("adopt-template", "Cookiecutter is missing: install this program with its extra 'fleet'.")
    with TemporaryDirectory() as folder:
        # Not from the folder of the project, where a module could stand in the way of one of Cookiecutter's.
        command = [sys.executable, "-P", "-m", "cookiecutter", str(template), "--no-input", "--default-config"]
        given = [f"{name}={known.value}" for name, known in answers.items()]
        done = subprocess.run(
            [*command, "--output-dir", folder, *given],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode:
            lines = done.stdout.splitlines()
            wrong = [line.removeprefix("  - ") for line in lines if line.startswith("  - ")] or lines[-1:]
            raise RefusedError(
                "adopt-answers", "\n".join([*wrong, "Add NAME=VALUE with another value to the command."])
            )
        (project,) = Path(folder).iterdir()
        files = (file for file in sorted(project.rglob("*")) if file.is_file() and ".git" not in file.parts)
        return {file.relative_to(project).as_posix(): file.read_text(encoding="utf-8") for file in files}
