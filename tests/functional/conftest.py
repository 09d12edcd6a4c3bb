"""Fixtures of the pipelines that run: a GitLab for each test, a runner, and the Pythons of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from playwright.sync_api import Browser

from tools.bare_runner import bare_executor, make_traversable
from tools.browser import open_browser
from tools.commands import commit_all, run
from tools.gitlab_runner.program import find_gitlab_runner
from tools.options import DECLARED
from tools.requirements import MissingRequirementError, find_program
from tools.runner import ANSWERS, Executor, Pipe, Pipeline, pythons_here, run_pipeline, shell_executor
from tools.samples.baked import Bake, BakedProject
from tools.samples.hostile import leave_above
from tools.samples.image import SIGNING, Imaged
from tools.samples.keyless import Signed
from tools.samples.package import IDENTITY, PUBLISHING, VERIFYING, Release, add_image, copy_project, make_project
from tools.samples.standalone import make_standalone
from tools.shared import made_once
from tools.stand_ins.cosign import KeyPair, find_cosign, make_key_pair, read_key_pair
from tools.stand_ins.gitlab import GitLab, package_index
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.images import Podman, prepare_podman
from tools.stand_ins.registry import Registry
from tools.stand_ins.sigstore import Sigstore, find_sigstore

# The tests of one project share a worker, which then runs its first jobs once; of Sigstore, one runs at a time.
GROUPS = {"_imaged": "image", "billed": "audit", "documented": "documentation", "sigstore_services": "sigstore"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put a test into the groups of the fixtures that it needs, in whichever file it stands."""
    for fixture, group in GROUPS.items():
        if fixture in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser; each test opens pages of its own in it."""
    with open_browser() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def upstream() -> str:
    """The address of the package index that this machine installs from."""
    return package_index()


@pytest.fixture
def gitlab(tmp_path: Path, upstream: str) -> Iterator[GitLab]:
    """A GitLab without projects; it forwards to the package index of this machine."""
    with GitLab(tmp_path / "gitlab", upstream) as server:
        yield server


@pytest.fixture
def registry(tmp_path: Path, gitlab: GitLab) -> Iterator[Registry]:
    """The container registry of that GitLab, without images."""
    with Registry(tmp_path, gitlab) as running:
        yield running


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path]:
    """The folders of the Pythons of this machine, by version."""
    return pythons_here(DECLARED["_python_versions"])


@pytest.fixture(scope="session")
def python(pythons: dict[str, Path]) -> str:
    """One Python of this machine."""
    return next(iter(pythons))


@pytest.fixture(scope="session")
def warm(
    bake: Bake, pythons: dict[str, Path], shared_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Variables with which a job finds what others have downloaded, compiled and checked, for tests of something else.

    Half of what a short job does is to compile the tools that uv has just installed, where the next job has them anew.
    """

    def make(cache: Path) -> None:
        project = bake(kind="command", docs=True)
        oldest, newest = next(iter(pythons)), next(reversed(pythons))
        env = {**os.environ, "UV_CACHE_DIR": str(cache)}
        # Only the job `test` runs on more than one.
        for version, names in {newest: ["test"], oldest: ["lint", "docs"]}.items():
            python = pythons[version] / f"python{version}"
            project.run("uv", "venv", "--quiet", "--seed", "--clear", "--python", python, env=env)
            tools = ("--editable", ".", *(f"--group={name}" for name in names))
            project.run("uv", "pip", "install", "--quiet", "--python", ".venv", *tools, env=env)
            # Also what built the project; it is linked into environments as it is here. mypy is compiled already, and
            # a file for another Python is none of ours.
            compiled = (python, "-m", "compileall", "-qq", "-x", "/mypyc?/", cache)
            subprocess.run(compiled, stdin=subprocess.DEVNULL, check=False)

    cache = made_once(shared_folder / "uv", make)
    # mypy does not say that two of them may share one.
    return {"UV_CACHE_DIR": str(cache), "MYPY_CACHE_DIR": str(tmp_path_factory.mktemp("mypy"))}


