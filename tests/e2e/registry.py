"""The container registry of the loopback GitLab: a real one, and faults on demand."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import yaml

from tests.conftest import need
from tests.e2e import registry_tokens
from tests.e2e.gitlab import GitLab, Project
from tests.e2e.service import Service


class Registry(Service):
    """The registry of a GitLab, which runs within a `with` block and keeps its images in a folder.

    `insecure_conf` is what an administrator tells clients where the registry has no TLS, as here:
    https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md
    """

    def __init__(self, folder: Path, gitlab: GitLab) -> None:
        program = Path(need("docker-registry", "apt install docker-registry"))
        super().__init__(folder, "registry", program, ready="/")
        self._gitlab = gitlab
        self.insecure_conf = self.folder / "registries.conf"

    @property
    def host(self) -> str:
        """The host and the port, with which the names of images begin."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.push(super().__enter__())
            insecure = f'[[registry]]\nlocation = "{self.host}"\ninsecure = true\n'
            self.insecure_conf.write_text(insecure, encoding="utf-8")
            (self.folder / "gitlab.pem").write_bytes(self._gitlab.doorkeeper.certificate)
            (self.folder / "config.yml").write_text(yaml.safe_dump(self._config()), encoding="utf-8")
            self.start("serve", "config.yml")
            self.wait()
            stack.pop_all()
        return self

    def _config(self) -> dict[str, Any]:
        """Return the configuration: https://distribution.github.io/distribution/about/configuration/"""
        token = {
            "realm": f"{self._gitlab.url}{registry_tokens.AUTH_PATH}",
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

    def variables(self, project: Project) -> dict[str, str]:
        """Return what a runner tells a job about the registry, and where the administrator has told clients of it.

        https://docs.gitlab.com/ci/variables/predefined_variables/
        """
        return {
            "CI_REGISTRY": self.host,
            "CI_REGISTRY_IMAGE": self.image(project),
            "CI_REGISTRY_USER": "gitlab-ci-token",
            "CI_REGISTRY_PASSWORD": project.token,
            "CONTAINERS_REGISTRIES_CONF": str(self.insecure_conf),
        }
