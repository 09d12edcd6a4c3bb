"""The container registry of the loopback GitLab, asked by the clients that jobs use."""

from __future__ import annotations

import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
from hashlib import sha256
from http.client import HTTPConnection, HTTPSConnection, RemoteDisconnected
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import jwt
import pytest

from tools.requirements import find_program
from tools.stand_ins.client import Answer, basic, job
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.registry import Registry

ALWAYS = sys.maxsize
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# Those of root keep what they know of all registries below /var/lib, those of others below their home.
SOMEBODY = {"_CONTAINERS_ROOTLESS_UID": "1000", "_CONTAINERS_USERNS_CONFIGURED": "done"} if os.geteuid() == 0 else {}


def ask(method: str, url: str, headers: dict[str, str] | None = None) -> Answer:
    """Make one request; follow no redirect, and take any certificate."""
    address = urlsplit(url)
    if address.scheme == "https":
        context = ssl._create_unverified_context()  # noqa: S323
        connection: HTTPConnection = HTTPSConnection(address.netloc, timeout=10, context=context)
    else:
        connection = HTTPConnection(address.netloc, timeout=10)
    connection.request(method, f"{address.path}?{address.query}", headers=headers or {})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def tokens(gitlab: GitLab, *scopes: str, service: str = "container_registry") -> str:
    """Return the address that gives tokens for scopes."""
    query = [("service", service), ("account", "gitlab-ci-token"), *(("scope", scope) for scope in scopes)]
    return f"{gitlab.url}/jwt/auth?{urlencode(query)}"


def access(gitlab: GitLab, headers: dict[str, str], *scopes: str) -> Any:
    """Return what the token for scopes opens."""
    answer = ask("GET", tokens(gitlab, *scopes), headers)
    return jwt.decode(answer.json["token"], options={"verify_signature": False})["access"]


def bearer(gitlab: GitLab, project: Project, actions: str) -> dict[str, str]:
    """Return the header with which a job does something in its project."""
    answer = ask("GET", tokens(gitlab, f"repository:{project.path.lower()}:{actions}"), basic(project.token))
    return {"Authorization": f"Bearer {answer.json['token']}"}


class Image(NamedTuple):
    """An image in a folder, in the layout of https://github.com/opencontainers/image-spec, and its digest."""

    folder: Path
    digest: str

    @property
    def source(self) -> str:
        """How skopeo names it."""
        return f"oci:{self.folder}"


class Client:
    """What a job runs: skopeo and buildah, with the variables that it has, and a file for its login."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        folder.mkdir()
        self.variables = variables
        self.target = f"docker://{variables['CI_REGISTRY_IMAGE']}:v1"
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), **SOMEBODY, **variables}
        self._login = ("--authfile", folder / "auth.json")
        self._storage = ("--storage-driver", "vfs", "--root", folder / "root", "--runroot", folder / "runroot")

    def skopeo(self, command: str, *what: str | Path, text: str = "") -> tuple[int, str]:
        """Run skopeo; return its exit status and output."""
        return self._run(find_program("skopeo", "apt install skopeo"), command, *self._login, *what, text=text)

    def login(self, *, user: str = "gitlab-ci-token", token: str = "") -> tuple[int, str]:
        """Log in with the token of the job or another."""
        given = token or self.variables["CI_REGISTRY_PASSWORD"]
        host = self.variables["CI_REGISTRY"]
        return self.skopeo("login", "--username", user, "--password-stdin", host, text=given)

    def push(self, image: Image, *options: str | Path, target: str = "") -> tuple[int, str]:
        """Copy an image to where the project has it, or elsewhere."""
        return self.skopeo("copy", *options, image.source, target or self.target)

    def digest(self) -> str:
        """Return the digest of the image in the registry."""
        status, output = self.skopeo("inspect", "--format", "{{.Digest}}", self.target)
        assert status == 0, output
        return output.strip()

    def buildah(self, command: str, *what: str | Path) -> str:
        """Run buildah; return its output."""
        status, output = self._run(find_program("buildah", "apt install buildah"), *self._storage, command, *what)
        assert status == 0, output
        return output

    def buildah_push(self, name: str, digest: Path) -> None:
        """Push an image with buildah, and write its digest."""
        self.buildah("push", *self._login, "--digestfile", digest, name, self.target)

    def _run(self, *command: str | Path, text: str = "") -> tuple[int, str]:
        """Run a command; return its exit status and output."""
        done = subprocess.run(
            command, env=self._env, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )
        return done.returncode, done.stdout


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image with one layer, which is empty."""
    folder = tmp_path / "image"
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def store(content: bytes, kind: str) -> dict[str, Any]:
        digest = sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    tar = bytes(1024)
    files = {"type": "layers", "diff_ids": [f"sha256:{sha256(tar).hexdigest()}"]}
    config = store(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": files}).encode(), CONFIG)
    known = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [store(gzip.compress(tar), LAYER)]}
    manifest = store(json.dumps(known).encode(), MANIFEST)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    return Image(folder, manifest["digest"])


