"""A protected tag takes a fresh project to its release, as its documents say; and whoever reads them can verify it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tools.commands import run
from tools.documents import SIGNING, block
from tools.requirements import find_program
from tools.runner import Executor, Pipe, Pipeline
from tools.samples.baked import Bake, BakedProject
from tools.samples.consumer import make_venv
from tools.samples.package import IMAGING, RELEASING
from tools.stand_ins.cosign import PASSWORD, KeyPair
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.images import Podman
from tools.stand_ins.registry import Registry

FILES = ["my_service-1.0.0-py3-none-any.whl", "my_service-1.0.0.tar.gz"]
BUNDLES = [f"{file}{kind}.sigstore.json" for file in FILES for kind in ("", ".provenance", ".sbom")]
SIGNATURES = sorted(["SHA256SUMS", "SHA256SUMS.sigstore.json", "sbom.cdx.json", *BUNDLES])
CHANGES = "\n## 1.0.0 - 2026-11-22\n\n### Added\n\n- A greeting for `Ada`.\n\n## 0.9.0\n\n- Older.\n"


@dataclass(frozen=True)
class Released:
    """A project whose tag was pushed: what its pipeline did, and what GitLab has of it."""

    project: BakedProject
    done: Pipeline
    gitlab: GitLab
    here: Project
    variables: dict[str, Any]
    commands: str


@pytest.fixture(scope="module")
def released(
    bake: Bake,
    pipe: Pipe,
    python: str,
    podman: Podman,
    imaging: Executor,
    gitlab_ci_local: str,
    keys: KeyPair,
    warm: dict[str, str],
    upstream: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Released]:
    """A project that is signed with a key and published on GitLab; each process of its jobs was watched.

    `test_whole_release_keyless.py` has the flavour with components.
    """
    strace = find_program("strace", "it shows the arguments of every process: apt install strace")
    folder = tmp_path_factory.mktemp("released")
    project = bake(signing="key", _python_versions=[python], python_version=python)
    (project.path / "cosign.pub").write_text(keys.public, encoding="utf-8")
    changelog = project.path / "CHANGELOG.md"
    changelog.write_text(changelog.read_text(encoding="utf-8") + CHANGES, encoding="utf-8")
    watched = folder / "watched"
    watch = (
        f"{strace} --follow-forks --seccomp-bpf --quiet=all --trace=execve --string-limit=99999 --output={folder}/log"
    )
    watched.write_text(f'#!/bin/sh\nexec {watch} {gitlab_ci_local} "$@"\n', encoding="utf-8")
    watched.chmod(0o755)
    with GitLab(folder / "gitlab", upstream) as server, Registry(folder, server) as registry:
        here = server.add_project("your-group/my-service", project.path)
        registry.offer(podman.base, here)
        variables: dict[str, Any] = {**server.variables(here), **registry.variables(here), **warm, **keys.settings}
        done = pipe(project.path, event="tag", executor=imaging, variables=variables, program=str(watched))
        commands = (folder / "log").read_text(encoding="utf-8", errors="replace")
        yield Released(project, done, server, here, variables, commands)


# The tests of one release share a worker.
pytestmark = pytest.mark.xdist_group("release")


def test_a_protected_tag_is_released(released: Released, python: str) -> None:
    jobs = ["preflight", "lint", f"test: [{python}]", "coverage", *RELEASING, *IMAGING]
    assert released.done.results == dict.fromkeys(jobs, "passed"), released.done.output
    stored = released.here.folder
    assert sorted(path.name for path in (stored / "pypi").iterdir()) == FILES
    assert sorted(path.name for path in (stored / "generic" / "my-service" / "1.0.0").iterdir()) == SIGNATURES
    assert "my-service 1.0.0" in released.done.log("verify-published")


def test_the_release_has_the_changes_and_links_that_work(released: Released) -> None:
    token = released.here.token
    api = f"{released.gitlab.api}/projects/{released.here.id}"
    release = requests.get(f"{api}/releases/v1.0.0", headers={"JOB-TOKEN": token}, timeout=10).json()
    assert release["description"].startswith("### Added\n\n- A greeting for `Ada`.\n\nFrom ")
    assert "Older" not in release["description"]
    links = {link["name"]: link["url"] for link in release["assets"]["links"]}
    (image,) = links.keys() - {*FILES, *SIGNATURES}
    assert image.startswith(f"{released.variables['CI_REGISTRY_IMAGE']}:1.0.0@sha256:")
    assert links.pop(image) == f"{released.variables['CI_PROJECT_URL']}/container_registry"
    assert sorted(links) == sorted(FILES + SIGNATURES)
    for name, url in links.items():
        assert requests.get(url, auth=("gitlab-ci-token", token), timeout=10).status_code == 200, name


def test_no_secret_is_anywhere(released: Released, keys: KeyPair) -> None:
    secrets = [PASSWORD, keys.private, keys.private.splitlines()[1], released.here.token]
    written = released.done.output + released.commands
    asked = "".join(f"{request.path}?{request.query}\n" for request in released.gitlab.requests())
    assert "publish" in released.commands
    assert released.here.path.rpartition("/")[2] in asked
    for secret in secrets:
        assert secret not in written
        assert secret not in asked
    state = released.project.path / ".gitlab-ci-local"
    files = [path for path in released.project.path.rglob("*") if path.is_file() and path != state / "variables.yml"]
    for folder in (released.here.folder, Path(os.environ["TMPDIR"]), Path(released.variables["UV_CACHE_DIR"])):
        files += [path for path in folder.rglob("*") if path.is_file()]
    assert state / "artifacts" / "sign" / "signatures" / "SHA256SUMS.sigstore.json" in files
    leaked = [path for path in files for text in [content(path)] if any(secret.encode() in text for secret in secrets)]
    assert leaked == []


def content(path: Path) -> bytes:
    """Return what is in a file; nothing, if it was one of uv's for a moment, for another job with the same cache."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


