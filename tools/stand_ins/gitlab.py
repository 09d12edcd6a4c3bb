"""A GitLab on the loopback interface for the jobs of a test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from pip._internal.models.index import PyPI
from werkzeug.wrappers import Request, Response

from tools.stand_ins import git_http
from tools.stand_ins.gitlab_api import authenticate, message, respond
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.id_tokens import Issuer
from tools.stand_ins.registry_tokens import AUTH_PATH, TokenService
from tools.stand_ins.runner_api import RunnerAPI
from tools.stand_ins.server import Server

# The GitLab whose answers this one gives.
VERSION = "19.4.1-ee"


class GitLab(Server):
    """The server, which runs within a `with` block and keeps what it is given in a folder.

    `upstream` is the address of the package index that its projects forward to, `root` the path under which
    the server has GitLab: https://docs.gitlab.com/install/relative_url/
    """

    def __init__(self, folder: Path, upstream: str, root: str = "") -> None:
        super().__init__(root)
        self.folder = folder
        self.upstream = upstream
        self.projects: list[Project] = []

    @property
    def url(self) -> str:
        """The address of GitLab."""
        return f"http://127.0.0.1:{self.port}{self.root}"

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
            # With a path that GitLab has: `build_server_fqdn` in its config/settings.rb.
            "CI_SERVER_FQDN": f"{server.netloc}{server.path}",
            "CI_SERVER_VERSION": VERSION,
            "CI_API_V4_URL": self.api,
            "CI_PROJECT_ID": str(project.id),
            "CI_PROJECT_PATH": project.path,
            "CI_PROJECT_NAME": project.name,
            "CI_PROJECT_NAMESPACE": project.path.rpartition("/")[0],
            "CI_PROJECT_URL": f"{self.url}/{project.path}",
            "CI_JOB_TOKEN": project.token,
        }

    def index_variables(self, project: Project) -> dict[str, str]:
        """Return these, and those with which a job installs from the index of the project."""
        address = self.pypi(project).replace("://", f"://gitlab-ci-token:{project.token}@")
        return self.variables(project) | dict.fromkeys(("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), f"{address}/simple")

    def identify(self, request: Request) -> str:
        """Return how a request proved to be a job."""
        caller = authenticate(request, self.projects)
        return caller.means if caller.project else ""

    @cached_property
    def issuer(self) -> Issuer:
        """What gives jobs their identity tokens."""
        return Issuer(self.url)

    @cached_property
    def runner_api(self) -> RunnerAPI:
        """What gives jobs to runners."""
        return RunnerAPI()

    @cached_property
    def token_service(self) -> TokenService:
        """What lets jobs into the container registry."""
        return TokenService()

    def respond(self, request: Request, path: str) -> Response:
        """Return the answer of the token_service, of git, of the issuer, or of the API for runners or for jobs."""
        caller = authenticate(request, self.projects)
        if path == AUTH_PATH:
            return self.token_service.respond(request, caller)
        asked = git_http.ASKED.fullmatch(path)
        if asked:
            return git_http.respond(request, asked, caller, self.projects)
        answer = self.issuer.respond(path) or self.runner_api.respond(request, path)
        return answer or respond(request, path, caller, self.projects)

    def refuse(self, status: int) -> Response:
        """Return the answer that GitLab gives to a request that it cannot serve."""
        # Limits say when to come again: https://docs.gitlab.com/security/rate_limits/
        headers = {"Retry-After": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else None
        return message(status, f"{status} {HTTPStatus(status).phrase}", headers)


def package_index() -> str:
    """Return the address of the package index that this machine installs from."""
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if os.environ.get(variable):
            # uv allows a name before the address.
            return re.sub(r"^[\w-]+=", "", os.environ[variable])
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8").stdout.strip()
    return configured or str(PyPI.simple_url)