@pytest.fixture
def project(gitlab: GitLab) -> Project:
    """A project whose path is not that of its images."""
    return gitlab.add_project("group/Subgroup/parcel")


@pytest.fixture
def other(gitlab: GitLab) -> Project:
    """A project whose path begins as that does."""
    return gitlab.add_project("group/subgroup/parcels")


@pytest.fixture
def client(registry: Registry, project: Project, tmp_path: Path) -> Client:
    """The clients of a job that has logged in."""
    made = Client(tmp_path / "job", registry.variables(project))
    assert made.login() == (0, "Login Succeeded!\n")
    return made


def test_a_client_that_connects_and_says_nothing_keeps_nobody_waiting(registry: Registry) -> None:
    with socket.create_connection(("127.0.0.1", registry.port)):
        assert ask("GET", f"https://localhost:{registry.port}/v2/").status == 401


def test_a_job_learns_of_the_registry(registry: Registry, project: Project) -> None:
    assert registry.variables(project) == {
        "CI_REGISTRY": f"localhost:{registry.port}",
        "CI_REGISTRY_IMAGE": f"localhost:{registry.port}/group/subgroup/parcel",
        "CI_REGISTRY_USER": "gitlab-ci-token",
        "CI_REGISTRY_PASSWORD": project.token,
        "SSL_CERT_FILE": str(registry.trusted),
        "PY_CI_BASE_IMAGE": f"localhost:{registry.port}/group/subgroup/parcel/python:slim",
    }


def test_skopeo_pushes_and_inspects_an_image(
    gitlab: GitLab, registry: Registry, client: Client, image: Image, tmp_path: Path
) -> None:
    status, output = client.push(image, "--digestfile", tmp_path / "digest")
    assert status == 0, output
    assert (tmp_path / "digest").read_text(encoding="utf-8") == client.digest() == image.digest
    assert [request.status for request in registry.requests("/v2/group/subgroup/parcel/manifests/v1")] == [201, 200]
    assert {request.method for request in registry.requests("/blobs/")} == {"HEAD", "POST", "PATCH", "PUT", "GET"}
    assert all(request.user_agent.startswith("skopeo/") for request in registry.requests(method="PATCH"))
    assert {request.authenticated for request in gitlab.requests("/jwt/auth")} == {"basic"}
    status, output = client.push(image, target=client.target.replace(":v1", "/cache:v1"))
    assert status == 0, output


def test_buildah_pushes_an_image(client: Client, tmp_path: Path) -> None:
    container = client.buildah("from", "scratch").strip()
    client.buildah("commit", container, "parcel")
    client.buildah_push("parcel", tmp_path / "digest")
    assert (tmp_path / "digest").read_text(encoding="utf-8") == client.digest()


def test_what_is_another_project_s_is_denied(
    registry: Registry, client: Client, other: Project, image: Image, tmp_path: Path
) -> None:
    status, output = client.push(image, target=f"docker://{registry.image(other)}:v1")
    assert status == 1
    assert "denied: requested access to the resource is denied" in output
    assert client.push(image)[0] == 0
    stranger = Client(tmp_path / "other", {**registry.variables(other), "CI_REGISTRY_IMAGE": client.target[9:-3]})
    assert stranger.login()[0] == 0
    status, output = stranger.skopeo("inspect", client.target)
    assert status == 1
    assert "denied: requested access to the resource is denied" in output


def test_a_wrong_token_or_user_is_refused(client: Client, project: Project, image: Image) -> None:
    assert client.login(token="wrong")[0] == client.login(user="somebody", token=project.token)[0] == 1  # noqa: S106
    status, output = client.push(image, "--dest-creds", "gitlab-ci-token:wrong")
    assert status == 1
    assert "invalid username/password: unauthorized: HTTP Basic: Access denied." in output


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/blobs/uploads/$"), ("PATCH", "/blobs/uploads/"), ("PUT", "/blobs/uploads/"), ("PUT", "/manifests/")],
)
@pytest.mark.parametrize("fault", [{"status": 500}, {"cut": True}], ids=["500", "cut"])
def test_a_push_heals(
    registry: Registry, client: Client, image: Image, method: str, path: str, fault: dict[str, Any]
) -> None:
    registry.fail_next(1, method=method, path=path, **fault)
    status, output = client.push(image, "--retry-times", "1")
    if "status" in fault and status == 1:
        # Skopeo 1.9 tries again only where the connection failed.
        assert "500 INTERNAL SERVER ERROR" in output
        status, output = client.push(image)
    assert status == 0, output
    assert registry.requests(path, method=method)[0].status == fault.get("status")
    assert client.digest() == image.digest


