"""The program with which `verify-published` takes a release from an index, whatever the index says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from werkzeug.wrappers import Request, Response

from scripts.__main__ import text_of
from tools.stand_ins.server import Server

NAME = "another-1.0.0-py3-none-any.whl"
JSON = "application/vnd.pypi.simple.v1+json"


class Index(Server):
    """A GitLab and an index that has one page, and some file under each address that is none of a page."""

    page = ""
    kind = "text/html"

    @property
    def url(self) -> str:
        """The address of both."""
        return f"http://127.0.0.1:{self.port}"

    def identify(self, request: Request) -> str:
        """Return the names of the headers that hold a token."""
        return " ".join(name for name in ("Job-Token", "Authorization") if name in request.headers)

    def respond(self, request: Request, path: str) -> Response:
        """Send the page, or the file."""
        if path == "/index/another":
            return Response(self.page, content_type=self.kind)
        return Response("a file")

    def files(self) -> list[str]:
        """Return the files of the index that were asked for."""
        return [unquote(request.path).rpartition("/")[2] for request in self.requests("^/files/")]


@pytest.fixture
def index() -> Iterator[Index]:
    """An index without a page."""
    with Index() as served:
        yield served


def download(index: Index, folder: Path, tag: str = "v1.0.0") -> subprocess.CompletedProcess[str]:
    """Run the program as the job does."""
    folder.mkdir()
    given = {
        "CI_API_V4_URL": f"{index.url}/api",
        "CI_PROJECT_ID": "1",
        "CI_JOB_TOKEN": "a-token",
        "CI_COMMIT_TAG": tag,
        "PY_CI_PACKAGE_NAME": "another",
        "PY_CI_INDEX_URL": f"{index.url}/index",
        "UV_HTTP_TIMEOUT": "5",
    }
    command = [sys.executable, "-I", "-"]
    text = text_of("scripts/download.py")
    return subprocess.run(
        command, input=text, cwd=folder, env={**os.environ, **given}, capture_output=True, encoding="utf-8"
    )


def link(href: str, text: str = NAME) -> str:
    """Return a link of a page."""
    return f'<!DOCTYPE html><a href="{href}">{text}</a>'


@pytest.mark.parametrize(
    "page",
    [
        link(f"/files/{NAME}", f"../../{NAME}"),
        link(f"/files/{NAME}", f"..\\{NAME}"),
        link(f"/files/..%2F..%2F{NAME}"),
        link(f"/files/..%252F{NAME}"),
        link(f"/files/..%5C{NAME}"),
        json.dumps({"files": [{"url": f"/files/{NAME}", "filename": f"../{NAME}"}]}),
        json.dumps({"files": [{"url": f"/files/..%2F{NAME}", "filename": NAME}]}),
    ],
)
def test_a_path_in_the_place_of_a_name_is_refused_in_one_line(page: str, index: Index, tmp_path: Path) -> None:
    index.page, index.kind = page, JSON if page.startswith("{") else "text/html"
    done = download(index, tmp_path / "job")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("in the index is not the name of a file.\n")
    assert index.files() == []
    assert {path.name for path in tmp_path.iterdir()} == {"job"}


TAKEN = [
    NAME,
    "another-1.0.0.tar.gz",
    "Another-1.0.0.zip",
    "another-1.0.0+evil-py3-none-any.whl",
    "another-1.0.0+evil.1.tar.gz",
    "another-1.0-cp39-cp39-win_amd64.whl",
    "another-1-py2-none-any.whl",
    "another-v1.0.0.tar.gz",
    "another-1.0.0.0.tar.bz2",
    "another-1.0.0-py3.9.tar.gz",
    "another-1.0.0-1-py3-none-any.whl",
]
LEFT = [
    "another-1.0.0rc1-py3-none-any.whl",
    "another-1.0.0.post1-py3-none-any.whl",
    "another-1.0.0.dev1.tar.gz",
    "another-1.0.1.tar.gz",
    "another-one-1.0.0.tar.gz",
    "other-1.0.0-py3-none-any.whl",
    "another-1.0.0.txt",
    "another-1.0.0.exe",
    "another.tar.gz",
    "another-1.0.0-evil-py3-none-any.whl",
]


@pytest.mark.parametrize("kind", ["text/html", JSON])
def test_whatever_pip_would_take_for_the_version_is_taken(kind: str, index: Index, tmp_path: Path) -> None:
    names = [*TAKEN, *LEFT]
    index.kind = kind
    index.page = "".join(link(f"/files/{name}#sha256=0", name) for name in names)
    if kind == JSON:
        index.page = json.dumps({"files": [{"url": f"/files/{name}", "filename": name} for name in names]})
    done = download(index, tmp_path / "job")
    assert done.returncode == 0, done.stderr
    assert sorted(index.files()) == sorted(TAKEN)
    assert sorted(path.name for path in (tmp_path / "job" / "dist").iterdir()) == sorted(TAKEN)


def test_a_file_that_a_fragment_names_otherwise_is_taken(index: Index, tmp_path: Path) -> None:
    index.page = link("/files/evil.tar.gz#egg=another-1.0.0", "evil.tar.gz") + link(f"/files/{NAME}")
    assert download(index, tmp_path / "job").returncode == 0
    assert index.files() == ["evil.tar.gz", NAME]


def test_a_pre_release_is_known_in_every_spelling(index: Index, tmp_path: Path) -> None:
    names = ["another-1.0.0rc1.tar.gz", "another-1.0.0-RC1.zip", "another-1.0rc1+x-py3-none-any.whl"]
    index.page = "".join(link(f"/files/{name}", name) for name in (*names, NAME))
    assert download(index, tmp_path / "job", "v1.0.0rc1").returncode == 0
    assert index.files() == names


def test_the_token_of_the_job_is_given_to_its_project_only(index: Index, tmp_path: Path) -> None:
    index.page = link(f"/files/{NAME}")
    assert download(index, tmp_path / "job").returncode == 0
    given = {request.path for request in index.requests() if request.authenticated}
    assert given == {request.path for request in index.requests("^/api/")}
    assert len(given) < len(index.requests())


@pytest.mark.parametrize("page", [link("file:///etc/hostname"), link(f"file:///tmp/{NAME}"), "not a page", ""])
def test_an_index_without_a_file_of_the_version(page: str, index: Index, tmp_path: Path) -> None:
    index.page = page
    done = download(index, tmp_path / "job")
    assert done.returncode == 1
    assert done.stderr.startswith("The download failed: ")
    assert "Traceback" not in done.stderr