@pytest.fixture
def consumer(
    released: Released, cosign: Path, python: str, pythons: dict[str, Path], warm: dict[str, str], tmp_path: Path
) -> dict[str, str]:
    """The variables of somebody with Cosign, a Python of their own, and a token for the project."""
    for tool in ("curl", "openssl"):
        find_program(tool, f"the commands for consumers use it: apt install {tool}")
    (tmp_path / "cosign.pub").write_bytes((released.project.path / "cosign.pub").read_bytes())
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text(f"machine 127.0.0.1 login gitlab-ci-token password {released.here.token}\n", "utf-8")
    make_venv(home / "venv", pythons[python] / f"python{python}", warm)
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("CI_", "PIP_INDEX", "VIRTUAL_ENV"))
    }
    return {**env, "HOME": str(home), "PATH": f"{home}/venv/bin:{cosign.parent}:{env['PATH']}"}


def consume(commands: str, released: Released, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run commands of a document in a folder; gitlab.com is the GitLab of the test."""
    commands = commands.replace("https://gitlab.com", released.gitlab.url)
    return subprocess.run(
        ["sh", "-c", commands], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8"
    )


def test_a_consumer_verifies_and_installs_as_the_readme_says(
    released: Released, consumer: dict[str, str], tmp_path: Path
) -> None:
    commands = block(released.project.read("README.md"), "## Verify")
    assert commands == block(SIGNING, "<!-- key -->")
    done = consume(commands, released, consumer, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verified OK" in done.stderr
    assert f"{FILES[0]}: OK" in done.stdout
    assert run("my-service", "--version", env=consumer) == "my-service 1.0.0\n"


def test_a_consumer_reads_the_provenance_and_verifies_without_cosign(
    released: Released, consumer: dict[str, str], tmp_path: Path
) -> None:
    download = block(SIGNING, "<!-- key -->").partition("cosign verify-blob")[0]
    done = consume(download + block(SIGNING, "<!-- provenance -->"), released, consumer, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{released.gitlab.url}/your-group/my-service.git@refs/tags/v1.0.0" in done.stdout
    done = consume(block(SIGNING, "<!-- openssl -->"), released, consumer, tmp_path)
    assert (done.returncode, done.stdout) == (0, "Verified OK\n"), done.stderr


@pytest.mark.parametrize("attack", ["echo evil >> SHA256SUMS", f"echo evil >> {FILES[0]}"])
def test_a_consumer_does_not_install_what_was_changed(
    attack: str, released: Released, consumer: dict[str, str], tmp_path: Path
) -> None:
    commands = block(SIGNING, "<!-- key -->")
    done = consume(commands.replace("cosign verify", f"{attack}; cosign verify"), released, consumer, tmp_path)
    assert done.returncode != 0
    assert not (tmp_path / "home" / "venv" / "bin" / "my-service").exists()
    done = consume(f"{attack}; {block(SIGNING, '<!-- openssl -->')}", released, consumer, tmp_path)
    assert (done.returncode == 0) == ("SHA256SUMS" not in attack), done.stdout


def test_the_keyless_commands_of_the_documents_are_those_of_a_project(bake: Bake) -> None:
    readme = bake(signing="keyless").read("README.md")
    assert block(SIGNING, "<!-- keyless -->").splitlines()[:2] == block(readme, "## Verify").splitlines()[-5:-3]
    assert "version=1.0.0\n" + block(SIGNING, "<!-- sigstore -->") == block(readme, "`pip install sigstore`")


# They run in the release above, and for other options in the pipelines of branches.
CHECKS = ["lint", "test", "coverage"]


@pytest.mark.parametrize(
    ("options", "jobs"),
    [
        (
            {"signing": "none", "publish": "gitlab", "kind": "service"},
            ["build-image", "digests-image", "publish-gitlab", "publish-image", "release"],
        ),
        ({"signing": "key", "publish": "none", "kind": "command"}, ["cosign", "sign", "verify"]),
    ],
    ids=["not signed", "not published"],
)
def test_a_tag_of_a_project_that_does_less(
    options: dict[str, Any],
    jobs: list[str],
    bake: Bake,
    pipe: Pipe,
    python: str,
    podman: Podman,
    imaging: Executor,
    keys: KeyPair,
    gitlab: GitLab,
    registry: Registry,
    warm: dict[str, str],
) -> None:
    project = bake(**options, _python_versions=[python], python_version=python)
    given: dict[str, Any] = {}
    if options["signing"] == "key":
        (project.path / "cosign.pub").write_text(keys.public, encoding="utf-8")
        given |= keys.settings
    here = gitlab.add_project("your-group/my-service", project.path)
    if options["kind"] == "service":
        registry.offer(podman.base, here)
    given |= {**gitlab.variables(here), **registry.variables(here), **warm}
    done = pipe(project.path, event="tag", executor=imaging, variables=given, left_out=CHECKS)
    begun = ["preflight", "build", "sbom", "digests"]
    assert done.results == dict.fromkeys(begun + jobs, "passed"), done.output
    published = sorted(path.name for path in (here.folder / "pypi").iterdir())
    assert published == (FILES if options["publish"] == "gitlab" else [])


@pytest.mark.parametrize(
    ("event", "variables", "message"),
    [
        ("unprotected tag", {}, "-> Protect v* by py-ci-project, or in Settings > Repository > Protected tags"),
        (
            "tag v1",
            {"COSIGN_PRIVATE_KEY": "x", "COSIGN_PASSWORD": "y"},
            "-> Delete the tag and push one such as v1.2.3",
        ),
        ("tag", {"COSIGN_PRIVATE_KEY": "x"}, "-> Edit it in Settings > CI/CD > Variables: protected, and with the env"),
        (
            "branch",
            {"COSIGN_PRIVATE_KEY": "x"},
            "-> Edit it in Settings > CI/CD > Variables: protected, and with the env",
        ),
    ],
    ids=["unprotected tag", "malformed tag", "a key without an environment", "an unprotected key"],
)
def test_what_is_not_set_up_fails_one_job_that_says_how(
    event: str,
    variables: dict[str, str],
    message: str,
    bake: Bake,
    pipe: Pipe,
    python: str,
    releasing: Executor,
    gitlab: GitLab,
    warm: dict[str, str],
) -> None:
    project = bake(signing="key", _python_versions=[python], python_version=python, kind="command")
    here = gitlab.variables(gitlab.add_project("your-group/my-service", project.path))
    jobs = ["preflight", "build", "sign"] if event == "tag" else ["preflight", "build"]
    given = {**here, **warm, **variables}
    done = pipe(project.path, *jobs, event=event, executor=releasing, variables=given, left_out=CHECKS)
    assert done.results.pop("preflight") == "failed", done.output
    assert message in done.log("preflight")
    assert "sign" not in done.results