def test_a_push_fails_while_the_registry_is_down(registry: Registry, client: Client, image: Image) -> None:
    registry.fail_next(ALWAYS, path="/uploads/", status=503)
    status, output = client.push(image, "--retry-times", "1")
    assert status == 1
    assert "503 SERVICE UNAVAILABLE" in output
    registry.heal()
    registry.fail_next(ALWAYS, path="/manifests/", cut=True)
    status, output = client.push(image, "--retry-times", "1")
    assert status == 1
    assert "EOF" in output
    assert len(registry.requests("/manifests/", method="PUT")) == 2


def test_a_cut_answer_comes_after_the_deed(
    gitlab: GitLab, registry: Registry, client: Client, project: Project, image: Image
) -> None:
    assert client.push(image)[0] == 0
    url = f"{registry.url}/v2/group/subgroup/parcel/manifests/{image.digest}"
    allowed = bearer(gitlab, project, "pull,delete")
    registry.fail_next(1, method="DELETE", cut=True)
    with pytest.raises(RemoteDisconnected):
        ask("DELETE", url, allowed)
    assert registry.requests(method="DELETE")[0].status is None
    assert ask("GET", url, allowed | {"Accept": MANIFEST}).status == 404


def test_answers_name_the_registry_and_the_length_of_what_they_leave_out(
    gitlab: GitLab, registry: Registry, client: Client, project: Project, image: Image
) -> None:
    assert client.push(image)[0] == 0
    repository = f"{registry.url}/v2/group/subgroup/parcel"
    asked = ask("GET", f"{repository}/tags/list")
    scope = "repository:group/subgroup/parcel:pull"
    assert asked.headers["WWW-Authenticate"] == (
        f'Bearer realm="{registry.url}/jwt/auth",service="container_registry",scope="{scope}"'
    )
    allowed = bearer(gitlab, project, "pull,push")
    begun = ask("POST", f"{repository}/blobs/uploads/", allowed)
    assert begun.headers["Location"].startswith(f"{repository}/blobs/uploads/{begun.headers['Docker-Upload-UUID']}?")
    manifest = ask("HEAD", f"{repository}/manifests/v1", allowed | {"Accept": MANIFEST})
    length = (image.folder / "blobs" / image.digest.replace(":", "/")).stat().st_size
    assert (manifest.headers["Content-Length"], manifest.body) == (str(length), b"")
    assert manifest.headers["Docker-Content-Digest"] == image.digest


def test_a_token_opens_what_a_job_may_do_of_what_it_asks_for(gitlab: GitLab, project: Project, other: Project) -> None:
    own, below = "repository:group/subgroup/parcel", "repository:group/subgroup/parcel/cache"
    token = basic(project.token)
    assert access(gitlab, token, f"{own}:pull,push", f"{below}:pull", "repository:group/subgroup/parcels:pull") == [
        {"type": "repository", "name": "group/subgroup/parcel", "actions": ["pull", "push"]},
        {"type": "repository", "name": "group/subgroup/parcel/cache", "actions": ["pull"]},
    ]
    assert access(gitlab, token, f"{own}:*", "registry:catalog:*") == []
    assert access(gitlab, token) == access(gitlab, {}, f"{own}:pull") == access(gitlab, job("x"), f"{own}:pull") == []
    assert access(gitlab, job(project.token), f"{own}:pull") == []


def test_only_who_a_job_s_token_or_a_scope_names_gets_a_token(gitlab: GitLab, project: Project) -> None:
    token = basic(project.token)
    nobody = ask("GET", tokens(gitlab))
    assert (nobody.status, nobody.json["errors"]) == (403, [{"code": "DENIED", "message": "access forbidden"}])
    for wrong in (basic("wrong"), basic(project.token, user="somebody"), {"Authorization": "Bearer x"}):
        refused = ask("GET", tokens(gitlab), wrong)
        assert (refused.status, refused.json["errors"][0]["code"]) == (401, "UNAUTHORIZED")
    assert ask("GET", tokens(gitlab, service="dependency_proxy"), token).status == 404
    assert ask("POST", tokens(gitlab), token).status == 404


def test_the_registry_takes_the_tokens_of_its_gitlab_only(
    gitlab: GitLab, registry: Registry, project: Project, upstream: str, tmp_path: Path
) -> None:
    tags = f"{registry.url}/v2/group/subgroup/parcel/tags/list"
    assert ask("GET", tags, bearer(gitlab, project, "pull")).json["errors"][0]["code"] == "NAME_UNKNOWN"
    with GitLab(tmp_path / "another", upstream) as another:
        forged = bearer(another, another.add_project(project.path), "pull")
    assert ask("GET", tags, forged).status == 401
