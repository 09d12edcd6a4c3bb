"""The image of the small project in a registry, and what people can do with it there."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.commands import run
from tools.samples.package import Release
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.images import Podman
from tools.stand_ins.registry import Registry

# The jobs up to the one that signs the image.
SIGNING = ["build", "sbom", "digests", "cosign", "build-image", "sbom-image", "digests-image", "sign-image"]


def wait_until_passes(podman: Podman, *command: str) -> None:
    """Wait until a command of podman passes, or fail with what it printed last."""
    for seconds in (0.2, 0.5, 1, 2, 4):
        time.sleep(seconds)
        with suppress(AssertionError):
            podman.run(*command)
            return
    podman.run(*command)


@dataclass(frozen=True)
class Imaged:
    """A project whose image is in the registry, signed; and how people reach it there."""

    release: Release
    registry: Registry
    here: Project
    home: Path

    @property
    def name(self) -> str:
        """The name of the image, without a tag."""
        return self.registry.image(self.here)

    @property
    def project_url(self) -> str:
        """Where GitLab has the project."""
        return str(self.release.variables["CI_PROJECT_URL"])

    def forget_signatures(self) -> None:
        """Remove what Cosign has put beside the image."""
        tags = self.registry.folder / f"images/docker/registry/v2/repositories/{self.here.path}/_manifests/tags"
        (signatures,) = tags.glob("sha256-*")
        shutil.rmtree(signatures)

    @property
    def env(self) -> dict[str, str]:
        """The variables of a person with the rights of the project's jobs."""
        return {**os.environ, "HOME": str(self.home), **self.registry.log_in(self.here, self.home)}

    def skopeo(self, command: str, *what: str | Path) -> str:
        """Run skopeo as somebody who may change the image."""
        return run("skopeo", command, *what, env=self.env)

    def digest(self, tag: str) -> str:
        """Return what a name stands for."""
        return self.skopeo("inspect", "--format", "{{.Digest}}", f"docker://{self.name}:{tag}").strip()

    def tags(self) -> set[str]:
        """Return all names of the image; that of Cosign's signatures is `signatures`."""
        listed = json.loads(self.skopeo("list-tags", f"docker://{self.name}"))["Tags"]
        return {"signatures" if tag.startswith("sha256-") else tag for tag in listed}

    def cosign(self, command: str, *what: str | Path, **variables: str) -> str:
        """Run Cosign as somebody who may change the image."""
        return run(self.release.artifact("cosign", ".cosign/cosign"), command, *what, env={**self.env, **variables})
