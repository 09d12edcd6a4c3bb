"""Fixtures of the pipelines that GitLab's own runner runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tools.bare_runner import make_traversable
from tools.gitlab_runner.engine import Engine, docker_engine
from tools.gitlab_runner.runner import NewRunner, Runner, User
from tools.requirements import MissingRequirementError
from tools.runner import Executor, shell_executor
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.images import Podman


@pytest.fixture
def new_runner(gitlab_runner: Path, gitlab: GitLab, pythons: dict[str, Path], tmp_path: Path) -> NewRunner:
    """Return a function that makes a runner of that GitLab; by default in a shell, with the Pythons of the machine."""

    def make(name: str = "runner", **options: Any) -> Runner:
        options = {"program": gitlab_runner, "executor": shell_executor(list(pythons.values())), **options}
        return Runner(folder=tmp_path / name, gitlab=gitlab, **options)

    return make


@pytest.fixture
def nobody(gitlab_runner: Path, cosign: Path, shared_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """What makes a runner that of a user who has neither a name nor a home, and finds Cosign and what Debian has."""
    if os.geteuid() != 0:
        raise MissingRequirementError("only root can run jobs as another user: run this test as root")
    make_traversable(shared_folder.parent, tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in (cosign, gitlab_runner):
        shutil.copy(program, programs)
    executor = Executor(environment={"PATH": f"{programs}:/usr/bin:/bin"})
    user = User(12345, Path("/nonexistent"))
    return {"executor": executor, "user": user, "program": programs / gitlab_runner.name}


@pytest.fixture
def engine(request: pytest.FixtureRequest, gitlab_runner: Path, podman: Podman) -> Iterator[Engine]:
    """Docker's engine, with the images of the jobs."""
    cache = request.config.cache.mkdir("docker")
    with (
        TemporaryDirectory(prefix="docker-", dir="/run") as state,
        docker_engine(cache, Path(state), gitlab_runner, podman) as running,
    ):
        yield running