@pytest.fixture(scope="session")
def pipe(
    gitlab_ci_local: str,
    components: Path,
    pythons: dict[str, Path],
    shared_folder: Path,
) -> Pipe:
    """Return a function that commits a project and runs its pipeline, on a runner with the shell executor.

    In the folders above those of its jobs are files that would steer them.
    """
    find_program("rsync", "gitlab-ci-local copies the repository with it: apt install rsync")
    ANSWERS.folder = shared_folder / "answers"
    ANSWERS.folder.mkdir(exist_ok=True)
    shell = shell_executor(list(pythons.values()))

    def run(
        repository: Path,
        *jobs: str,
        event: str = "branch",
        executor: Executor = shell,
        variables: dict[str, str] | None = None,
        again: bool = False,
        left_out: Sequence[str] = (),
        program: str = gitlab_ci_local,
        steered: bool = True,
    ) -> Pipeline:
        if not again:
            commit_all(repository)
        # Its jobs may run as another user.
        make_traversable(shared_folder.parent, repository)
        mark = repository / ".gitlab-ci-local" / "mark"
        if steered:
            leave_above(repository, mark)
        with TemporaryDirectory() as folder, GitLab(Path(folder), "") as server:
            # Jobs take files of others from it.
            named = server.variables(server.add_project("your-group/my-service", repository))
            least = {name: named[name] for name in ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_JOB_TOKEN")}
            told = variables if variables and "CI_API_V4_URL" in variables else {**least, **(variables or {})}
            done = run_pipeline(
                program, repository, components, executor, event, told, jobs, again=again, left_out=left_out
            )
        assert not mark.exists(), "a job ran code from a folder above its own"
        return done

    return run


@pytest.fixture(scope="session")
def bare_python() -> Path:
    """The Python of the system, which any user may run."""
    return Path(find_program("/usr/bin/python3", "apt install python3-venv"))


@pytest.fixture
def bare_shell(tmp_path: Path, shared_folder: Path, bare_python: Path) -> Executor:
    """A runner whose jobs have no rights, and find nothing but Python, git and coreutils."""
    if os.geteuid() != 0:
        raise MissingRequirementError("only root can run jobs as another user: run this test as root")
    busybox = find_program("busybox", "a shell that is not bash: apt install busybox")
    setpriv = find_program("setpriv", "it gives up rights: apt install util-linux")
    make_traversable(shared_folder.parent, tmp_path)
    return bare_executor(tmp_path / "bare", bare_python, busybox, setpriv)


@pytest.fixture(scope="session")
def podman(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with the images of the jobs."""
    for tool in ("podman", "runc", "mmdebstrap"):
        find_program(tool, f"apt install --no-install-recommends {tool}")
    if os.geteuid() != 0:
        raise MissingRequirementError(
            "images are made as root: run the tests as root, in a container or a virtual machine"
        )
    with TemporaryDirectory(prefix="podman-", dir="/run") as state:
        made = prepare_podman(request.config.cache.mkdir("podman"), tmp_path_factory.mktemp("podman"), Path(state))
        # There may be no systemd, which would ask for the health of a container.
        yield replace(made, env={**made.env, "DISABLE_HC_SYSTEMD": "true"})


@pytest.fixture(scope="session")
def cosign(request: pytest.FixtureRequest) -> Path:
    """Cosign: that of the machine, or the pinned one, built once."""
    return find_cosign(request.config.cache.mkdir("cosign"))


@pytest.fixture(scope="session")
def gitlab_runner(request: pytest.FixtureRequest) -> Path:
    """GitLab's own runner, built once."""
    return find_gitlab_runner(request.config.cache.mkdir("gitlab-runner"))


@pytest.fixture(scope="session")
def keys(cosign: Path, shared_folder: Path) -> KeyPair:
    """The key pair of the project."""
    return read_key_pair(made_once(shared_folder / "keys", lambda folder: make_key_pair(cosign, folder)))


@pytest.fixture(scope="session")
def releasing(cosign: Path, pythons: dict[str, Path]) -> Executor:
    """A runner with the shell executor, which has Cosign."""
    return shell_executor([cosign.parent, *pythons.values()])


@pytest.fixture(scope="session")
def imaging(
    cosign: Path, pythons: dict[str, Path], podman: Podman, tmp_path_factory: pytest.TempPathFactory
) -> Executor:
    """A runner with the shell executor, which has Cosign, Buildah and Skopeo."""
    find_program("buildah", "it builds images: apt install --no-install-recommends buildah")
    find_program("skopeo", "it names images: apt install skopeo")
    found = shell_executor([cosign.parent, *pythons.values()])
    return replace(found, variables=podman.env)


@pytest.fixture(scope="session")
def _signed(
    pipe: Pipe,
    python: str,
    releasing: Executor,
    keys: KeyPair,
    warm: dict[str, str],
    upstream: str,
    shared_folder: Path,
) -> Path:
    """A project with the artifacts of the jobs up to the one that verifies; all workers copy the same one."""

    def make(folder: Path) -> None:
        project = make_project(folder / "another", python, keys.public)
        with GitLab(folder / "gitlab", upstream) as server:
            here = server.variables(server.add_project("group/another", project))
            jobs = VERIFYING
            variables: dict[str, Any] = {**here, **warm, **keys.settings}
            done = pipe(project, *jobs, event="tag", executor=releasing, variables=variables)
        assert done.results == dict.fromkeys(jobs, "passed"), done.output
        shutil.rmtree(project / ".gitlab-ci-local" / "builds")

    return made_once(shared_folder / "signed", make) / "another"


@pytest.fixture
def release(
    _signed: Path,
    tmp_path: Path,
    pipe: Pipe,
    releasing: Executor,
    keys: KeyPair,
    here: Project,
    gitlab: GitLab,
    warm: dict[str, str],
) -> Release:
    """A project whose pipeline has come to the point where it publishes."""
    here.repository = copy_project(_signed, tmp_path / "another")
    variables: dict[str, Any] = {**gitlab.variables(here), **warm, **keys.settings}
    return Release(here.repository, pipe, releasing, variables)


@pytest.fixture(scope="session")
def _published(
    _signed: Path,
    pipe: Pipe,
    releasing: Executor,
    keys: KeyPair,
    warm: dict[str, str],
    upstream: str,
    shared_folder: Path,
) -> Path:
    """A folder with the project after the jobs that publish, what its GitLab has of it, and the address of that."""

    def make(folder: Path) -> None:
        folder.mkdir()
        path = copy_project(_signed, folder / "another")
        with GitLab(folder / "gitlab", upstream) as server:
            here = server.add_project("group/another", path)
            release = Release(path, pipe, releasing, {**server.variables(here), **warm, **keys.settings})
            done = release.retry(*PUBLISHING)
            (folder / "address").write_text(server.url, encoding="utf-8")
        assert done.results == dict.fromkeys(PUBLISHING, "passed"), done.output
        shutil.rmtree(path / ".gitlab-ci-local" / "builds")

    return made_once(shared_folder / "published", make)


@pytest.fixture
def published(_published: Path, release: Release, here: Project, gitlab: GitLab) -> Release:
    """A release whose files are in the registries."""
    shutil.copytree(_published / "gitlab" / str(here.id), here.folder, dirs_exist_ok=True)
    for job in PUBLISHING:
        # Its artifacts are links to what it has published.
        links = release.artifact(job)
        shutil.copytree(_published / "another" / links.relative_to(release.path), links)
        for file in links.rglob("links/*"):
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace((_published / "address").read_text(encoding="utf-8"), gitlab.url), "utf-8")
    return release


@pytest.fixture
def here(gitlab: GitLab) -> Project:
    """The project of the release on GitLab."""
    return gitlab.add_project("group/another")


@pytest.fixture(scope="session")
def sigstore_services(
    request: pytest.FixtureRequest, cosign: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sigstore]:
    """A private Sigstore that knows the GitLab of every test."""
    binaries = find_sigstore(request.config.cache.mkdir("sigstore"), cosign)
    gitlabs = ("http://127.0.0.1:*", "http://127.0.0.1:*/gitlab")
    with Sigstore(tmp_path_factory.mktemp("sigstore"), binaries, *gitlabs) as running:
        yield running


@pytest.fixture
def sigstore(sigstore_services: Sigstore) -> Iterator[Sigstore]:
    """It without faults."""
    yield sigstore_services
    sigstore_services.heal()


@pytest.fixture(scope="session")
def _signed_keyless(
    _signed: Path,
    pipe: Pipe,
    releasing: Executor,
    warm: dict[str, str],
    upstream: str,
    sigstore_services: Sigstore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Signed]:
    """It, signed keyless, as its pipeline left it; its GitLab, whose port is in the certificates, stays."""
    folder = tmp_path_factory.mktemp("keyless")
    path = copy_project(_signed, folder / "another")
    pipeline = path / ".gitlab-ci.yml"
    text = pipeline.read_text(encoding="utf-8").replace("method: key", "method: keyless")
    text = text.replace(f", identity: {IDENTITY}", "").replace(f"identity: {IDENTITY}", "stage: verify")
    pipeline.write_text(text, encoding="utf-8")
    commit_all(path)
    run("git", "tag", "--force", "v1.0.0", cwd=path)
    with GitLab(folder / "gitlab", upstream) as server:
        here = server.add_project("group/another", path)
        variables = {**server.variables(here), **warm, **sigstore_services.variables}
        signed = Signed(Release(path, pipe, releasing, variables), server)
        done = signed.release.retry("cosign", "sign", **signed.token())
        assert done.results == {"cosign": "passed", "sign": "passed"}, done.output
        yield signed


@pytest.fixture
def signed(_signed_keyless: Signed, sigstore: Sigstore, tmp_path: Path) -> Signed:
    """A copy of it."""
    path = copy_project(_signed_keyless.release.path, tmp_path / "another")
    # There is one project on that GitLab, and nothing was uploaded to it yet.
    _signed_keyless.gitlab.projects[0].repository = path
    return replace(_signed_keyless, release=replace(_signed_keyless.release, path=path))


@pytest.fixture(scope="session")
def _imaged(
    bake: Bake,
    pipe: Pipe,
    python: str,
    podman: Podman,
    imaging: Executor,
    keys: KeyPair,
    warm: dict[str, str],
    upstream: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with a project, the artifacts of the jobs up to the one that signs, and what its registry has."""
    folder = tmp_path_factory.mktemp("imaged")
    project = make_project(folder / "another", python, keys.public)
    add_image(project, bake(signing="key"), python)
    with GitLab(folder / "gitlab", upstream) as gitlab, Registry(folder, gitlab) as registry:
        here = gitlab.add_project("group/another", project)
        registry.offer(podman.base, here)
        variables: dict[str, Any] = {**gitlab.variables(here), **registry.variables(here), **warm, **keys.settings}
        done = pipe(project, *SIGNING, event="tag", executor=imaging, variables=variables)
        assert done.results == dict.fromkeys(SIGNING, "passed"), done.output
    shutil.rmtree(project / ".gitlab-ci-local" / "builds")
    return folder


@pytest.fixture
def imaged(
    _imaged: Path,
    pipe: Pipe,
    imaging: Executor,
    keys: KeyPair,
    here: Project,
    gitlab: GitLab,
    warm: dict[str, str],
    tmp_path: Path,
) -> Iterator[Imaged]:
    """A copy of it."""
    here.repository = copy_project(_imaged / "another", tmp_path / "another")
    with Registry(tmp_path, gitlab) as registry:
        shutil.copytree(_imaged / "registry" / "images", registry.folder / "images")
        variables: dict[str, Any] = {**gitlab.variables(here), **registry.variables(here), **warm, **keys.settings}
        yield Imaged(Release(here.repository, pipe, imaging, variables), registry, here, tmp_path)


@pytest.fixture
def evil(imaged: Imaged) -> str:
    """The digest of an image that somebody pushed to the project, as `evil`."""
    imaged.skopeo("copy", f"docker://{imaged.name}/python:slim", f"docker://{imaged.name}:evil")
    return imaged.digest("evil")


@pytest.fixture
def project(bake: Bake, python: str) -> BakedProject:
    """A project that is tested on one Python."""
    return bake(_python_versions=[python], python_version=python, kind="command")


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """A project of somebody else, in a flat layout, whose `.gitlab-ci.yml` is still to be written."""
    return make_standalone(tmp_path / "another")
