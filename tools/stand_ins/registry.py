"""The container registry of the loopback GitLab: a real one, and faults on demand."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import yaml
from werkzeug.wrappers import Request, Response

from tools.commands import run
from tools.requirements import find_program
from tools.stand_ins import registry_tokens
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.service import Service, ask, to_pass_on
from tools.stand_ins.tls import make_certificate

BASE = "python:slim"


class Registry(Service):
    """The registry of a GitLab, which runs within a `with` block and keeps its images in a folder.

    It talks TLS, as its clients want; `trusted` is a file of all certificates that they trust, with its own.
    """

    def __init__(self, folder: Path, gitlab: GitLab) -> None:
        program = Path(find_program("docker-registry", "apt install docker-registry"))
        super().__init__(folder, "registry", program, ready="/")
        self._gitlab = gitlab

    def certificate(self) -> tuple[str, str]:
        """Make a certificate, which jobs that have the variables trust."""
        pair, self.trusted = make_certificate(self.folder)
        return pair

    @property
    def url(self) -> str:
        """The address of the registry."""
        return f"https://{self.host}"

    @property
    def host(self) -> str:
        """The host and the port, with which the names of images begin."""
        return f"localhost:{self.port}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.push(super().__enter__())
            (self.folder / "gitlab.pem").write_bytes(self._gitlab.token_service.certificate)
            (self.folder / "config.yml").write_text(yaml.safe_dump(self._config()), encoding="utf-8")
            self.start("serve", "config.yml")
            self.wait()
            stack.pop_all()
        return self

    def respond(self, request: Request, path: str) -> Response:
        """Return the answer of the registry, or of GitLab where it lets clients in.

        Cosign does not go from a registry that talks TLS to a GitLab that does not, nor to an address without a name.
        """
        if path != registry_tokens.AUTH_PATH:
            return super().respond(request, path)
        address = f"{self._gitlab.root}{request.environ['RAW_URI']}"
        return ask(self._gitlab.port, request.method, address, to_pass_on(request), request.get_data())

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Return what the registry behind the server answers, which learns that there is TLS."""
        return super().ask(method, path, {**headers, "X-Forwarded-Proto": "https"}, body)

    def _config(self) -> dict[str, Any]:
        """Return the configuration: https://distribution.github.io/distribution/about/configuration/"""
        token = {
            "realm": f"{self.url}{registry_tokens.AUTH_PATH}",
            "service": registry_tokens.SERVICE,
            "issuer": registry_tokens.ISSUER,
            "rootcertbundle": "gitlab.pem",
        }
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": "images"}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self._behind}"},
            "auth": {"token": token},
        }

    def image(self, project: Project) -> str:
        """Return the name of a project's image; other images of the project are below it."""
        return f"{self.host}/{project.path.lower()}"

    def offer(self, image: Path, project: Project) -> None:
        """Put an image that Skopeo left in a folder where jobs of a project find it, as BASE."""
        env = {**os.environ, **self.log_in(project, self.folder)}
        run("skopeo", "copy", f"dir:{image}", f"docker://{self.image(project)}/{BASE}", env=env)

    def log_in(self, project: Project, folder: Path) -> dict[str, str]:
        """Return the variables of somebody with the rights of a project's job; their login is in the folder."""
        known = b64encode(f"gitlab-ci-token:{project.token}".encode()).decode()
        login = folder / "config.json"
        login.write_text(json.dumps({"auths": {self.host: {"auth": known}}}), encoding="utf-8")
        return {"DOCKER_CONFIG": str(folder), "REGISTRY_AUTH_FILE": str(login), "SSL_CERT_FILE": str(self.trusted)}

    def variables(self, project: Project) -> dict[str, str]:
        """Return what a runner tells a job about the registry, whose certificates to trust, and what to build on.

        https://docs.gitlab.com/ci/variables/predefined_variables/
        """
        return {
            "CI_REGISTRY": self.host,
            "CI_REGISTRY_IMAGE": self.image(project),
            "CI_REGISTRY_USER": "gitlab-ci-token",
            "CI_REGISTRY_PASSWORD": project.token,
            "SSL_CERT_FILE": str(self.trusted),
            "PY_CI_BASE_IMAGE": f"{self.image(project)}/{BASE}",
        }
