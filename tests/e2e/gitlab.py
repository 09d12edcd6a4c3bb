"""A GitLab on the loopback interface for the jobs of a test: its projects, a log of requests, and faults on demand."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import pypiserver
from pip._internal.models.index import PyPI
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from tests.e2e.gitlab_api import authenticate, message, respond

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass
class Project:
    """A private project, the token of its running job, and the folder with all that was uploaded to it.

    GitLab looks in `upstream`, the address of a package index, for a package that the project does not have;
    None turns that off. `allow_duplicates` is the setting of the generic registry. `repository` has its tags.
    """

    id: int
    path: str
    folder: Path
    upstream: str | None
    repository: Path | None = None
    allow_duplicates: bool = True
    token: str = field(default_factory=lambda: f"glcbt-{secrets.token_urlsafe(20)}", repr=False)
    pypiserver: WSGIApplication = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for registry in ("pypi", "generic", "releases"):
            (self.folder / registry).mkdir(parents=True)
        self.pypiserver = pypiserver.app(
            roots=[self.folder / "pypi"],
            authenticate=[],
            password_file=".",  # noqa: S106
            backend_arg="simple-dir",
            disable_fallback=True,
            hash_algo="sha256",
        )

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass
class LoggedRequest:
    """A request as it arrived; `status` is None until it is answered.

    `authenticated` says how it proved to be a job: "basic", "JOB-TOKEN", or "" where it did not.
    """

    method: str
    path: str
    query: str
    user_agent: str
    authenticated: str = ""
    status: int | None = None


@dataclass
class Fault:
    """What befalls the next requests to a path."""

    left: int
    method: str
    path: str
    status: int | None
    timeout: float
    cut: bool

    def befalls(self, method: str, path: str) -> bool:
        """Tell whether a request is one of those."""
        return self.left > 0 and self.method in ("", method) and re.search(self.path, path) is not None


class SilentHandler(WSGIRequestHandler):
    """Keeps requests out of the output of tests; `GitLab.requests` has them."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing."""


class GitLab:
    """The server, which runs within a `with` block and keeps what it is given in a folder.

    `upstream` is the address of the package index that its projects forward to, `root` the path under which
    the server has GitLab: https://docs.gitlab.com/install/relative_url/
    """

    def __init__(self, folder: Path, upstream: str, root: str = "") -> None:
        self.folder = folder
        self.upstream = upstream
        self.root = root
        self.projects: list[Project] = []
        self._log: list[LoggedRequest] = []
        self._faults: list[Fault] = []
        self._lock = Lock()
        self._stopping = Event()

    def __enter__(self) -> Self:
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=SilentHandler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The address of GitLab."""
        return f"http://127.0.0.1:{self._server.port}{self.root}"

    @property
    def api(self) -> str:
        """The address of the API."""
        return f"{self.url}/api/v4"

    def add_project(self, path: str, repository: Path | None = None) -> Project:
        """Make a private project; its path begins with that of its group."""
        number = len(self.projects) + 1
        self.projects.append(Project(number, path, self.folder / str(number), self.upstream, repository))
        return self.projects[-1]

    def pypi(self, project: Project) -> str:
        """Return the address to upload a project's distributions to; its index is below, at `/simple`."""
        return f"{self.api}/projects/{project.id}/packages/pypi"

    def variables(self, project: Project) -> dict[str, str]:
        """Return what a runner tells a job about the server and the project.

        https://docs.gitlab.com/ci/variables/predefined_variables/
        """
        server = urlsplit(self.url)
        return {
            "CI_SERVER_URL": self.url,
            "CI_SERVER_PROTOCOL": server.scheme,
            "CI_SERVER_HOST": str(server.hostname),
            "CI_SERVER_PORT": str(server.port),
            "CI_SERVER_FQDN": server.netloc,
            "CI_API_V4_URL": self.api,
            "CI_PROJECT_ID": str(project.id),
            "CI_PROJECT_PATH": project.path,
            "CI_PROJECT_NAME": project.name,
            "CI_PROJECT_NAMESPACE": project.path.rpartition("/")[0],
            "CI_PROJECT_URL": f"{self.url}/{project.path}",
            "CI_JOB_TOKEN": project.token,
        }

    def requests(self, path: str = "", *, method: str = "", status: int | None = None) -> list[LoggedRequest]:
        """Return the requests so far in the order of their arrival; `path` is a regular expression to search for."""
        with self._lock:
            return [
                request
                for request in self._log
                if re.search(path, request.path) and method in ("", request.method) and status in (None, request.status)
            ]

    def fail_next(
        self,
        count: int,
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        timeout: float = 0,
        cut: bool = False,
    ) -> None:
        """Make the next requests fail in whose path a regular expression is found.

        With a `status` they are refused and change nothing; 200 is a page where people sign in. With a
        `timeout`, in seconds, or `cut` they are carried out, but the answer comes so much later, or breaks off in
        the middle.
        """
        assert [status is not None, timeout > 0, cut].count(True) == 1, "a fault is a status, a timeout or a cut"
        with self._lock:
            self._faults.append(Fault(count, method, path, status, timeout, cut))

    def heal(self) -> None:
        """End the faults that are still to come."""
        with self._lock:
            self._faults.clear()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        """Log a request and answer it, or fail as a test asked for."""
        environ["SCRIPT_NAME"] = self.root
        request = Request(environ)
        # Still encoded: the slashes in a project's path are none of the address.
        path, _, query = environ["RAW_URI"].removeprefix(self.root).partition("?")
        logged = LoggedRequest(request.method, path, query, request.headers.get("User-Agent", ""))
        with self._lock:
            self._log.append(logged)
            fault = next((fault for fault in self._faults if fault.befalls(request.method, path)), None)
            if fault:
                fault.left -= 1
        # A client that is refused while it still sends would see a broken connection instead.
        request.get_data()
        caller = authenticate(request, self.projects)
        logged.authenticated = caller.means if caller.project else ""
        if fault and fault.status == HTTPStatus.OK:
            response = Response("<!DOCTYPE html><title>Sign in</title>", content_type="text/html")
        elif fault and fault.status:
            response = message(fault.status, f"{fault.status} {HTTPStatus(fault.status).phrase}")
        else:
            with self._lock:
                response = respond(request, path, caller, self.projects)
        if fault and fault.timeout:
            self._stopping.wait(fault.timeout)
        if fault and fault.cut and (whole := response.get_data()):
            response.set_data(whole[: len(whole) // 2])
            response.content_length = len(whole)
        logged.status = response.status_code
        return response(environ, start_response)


def package_index() -> str:
    """Return the address of the package index that this machine installs from."""
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if os.environ.get(variable):
            # uv allows a name before the address.
            return re.sub(r"^[\w-]+=", "", os.environ[variable])
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8").stdout.strip()
    return configured or str(PyPI.simple_url)
