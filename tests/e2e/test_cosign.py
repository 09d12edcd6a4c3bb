"""How jobs come by Cosign: the runner's own, or the pinned release with the pinned checksum."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from local_extensions import unroll
from tests.baked import run
from tests.e2e.cosign import pinned_version
from tests.e2e.runner import Pipe
from tests.e2e.server import SilentHandler
from tests.pipeline import component, load

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Where a Debian has a Python, and no Cosign.
PATH = {"PATH": "/usr/bin:/bin"}
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")


class Mirror:
    """A server that answers every request with the next of some answers, and the last again and again."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.paths: list[str] = []
        self.server = make_server("127.0.0.1", 0, self.answer, threaded=True, request_handler=SilentHandler)
        self.url = f"http://127.0.0.1:{self.server.port}/releases"

    def answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        self.paths.append(environ["PATH_INFO"])
        status, content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Response(content, status)(environ, start_response)


@pytest.fixture
def mirror(request: pytest.FixtureRequest) -> Iterator[Mirror]:
    """A mirror of Cosign's releases with the answers that a test is parametrized with."""
    served = Mirror(*request.param)
    thread = Thread(target=served.server.serve_forever)
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


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
    text = unroll(component("cosign"), inputs)
    if sha256:
        (project / ".gitlab-ci.yml").write_text(text, encoding="utf-8")
        pinned = load(project / ".gitlab-ci.yml")["cosign"]["variables"][f"COSIGN_SHA256_{ARCHITECTURE.upper()}"]
        text = text.replace(pinned, sha256)
    (project / ".gitlab-ci.yml").write_text(f"stages: [build]\n\n{text}", encoding="utf-8")


def test_cosign_3_on_path_is_used(project: Path, pipe: Pipe, cosign: Path) -> None:
    done = pipe(project, event="tag", variables={"PATH": f"{cosign.parent}:{PATH['PATH']}"})
    assert done.results == {"cosign": "passed"}, done.output
    assert "is on PATH." in done.log("cosign")
    assert done.artifact("cosign", ".cosign/cosign").read_bytes() == cosign.read_bytes()


@pytest.mark.parametrize("said", ['{"gitVersion": "v2.4.1"}', "cosign: command not understood"])
def test_another_cosign_on_path_is_refused(said: str, project: Path, pipe: Pipe, tmp_path: Path) -> None:
    other = tmp_path / "bin" / "cosign"
    other.parent.mkdir()
    other.write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
    other.chmod(0o755)
    done = pipe(project, event="tag", variables={"PATH": f"{other.parent}:{PATH['PATH']}"})
    assert done.results == {"cosign": "failed"}
    assert done.last_line("cosign").endswith("the jobs need 3: update it, or take it from PATH.")


@pytest.mark.parametrize("mirror", [[(503, b"later"), (200, b"#!/bin/sh\n")]], indirect=True)
def test_the_pinned_release_is_fetched_and_a_fault_heals(mirror: Mirror, project: Path, pipe: Pipe) -> None:
    write(project, {"cosign_releases": mirror.url}, hashlib.sha256(b"#!/bin/sh\n").hexdigest())
    done = pipe(project, event="tag", variables=PATH)
    assert done.results == {"cosign": "passed"}, done.output
    assert mirror.paths == [f"/releases/{pinned_version()}/cosign-linux-{ARCHITECTURE}"] * 2
    program = done.artifact("cosign", ".cosign/cosign")
    assert program.read_bytes() == b"#!/bin/sh\n"
    assert program.stat().st_mode & 0o111


@pytest.mark.parametrize("mirror", [[(200, b"<html>Sign in</html>")]], indirect=True)
def test_a_file_with_another_checksum_is_never_kept(mirror: Mirror, project: Path, pipe: Pipe) -> None:
    write(project, {"cosign_releases": mirror.url})
    done = pipe(project, event="tag", variables=PATH)
    assert done.results == {"cosign": "failed"}
    assert done.last_line("cosign").endswith("it is not the released file, and is not used.")
    assert not done.report("cosign", ".cosign").exists()


@pytest.mark.parametrize("mirror", [[(404, b"")]], indirect=True)
def test_releases_that_do_not_answer(mirror: Mirror, project: Path, pipe: Pipe) -> None:
    write(project, {"cosign_releases": mirror.url})
    done = pipe(project, event="tag", variables=PATH)
    assert done.results == {"cosign": "failed"}
    assert done.last_line("cosign").endswith("retry the job, or set the input cosign_releases to a mirror.")
    assert len(mirror.paths) == 3
