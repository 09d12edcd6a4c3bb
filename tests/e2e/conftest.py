"""Fixtures of the pipelines that run: a GitLab for each test, a runner, and the Pythons of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.baked import commit_all
from tests.conftest import lacking, need
from tests.e2e.bare import bare_executor, let_through
from tests.e2e.cosign import find_cosign
from tests.e2e.gitlab import GitLab, package_index
from tests.e2e.images import Podman, prepare_podman
from tests.e2e.runner import Executor, Pipeline, pythons_here, run_pipeline, shell_executor
from tests.options import DECLARED

Pipe = Callable[..., Pipeline]


@pytest.fixture(scope="session")
def upstream() -> str:
    """The address of the package index that this machine installs from."""
    return package_index()


@pytest.fixture
def gitlab(tmp_path: Path, upstream: str) -> Iterator[GitLab]:
    """A GitLab without projects; it forwards to the package index of this machine."""
    with GitLab(tmp_path / "gitlab", upstream) as server:
        yield server


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path]:
    """The folders of the Pythons of this machine, by version."""
    return pythons_here(DECLARED["_python_versions"])


@pytest.fixture(scope="session")
def python(pythons: dict[str, Path]) -> str:
    """One Python of this machine."""
    return next(iter(pythons))


@pytest.fixture(scope="session")
def warm(shared_folder: Path) -> dict[str, str]:
    """Variables with which a job finds what another has downloaded, for tests of something else."""
    return {"UV_CACHE_DIR": str(shared_folder / "uv")}


@pytest.fixture(scope="session")
def pipe(
    gitlab_ci_local: str,
    components: Path,
    pythons: dict[str, Path],
    shared_folder: Path,
) -> Pipe:
    """Return a function that commits a project and runs its pipeline, on a runner with the shell executor."""
    need("rsync", "gitlab-ci-local copies the repository with it: apt install rsync")
    shell = shell_executor(list(pythons.values()))

    def run(
        repository: Path,
        *jobs: str,
        event: str = "branch",
        executor: Executor = shell,
        variables: dict[str, str] | None = None,
    ) -> Pipeline:
        commit_all(repository)
        # Its jobs may run as another user.
        let_through(shared_folder.parent, repository)
        return run_pipeline(gitlab_ci_local, repository, components, executor, event, variables, jobs)

    return run


@pytest.fixture(scope="session")
def bare_python() -> Path:
    """The Python of the system, which any user may run."""
    return Path(need("/usr/bin/python3", "apt install python3-venv"))


@pytest.fixture
def bare_shell(tmp_path: Path, shared_folder: Path, bare_python: Path) -> Executor:
    """A runner whose jobs have no rights, and find nothing but Python, git and coreutils."""
    if os.geteuid() != 0:
        lacking("only root can run jobs as another user: run this test as root")
    busybox = need("busybox", "a shell that is not bash: apt install busybox")
    setpriv = need("setpriv", "it gives up rights: apt install util-linux")
    let_through(shared_folder.parent, tmp_path)
    return bare_executor(tmp_path / "bare", bare_python, busybox, setpriv)


@pytest.fixture(scope="session")
def podman(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with the images of the jobs."""
    for tool in ("podman", "runc", "mmdebstrap"):
        need(tool, f"apt install --no-install-recommends {tool}")
    if os.geteuid() != 0:
        lacking("the images are made as root: run the tests as root, in a container or a virtual machine")
    with TemporaryDirectory(prefix="podman-", dir="/run") as state:
        yield prepare_podman(request.config.cache.mkdir("podman"), tmp_path_factory.mktemp("podman"), Path(state))


@pytest.fixture(scope="session")
def cosign(request: pytest.FixtureRequest) -> Path:
    """Cosign: that of the machine, or the pinned one, built once."""
    return find_cosign(request.config.cache.mkdir("cosign"))
