"""How jobs come by Cosign: the runner's own, or the pinned release with the pinned checksum."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tools.commands import commit_all, run
from tools.components import component
from tools.runner import Pipe
from tools.samples.package import Release
from tools.stand_ins.cosign import ARCHITECTURE, Mirror, pinned_version

# Where a Debian has a Python, and no Cosign.
PATH = {"PATH": "/usr/bin:/bin"}
PROGRAM = b"#!/bin/sh\n"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror of Cosign's releases."""
    with Mirror(PROGRAM) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with nothing but the component."""
    repository = tmp_path / "project"
    repository.mkdir()
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=repository)
    write(repository, {})
    return repository


def write(project: Path, inputs: dict[str, str], sha256: str = "") -> None:
    """Write the pipeline of a project, with another pinned checksum where one is given."""
    text = component("cosign")
    if sha256:
        text = re.sub(rf"(?<=PY_CI_COSIGN_SHA256_{ARCHITECTURE.upper()}: )\w+", sha256, text)
    (project / "cosign.yml").write_text(text, encoding="utf-8")
    pipeline = {"stages": ["build"], "include": [{"local": "cosign.yml", "inputs": inputs}]}
    (project / ".gitlab-ci.yml").write_text(yaml.safe_dump(pipeline), encoding="utf-8")


def test_cosign_on_path_is_used(project: Path, pipe: Pipe, cosign: Path) -> None:
    done = pipe(project, event="tag", variables={"PATH": f"{cosign.parent}:{PATH['PATH']}"})
    assert done.results == {"cosign": "passed"}, done.output
    assert "is on PATH." in done.log("cosign")
    assert done.artifact("cosign", ".cosign/cosign").read_bytes() == cosign.read_bytes()


@pytest.mark.parametrize(
    "said", ['{"gitVersion": "v2.4.1"}', '{"gitVersion": "v3.0.6"}', "cosign: command not understood"]
)
def test_another_cosign_on_path_is_refused(said: str, project: Path, pipe: Pipe, tmp_path: Path) -> None:
    other = tmp_path / "bin" / "cosign"
    other.parent.mkdir()
    other.write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
    other.chmod(0o755)
    done = pipe(project, event="tag", variables={"PATH": f"{other.parent}:{PATH['PATH']}"})
    assert done.results == {"cosign": "failed"}
    assert done.last_line("cosign").endswith("the jobs need 3.1 or a newer 3: update it, or take it from PATH.")


FAULTS = {"500": {"status": 500}, "503": {"status": 503}, "timeout": {"timeout": 30}, "cut": {"cut": True}}


@pytest.mark.parametrize("kind", FAULTS)
def test_the_pinned_release_is_fetched_and_a_fault_heals(kind: str, mirror: Mirror, project: Path, pipe: Pipe) -> None:
    write(project, {"cosign_releases": mirror.url}, hashlib.sha256(PROGRAM).hexdigest())
    mirror.fail_next(1, **FAULTS[kind])  # type: ignore[arg-type]
    done = pipe(project, event="tag", variables={**PATH, "UV_HTTP_TIMEOUT": "1"})
    assert done.results == {"cosign": "passed"}, done.output
    paths = [request.path for request in mirror.requests()]
    assert paths == [f"/releases/{pinned_version()}/cosign-linux-{ARCHITECTURE}"] * 2
    program = done.artifact("cosign", ".cosign/cosign")
    assert program.read_bytes() == PROGRAM
    assert program.stat().st_mode & 0o111


def test_a_file_with_another_checksum_is_never_kept(mirror: Mirror, project: Path, pipe: Pipe) -> None:
    write(project, {"cosign_releases": mirror.url})
    done = pipe(project, event="tag", variables=PATH)
    assert done.results == {"cosign": "failed"}
    assert done.last_line("cosign").endswith("it is not the released file, and is not used.")
    assert not done.report("cosign", ".cosign").exists()


@pytest.mark.parametrize(("status", "asked"), [(503, 3), (404, 1)])
def test_releases_that_do_not_answer(status: int, asked: int, mirror: Mirror, project: Path, pipe: Pipe) -> None:
    write(project, {"cosign_releases": mirror.url})
    mirror.fail_next(sys.maxsize, status=status)
    done = pipe(project, event="tag", variables=PATH)
    assert done.results == {"cosign": "failed"}
    assert done.last_line("cosign").endswith("retry the job, or set the input cosign_releases to a mirror.")
    assert len(mirror.requests()) == asked


def test_without_the_public_key_nothing_is_signed(release: Release) -> None:
    (release.path / "cosign.pub").unlink()
    commit_all(release.path)
    done = release.retry("cosign")
    assert done.results == {"cosign": "failed"}, done.output
    assert done.last_line("cosign").startswith("Commit the public key of COSIGN_PRIVATE_KEY as cosign.pub")
