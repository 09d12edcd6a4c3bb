"""What `verify-published` makes of what the registries have, and its program of what an index says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

import pytest
from werkzeug.wrappers import Request, Response

from scripts.__main__ import text_of
from tools.commands import commit_all, run
from tools.samples import remedies
from tools.samples.package import (
    EXTRA,
    IDENTITY,
    LOCAL,
    PUBLISHING,
    VERIFYING,
    Release,
    files_of,
    set_version,
    signatures,
)
from tools.samples.remedies import NOT_ALL, OF_OTHERS
from tools.stand_ins.cosign import make_bundle, make_key_pair
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.server import ALWAYS, Server

WHEEL, SDIST = files_of("1.0.0")

INCOMPLETE = "The release is not complete in the registries."
NOT_SIGNED = f"{remedies.NOT_SIGNED} {IDENTITY}"


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        pytest.param(f"echo evil >> pypi/{WHEEL}", NOT_ALL, id="a wheel is changed"),
        pytest.param(f"cp pypi/{WHEEL} pypi/{EXTRA}", INCOMPLETE, id="a wheel is added"),
        pytest.param(
            f"cp pypi/{WHEEL} pypi/{EXTRA}; cd $SIGNATURES;"
            f' for kind in "" .provenance .sbom; do cp {WHEEL}$kind.sigstore.json {EXTRA}$kind.sigstore.json; done',
            NOT_ALL,
            id="a wheel is added, and bundles",
        ),
        pytest.param(f"cp pypi/{WHEEL} pypi/{LOCAL}", INCOMPLETE, id="a local version is added"),
        pytest.param(
            f"cp pypi/{WHEEL} pypi/{LOCAL}; cd $SIGNATURES;"
            f' for kind in "" .provenance .sbom; do cp {WHEEL}$kind.sigstore.json {LOCAL}$kind.sigstore.json; done',
            NOT_ALL,
            id="a local version is added, and bundles",
        ),
        pytest.param("echo '{}' > $SIGNATURES/sbom.cdx.json", OF_OTHERS, id="the bill of materials is another"),
        pytest.param("echo evil > $SIGNATURES/sbom.cdx.json", OF_OTHERS, id="the bill of materials is none"),
        pytest.param("rm $SIGNATURES/sbom.cdx.json", INCOMPLETE, id="the bill of materials is missing"),
        pytest.param(f"rm pypi/{SDIST}", NOT_ALL, id="a distribution is missing"),
        pytest.param(
            f"echo evil >> pypi/{WHEEL}; cd pypi; sha256sum * > $SIGNATURES/SHA256SUMS",
            NOT_SIGNED,
            id="a wheel is changed, and its sum",
        ),
        pytest.param(
            f"cd $SIGNATURES; cp {SDIST}.sigstore.json {WHEEL}.sigstore.json",
            NOT_SIGNED,
            id="a bundle is another file's",
        ),
        pytest.param(f"rm $SIGNATURES/{WHEEL}.sbom.sigstore.json", INCOMPLETE, id="a bundle is missing"),
        pytest.param("rm $SIGNATURES/*", INCOMPLETE, id="the signatures are missing"),
        pytest.param("rm pypi/*", INCOMPLETE, id="the distributions are missing"),
    ],
)
def test_a_change_in_the_registries_is_refused(published: Release, here: Project, attack: str, message: str) -> None:
    here.upstream = None
    run("sh", "-e", "-c", f"SIGNATURES={signatures(here)}; {attack}", cwd=here.folder)
    done = published.retry("verify-published")
    assert done.results == {"verify-published": "failed"}, done.output
    assert done.last_line("verify-published").startswith(message)
    assert "another 1.0.0" not in done.log("verify-published"), "nothing of it has run"


def test_a_bundle_of_another_project_is_refused(
    published: Release, here: Project, cosign: Path, tmp_path: Path
) -> None:
    other = make_key_pair(cosign, tmp_path / "other")
    evil = make_bundle(cosign, other, tmp_path / "evil", "sign-blob", here.folder / "pypi" / WHEEL)
    evil.replace(signatures(here) / f"{WHEEL}.sigstore.json")
    done = published.retry("verify-published")
    assert done.results == {"verify-published": "failed"}
    assert done.last_line("verify-published") == NOT_SIGNED


def test_an_older_version_in_the_place_of_the_new_one_is_refused(
    release: Release, here: Project, gitlab: GitLab
) -> None:
    set_version(release.path, "0.9.0")
    commit_all(release.path)
    run("git", "tag", "v0.9.0", cwd=release.path)
    older = release.retry(*VERIFYING, *PUBLISHING, event="tag v0.9.0")
    assert set(older.results.values()) == {"passed"}, older.output
    for folder in (here.folder / "pypi", here.folder / "generic" / "another" / "0.9.0"):
        target = folder if folder.name == "pypi" else signatures(here)
        target.mkdir(exist_ok=True)
        for file in list(folder.iterdir()):
            file.replace(target / file.name.replace("0.9.0", "1.0.0"))
    done = release.retry("verify-published")
    assert done.results == {"verify-published": "failed"}, done.output
    assert done.last_line("verify-published").startswith(NOT_ALL)
    sums = signatures(here) / "SHA256SUMS"
    sums.write_text(sums.read_text(encoding="utf-8").replace("0.9.0", "1.0.0"), encoding="utf-8")
    done = release.retry("verify-published")
    assert done.last_line("verify-published") == NOT_SIGNED


SETUP = """
import pathlib
pathlib.Path({marker!r}).touch()
import setuptools
setuptools.setup(name="another", version="1.0.0")
"""


def test_no_code_of_a_source_distribution_runs(published: Release, here: Project, tmp_path: Path) -> None:
    sdist, marker = here.folder / "pypi" / SDIST, tmp_path / "marker"
    with tarfile.open(sdist, "w:gz") as archive:
        content = SETUP.format(marker=str(marker)).encode()
        member = tarfile.TarInfo("another-1.0.0/setup.py")
        member.size = len(content)
        archive.addfile(member, BytesIO(content))
    done = published.retry("verify-published")
    assert done.results == {"verify-published": "failed"}
    assert done.last_line("verify-published").startswith(NOT_ALL)
    assert not marker.exists()
    run(sys.executable, "-m", "pip", "download", "--no-deps", "--dest", tmp_path, sdist)
    assert marker.exists(), "this is what pip does before anybody could verify"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of a package index that has a package of the same name."""
    folder = tmp_path / "elsewhere" / "another"
    folder.mkdir(parents=True)
    (folder / WHEEL).write_bytes(b"evil")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder.parent)) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_name_that_only_another_index_has_is_refused(release: Release, here: Project, elsewhere: str) -> None:
    here.upstream = elsewhere
    assert release.retry("publish-signatures").status == 0
    done = release.retry("verify-published")
    assert done.results == {"verify-published": "failed"}
    host = elsewhere.removeprefix("http://").strip("/")
    assert f"another is not in the index, which sends to {host} for it." in done.log("verify-published")
    assert done.last_line("verify-published").startswith(INCOMPLETE)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/simple/another", INCOMPLETE),
        (f"/{WHEEL}$", NOT_ALL),
        ("/SHA256SUMS$", NOT_ALL),
        ("/SHA256SUMS.sigstore.json$", NOT_SIGNED),
        (f"/{WHEEL}.provenance.sigstore.json$", NOT_SIGNED),
        ("/info/refs$", "Do not use these files. They were signed for another project"),
    ],
)
def test_a_page_in_the_place_of_an_answer_is_refused(
    published: Release, gitlab: GitLab, path: str, message: str
) -> None:
    gitlab.fail_next(ALWAYS, path=path, status=200)
    done = published.retry("verify-published")
    assert done.results == {"verify-published": "failed"}
    assert done.last_line("verify-published").startswith(message)


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
