"""The shell of a developer in a project that was made."""

from __future__ import annotations

import os
import re
import subprocess

from tools.options import DECLARED
from tools.runner import pythons_here
from tools.samples.baked import BakedProject


def environment(project: BakedProject) -> dict[str, str]:
    """Return the variables of a shell in which the project's virtual environment is active."""
    foreign = re.compile(r"TOX_|VIRTUAL_ENV|PYTHON|UV_PYTHON|COVERAGE|PYTEST")
    env = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    venv = project.path / ".venv"
    # tox runs on every Python that is here.
    path = [str(venv / "bin"), *map(str, pythons_here(DECLARED["_python_versions"]).values()), env["PATH"]]
    cache = project.path.parent / "pre-commit"
    return env | {"VIRTUAL_ENV": str(venv), "PATH": ":".join(path), "PRE_COMMIT_HOME": str(cache)}


def outside(project: BakedProject) -> dict[str, str]:
    """Return the variables of a shell in which no environment is active."""
    env = environment(project)
    venv = env.pop("VIRTUAL_ENV")
    return env | {"PATH": env["PATH"].replace(f"{venv}/bin:", "")}


def oldest_of_tox() -> str:
    """Return the environment of tox for the oldest Python of the machine."""
    return "py" + next(iter(pythons_here(DECLARED["_python_versions"]))).replace(".", "")


def failing(project: BakedProject, *command: str, env: dict[str, str]) -> str:
    """Run a command that fails; return all that it printed."""
    done = subprocess.run(
        command, cwd=project.path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    assert done.returncode in (1, 2), done.stdout
    return done.stdout
