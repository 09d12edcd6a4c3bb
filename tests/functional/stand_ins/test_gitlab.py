"""The loopback GitLab, asked by the clients that jobs use."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection, IncompleteRead
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tools.commands import run
from tools.stand_ins.client import Answer, basic, job
from tools.stand_ins.gitlab import GitLab, package_index
from tools.stand_ins.gitlab_project import Project

ALWAYS = sys.maxsize
TAKEN = {"message": "400 Bad request - Validation failed: File name has already been taken"}


def ask(method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
    """Make one request; follow no redirect."""
    address = urlsplit(url)
    connection = HTTPConnection(address.netloc, timeout=10)
    connection.request(method, address.path, body, headers or {})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def wheel(folder: Path, content: str = "", name: str = "parcel") -> Path:
    """Build a wheel of one module."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(content, encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        f"""
[project]
name = "{name}"
version = "1.0"
[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
[tool.uv.build-backend]
module-root = ""
""",
        encoding="utf-8",
    )
    run("uv", "build", "--wheel", "--no-config", cwd=folder)
    return folder / "dist" / f"{name}-1.0-py3-none-any.whl"


def attempt(*command: str | Path, **variables: str) -> tuple[int, str]:
    """Run a client with the settings given and none of this machine's; return its exit status and output."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CI_", "PIP_", "TWINE_", "UV_"))}
    quiet = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1", "UV_NO_CONFIG": "1"}
    # Without it uv waits for seconds before it asks again.
    soon = {"UV_INTERNAL__TEST_NO_HTTP_RETRY_DELAY": "1"}
    done = subprocess.run(
        command,
        env={**env, **quiet, **soon, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    # Clients break long lines where a terminal would.
    return done.returncode, " ".join(done.stdout.split())


def with_token(url: str, token: str) -> str:
    """Return an address that gives the token of a job."""
    return url.replace("://", f"://gitlab-ci-token:{token}@")


def publish(
    gitlab: GitLab, project: Project, file: Path, token: str | None = None, **variables: str
) -> tuple[int, str]:
    """Upload a file with uv, unless the project has it."""
    token = token or project.token
    return attempt(
        *("uv", "publish", "--publish-url", gitlab.pypi(project), file),
        UV_PUBLISH_USERNAME="gitlab-ci-token",
        UV_PUBLISH_PASSWORD=token,
        # uv checks without the credentials for publishing: https://github.com/astral-sh/uv/issues/11836
        **{"UV_PUBLISH_CHECK_URL": with_token(f"{gitlab.pypi(project)}/simple", token), **variables},
    )


def twine(gitlab: GitLab, project: Project, file: Path, token: str) -> tuple[int, str]:
    """Upload a file with twine."""
    command = ("twine", "upload", "--non-interactive", "--verbose", "--repository-url", gitlab.pypi(project), file)
    return attempt(*command, TWINE_USERNAME="gitlab-ci-token", TWINE_PASSWORD=token)


def pip(gitlab: GitLab, project: Project, folder: Path, name: str = "parcel") -> tuple[int, str]:
    """Download a package with pip."""
    index = with_token(f"{gitlab.pypi(project)}/simple", project.token)
    return attempt(sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, name, PIP_INDEX_URL=index)


def install(gitlab: GitLab, project: Project, folder: Path, **variables: str) -> tuple[int, str]:
    """Install a package with uv."""
    return attempt(
        *("uv", "pip", "install", "--python", sys.executable, "--target", folder, "parcel"),
        UV_DEFAULT_INDEX=f"gitlab={gitlab.pypi(project)}/simple",
        UV_INDEX_GITLAB_USERNAME="gitlab-ci-token",
        UV_INDEX_GITLAB_PASSWORD=project.token,
        **variables,
    )


@pytest.fixture
def project(gitlab: GitLab) -> Project:
    """A project in a subgroup."""
    return gitlab.add_project("group/subgroup/parcel")


@pytest.fixture
def stored(gitlab: GitLab, project: Project, tmp_path: Path) -> Path:
    """A wheel that the project has."""
    file = wheel(tmp_path / "stored", "answer = 42\n")
    status, output = publish(gitlab, project, file)
    assert status == 0, output
    return file


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of a package index that has a package named outsider."""
    folder = tmp_path / "elsewhere" / "outsider"
    folder.mkdir(parents=True)
    file = wheel(tmp_path / "outsider", name="outsider")
    file.rename(folder / file.name)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder.parent)) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_published_wheel_is_downloaded_by_pip_and_installed_by_uv(
    gitlab: GitLab, project: Project, stored: Path, tmp_path: Path
) -> None:
    status, output = pip(gitlab, project, tmp_path / "pip")
    assert status == 0, output
    assert (tmp_path / "pip" / stored.name).read_bytes() == stored.read_bytes()
    status, output = install(gitlab, project, tmp_path / "uv")
    assert status == 0, output
    assert (tmp_path / "uv" / "parcel" / "__init__.py").read_text(encoding="utf-8") == "answer = 42\n"
    assert (project.folder / "pypi" / stored.name).is_file()


def test_uv_publishes_the_same_file_again(gitlab: GitLab, project: Project, stored: Path) -> None:
    status, output = publish(gitlab, project, stored)
    assert status == 0, output
    assert "already exists, skipping" in output
    assert len(gitlab.requests(method="POST")) == 1


def test_uv_publishes_no_other_file_of_the_same_name(
    gitlab: GitLab, project: Project, stored: Path, tmp_path: Path
) -> None:
    status, output = publish(gitlab, project, wheel(tmp_path / "other", "answer = 43\n"))
    assert status == 2
    assert f"Local file and index file do not match for `{stored.name}`" in output


def test_uv_does_not_see_what_a_private_project_has_if_only_its_upload_has_a_token(
    gitlab: GitLab, project: Project, stored: Path
) -> None:
    status, output = publish(gitlab, project, stored, UV_PUBLISH_CHECK_URL=f"{gitlab.pypi(project)}/simple")
    assert status == 2
    assert TAKEN["message"] in output


def test_twine_is_refused_a_duplicate(gitlab: GitLab, project: Project, stored: Path) -> None:
    status, output = twine(gitlab, project, stored, project.token)
    assert status == 1
    assert TAKEN["message"] in output


def test_a_wrong_token_is_refused(gitlab: GitLab, project: Project, tmp_path: Path) -> None:
    file = wheel(tmp_path / "parcel")
    status, output = publish(gitlab, project, file, token="wrong")  # noqa: S106
    assert status == 2
    assert '401 Unauthorized. Server says: {"message":"401 Unauthorized"}' in output
    status, output = twine(gitlab, project, file, "wrong")
    assert status == 1
    assert "401 Unauthorized" in output
    refused = ask("GET", f"{gitlab.pypi(project)}/simple", basic("wrong"))
    assert refused.headers["WWW-Authenticate"] == 'Basic realm="GitLab Packages Registry"'


def test_a_token_counts_only_in_the_way_that_the_page_of_each_api_names(gitlab: GitLab, project: Project) -> None:
    base = f"{gitlab.api}/projects/{project.id}"
    index, file, release = f"{base}/packages/pypi/simple", f"{base}/packages/generic/a/1/b", f"{base}/releases/v1"
    token = project.token
    assert ask("GET", index, basic(token)).status == 200
    assert ask("GET", index, job(token)).status == 401
    assert ask("GET", index, basic(token, user="somebody")).status == 401
    assert ask("GET", file).status == 401
    assert ask("GET", file, basic(token)).json == ask("GET", file, job(token)).json == {"message": "404 Not found"}
    assert ask("GET", release, job(token)).json == {"message": "404 Not Found"}
    assert ask("GET", release, basic(token)).json == {"message": "404 Project Not Found"}
    assert ask("GET", release, job("wrong")).json == {"message": "401 Unauthorized"}


def test_the_token_of_another_project_opens_nothing(gitlab: GitLab, project: Project, stored: Path) -> None:
    token = gitlab.add_project("group/other").token
    status, output = publish(gitlab, project, stored, token=token)
    assert status == 2
    assert '404 Not Found. Server says: {"message":"404 Not Found"}' in output
    base = f"{gitlab.api}/projects/{project.id}"
    for path in ("pypi/simple/parcel", "generic/parcel/1.0/notes.txt"):
        assert ask("GET", f"{base}/packages/{path}", basic(token)).json == {"message": "404 Not Found"}
    refused = ask("GET", f"{base}/releases/v1.0", job(token))
    reason = "Authentication by CI/CD job token not allowed from other to parcel."
    assert (refused.status, refused.json) == (403, {"message": f"403 Forbidden - {reason}"})


def test_an_unknown_project_or_path_is_not_found(gitlab: GitLab, project: Project) -> None:
    unknown = ask("GET", f"{gitlab.api}/projects/999/packages/pypi/simple", basic(project.token))
    assert (unknown.status, unknown.json) == (404, {"message": "404 Not Found"})
    unknown = ask("GET", f"{gitlab.api}/projects/999/releases/v1.0", job(project.token))
    assert (unknown.status, unknown.json) == (404, {"message": "404 Project Not Found"})
    assert ask("GET", f"{gitlab.api}/nothing").json == {"error": "404 Not Found"}


def test_the_index_links_to_packages_and_their_files(gitlab: GitLab, project: Project, stored: Path) -> None:
    token, base = basic(project.token), gitlab.pypi(project)
    assert f'href="{base}/simple/parcel"' in ask("GET", f"{base}/simple", token).body.decode()
    page = ask("GET", f"{base}/simple/parcel", token).body.decode()
    digest = hashlib.sha256(stored.read_bytes()).hexdigest()
    file = f"{base}/files/{digest}/{stored.name}"
    assert f'href="{file}#sha256={digest}"' in page
    assert ask("GET", file, token).body == stored.read_bytes()
    assert ask("GET", file.replace(digest, "0" * 64), token).json == {"message": "404 Package Not Found"}


def test_a_project_is_known_by_its_path_and_a_package_by_any_spelling(
    gitlab: GitLab, project: Project, stored: Path
) -> None:
    index = f"{gitlab.api}/projects/{quote(project.path, safe='')}/packages/pypi/simple"
    assert stored.name in ask("GET", f"{index}/Parcel/", basic(project.token)).body.decode()


def test_a_package_that_the_project_does_not_have_comes_from_the_package_index(
    gitlab: GitLab, project: Project, elsewhere: str, tmp_path: Path
) -> None:
    project.upstream = elsewhere
    answer = ask("GET", f"{gitlab.pypi(project)}/simple/outsider", basic(project.token))
    assert (answer.status, answer.headers["Location"]) == (302, f"{elsewhere}outsider/")
    status, output = pip(gitlab, project, tmp_path, "outsider")
    assert status == 0, output
    assert (tmp_path / "outsider-1.0-py3-none-any.whl").is_file()


def test_a_package_that_the_project_does_not_have_is_not_found_without_forwarding(
    gitlab: GitLab, project: Project, tmp_path: Path
) -> None:
    project.upstream = None
    answer = ask("GET", f"{gitlab.pypi(project)}/simple/outsider", basic(project.token))
    assert (answer.status, answer.json) == (404, {"message": "404 Package Not Found"})
    status, output = pip(gitlab, project, tmp_path, "outsider")
    assert status == 1
    assert "No matching distribution found for outsider" in output


def test_python_gitlab_uploads_and_downloads_a_generic_package(
    gitlab: GitLab, project: Project, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("signed", encoding="utf-8")
    names = ("--package-name", "parcel", "--package-version", "1.0", "--file-name", "notes.txt")
    package = ("--project-id", str(project.id), *names)
    variables = gitlab.variables(project)
    status, output = attempt("gitlab", "generic-package", "upload", *package, "--path", notes, **variables)
    assert status == 0, output
    assert (project.folder / "generic" / "parcel" / "1.0" / "notes.txt").read_text(encoding="utf-8") == "signed"
    assert attempt("gitlab", "generic-package", "download", *package, **variables) == (0, "signed")
    assert [request.authenticated for request in gitlab.requests("/generic/")] == ["JOB-TOKEN", "JOB-TOKEN"]


def test_the_newer_of_two_generic_files_counts_unless_duplicates_are_refused(gitlab: GitLab, project: Project) -> None:
    url, token = f"{gitlab.api}/projects/{project.id}/packages/generic/parcel/1.0/notes.txt", job(project.token)
    for content in (b"old", b"new"):
        answer = ask("PUT", url, token, content)
        assert (answer.status, answer.json) == (201, {"message": "201 Created"})
    project.allow_duplicates = False
    answer = ask("PUT", url, token, b"newest")
    assert (answer.status, answer.json) == (400, {"message": "400 Bad request - Duplicate package is not allowed"})
    answer = ask("GET", url, token)
    assert answer.body == b"new"
    assert answer.headers["X-Checksum-SHA256"] == hashlib.sha256(b"new").hexdigest()
    answer = ask("HEAD", url, token)
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "3", b"")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a%20b/1.0/c", "package_name"),
        ("a/1..0/c", "package_version"),
        ("a/%2E%2E/c", "package_version"),
        ("a/1%2F0/c", "package_version"),
        ("a/1.0/~c", "file_name"),
        ("a/1.0/c@", "file_name"),
        ("a/1.0/c%20d", "file_name"),
    ],
)
def test_a_generic_package_has_plain_names(gitlab: GitLab, project: Project, path: str, name: str) -> None:
    url = f"{gitlab.api}/projects/{project.id}/packages/generic/{path}"
    answer = ask("PUT", url, job(project.token), b"content")
    assert (answer.status, answer.json) == (400, {"error": f"{name} is invalid"})


def test_python_gitlab_creates_a_release_with_links(gitlab: GitLab, project: Project) -> None:
    variables = gitlab.variables(project)
    release = ("--project-id", str(project.id), "--tag-name", "v1.0")
    status, output = attempt("gitlab", "project-release", "create", *release, "--description", "News", **variables)
    assert status == 0, output
    link = ("--name", "parcel", "--url", f"{gitlab.url}/file", "--link-type", "package")
    status, output = attempt("gitlab", "project-release-link", "create", *release, *link, **variables)
    assert status == 0, output
    url, token = f"{gitlab.api}/projects/{project.id}/releases", job(project.token)
    shown = ask("GET", f"{url}/v1.0", token)
    assert shown.status == 200
    assert shown.json["description"] == "News"
    assert shown.json["assets"]["links"] == [
        {"id": 1, "link_type": "package", "name": "parcel", "url": f"{gitlab.url}/file"}
    ]
    again = ask(
        "POST",
        f"{url}/v1.0/assets/links",
        {**token, "Content-Type": "application/json"},
        b'{"name":"parcel","url":"x"}',
    )
    assert (again.status, again.json) == (400, {"message": ["Name has already been taken"]})


def test_a_release_is_created_once(gitlab: GitLab, project: Project) -> None:
    url, headers = (
        f"{gitlab.api}/projects/{project.id}/releases",
        job(project.token) | {"Content-Type": "application/json"},
    )
    links = [{"name": "parcel", "url": "https://example.com/parcel"}]
    release = json.dumps({"tag_name": "release/1.0", "assets": {"links": links}}).encode()
    created = ask("POST", url, headers, release)
    assert created.status == 201
    assert created.json == ask("GET", f"{url}/release%2F1.0", headers).json
    assert created.json["assets"]["links"][0].items() >= links[0].items()
    again = ask("POST", url, headers, release)
    assert (again.status, again.json) == (409, {"message": "Release already exists"})
    assert ask("POST", url, headers, b"{}").json == {"error": "tag_name is missing"}


def test_requests_are_logged_in_order_without_the_token(
    gitlab: GitLab, project: Project, stored: Path, tmp_path: Path
) -> None:
    install(gitlab, project, tmp_path / "uv")
    logged = gitlab.requests("/packages/pypi")
    assert [(request.method, request.status) for request in logged[:2]] == [("GET", 302), ("POST", 201)]
    assert {request.authenticated for request in logged} == {"basic"}
    assert all(request.user_agent.startswith("uv/") for request in logged)
    assert gitlab.requests(method="POST") == gitlab.requests("pypi$") == gitlab.requests(status=201) == logged[1:2]
    ask("GET", f"{gitlab.api}/projects?job_token={project.token}", job("wrong"))
    assert gitlab.requests()[-1].authenticated == ""
    assert project.token not in f"{gitlab.requests()} {project}"


def test_uv_heals_after_two_errors_of_the_server_and_gives_up_when_they_last(
    gitlab: GitLab, project: Project, stored: Path, tmp_path: Path
) -> None:
    gitlab.fail_next(2, path="/simple/parcel", status=500)
    status, output = install(gitlab, project, tmp_path / "uv")
    assert status == 0, output
    assert len(gitlab.requests("/simple/parcel", status=500)) == 2
    gitlab.fail_next(ALWAYS, path="/simple/parcel", status=500)
    status, output = install(gitlab, project, tmp_path / "again")
    assert status == 2
    assert "500 INTERNAL SERVER ERROR" in output


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({"status": 503}, r"\(503 Service Unavailable\)"),
        ({"timeout": 60}, "operation timed out"),
        ({"cut": True}, "end of file before message length reached"),
    ],
    ids=["error", "timeout", "cut"],
)
def test_uv_fails_while_the_fault_lasts_and_then_heals(
    gitlab: GitLab, project: Project, stored: Path, tmp_path: Path, fault: dict[str, Any], complaint: str
) -> None:
    gitlab.fail_next(2, path="/files/.*whl$", **fault)
    patience = {"UV_HTTP_TIMEOUT": "1", "UV_HTTP_RETRIES": "0"}
    status, output = install(gitlab, project, tmp_path / "uv", **patience)
    assert status != 0
    assert re.search(complaint, output, re.IGNORECASE)
    status, output = install(gitlab, project, tmp_path / "uv", UV_HTTP_TIMEOUT="1")
    assert status == 0, output


def test_an_error_changes_nothing_but_a_cut_answer_comes_after_the_deed(gitlab: GitLab, project: Project) -> None:
    url, token = f"{gitlab.api}/projects/{project.id}/packages/generic/parcel/1.0/notes.txt", job(project.token)
    gitlab.fail_next(1, status=502)
    refused = ask("PUT", url, token, b"content")
    assert (refused.status, refused.json) == (502, {"message": "502 Bad Gateway"})
    assert ask("GET", url, token).status == 404
    gitlab.fail_next(1, path="notes", cut=True)
    with pytest.raises(IncompleteRead):
        ask("PUT", url, token, b"content")
    assert ask("GET", url, token).body == b"content"


def test_uv_heals_when_the_answer_to_an_upload_is_lost(gitlab: GitLab, project: Project, tmp_path: Path) -> None:
    gitlab.fail_next(1, path="/pypi$", timeout=60)
    status, output = publish(gitlab, project, wheel(tmp_path / "parcel"), UV_HTTP_TIMEOUT="1")
    assert status == 0, output
    assert [request.status for request in gitlab.requests(method="POST")] == [None, 400]


def test_of_many_uploads_at_once_one_succeeds(gitlab: GitLab, project: Project, tmp_path: Path) -> None:
    form = b"\r\n".join(
        [
            b'--x\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload',
            b'--x\r\nContent-Disposition: form-data; name="content"; filename="parcel-1.0-py3-none-any.whl"\r\n',
            wheel(tmp_path / "parcel").read_bytes(),
            b"--x--\r\n",
        ]
    )
    headers = {**basic(project.token), "Content-Type": "multipart/form-data; boundary=x"}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask("POST", gitlab.pypi(project), headers, form), range(16)))
    assert Counter(answer.status for answer in answers) == {201: 1, 400: 15}
    assert all(answer.json == TAKEN for answer in answers if answer.status == 400)
    assert len(gitlab.requests(method="POST")) == 16


def test_other_requests_are_answered_while_one_is_held(gitlab: GitLab, project: Project) -> None:
    gitlab.fail_next(1, path="held", timeout=1)
    base, token = f"{gitlab.api}/projects/{project.id}/packages/generic/parcel/1.0", job(project.token)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask, "PUT", f"{base}/held", token, b"content")
        assert ask("PUT", f"{base}/swift", token, b"content").status == 201
        assert not held.done()
        assert held.result().status == 201


def test_a_job_learns_where_it_runs(gitlab: GitLab, project: Project) -> None:
    variables = gitlab.variables(project)
    assert variables["CI_SERVER_URL"] == f"http://{variables['CI_SERVER_FQDN']}" == gitlab.url
    assert variables["CI_SERVER_FQDN"] == f"{variables['CI_SERVER_HOST']}:{variables['CI_SERVER_PORT']}"
    assert variables["CI_PROJECT_PATH"] == f"{variables['CI_PROJECT_NAMESPACE']}/{variables['CI_PROJECT_NAME']}"
    assert re.fullmatch(r"glcbt-[\w-]{20,}", variables["CI_JOB_TOKEN"])


def test_the_package_index_is_the_one_that_the_machine_is_set_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    assert re.fullmatch(r"https?://.+/simple/?", package_index())
    monkeypatch.setenv("UV_DEFAULT_INDEX", "mirror=https://example.com/simple?a=b")
    assert package_index() == "https://example.com/simple?a=b"
