"""A small project whose protected tags are released, and how to run its pipeline, or some jobs of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.commands import run
from tools.components import load
from tools.options import COMPONENT_PROJECT, DECLARED
from tools.runner import Executor, Pipe, Pipeline
from tools.samples.baked import BakedProject
from tools.stand_ins.gitlab_project import Project

VERSION = DECLARED["_component_version"]
COMPONENTS = f"$CI_SERVER_FQDN/{COMPONENT_PROJECT}"
IDENTITY = "--key cosign.pub --insecure-ignore-tlog"

# The jobs of a release up to the one that verifies, those that publish, all of them, and those of an image.
VERIFYING = ["build", "sbom", "digests", "cosign", "sign", "verify"]
PUBLISHING = ["publish-signatures", "publish-gitlab"]
RELEASING = [*VERIFYING, *PUBLISHING, "verify-published", "release"]
IMAGING = ["build-image", "sbom-image", "digests-image", "sign-image", "verify-image", "publish-image"]

PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "another"
version = "{version}"
scripts = {{another = "another:main"}}
"""

MODULE = """
def main():
    print("another {version}")
"""

PIPELINE = f"""
stages: [build, sign, verify, publish-signatures, publish, verify-published, release]

include:
  - component: {COMPONENTS}/build@{VERSION}
    inputs: {{python_version: "PYTHON"}}
  - component: {COMPONENTS}/sbom@{VERSION}
    inputs: {{python_version: "PYTHON"}}
  - component: {COMPONENTS}/digests@{VERSION}
  - component: {COMPONENTS}/cosign@{VERSION}
    inputs: {{public_key: cosign.pub}}
  - component: {COMPONENTS}/sign@{VERSION}
    inputs: {{method: key}}
  - component: {COMPONENTS}/verify@{VERSION}
    inputs: {{identity: {IDENTITY}}}
  - component: {COMPONENTS}/publish-signatures@{VERSION}
    inputs: {{python_version: "PYTHON", identity: {IDENTITY}}}
  - component: {COMPONENTS}/publish-gitlab@{VERSION}
    inputs: {{python_version: "PYTHON"}}
  - component: {COMPONENTS}/verify-published@{VERSION}
    inputs: {{python_version: "PYTHON", identity: {IDENTITY}, program: another}}
  - component: {COMPONENTS}/release@{VERSION}
    inputs: {{python_version: "PYTHON", dependencies: [publish-signatures, publish-gitlab]}}
"""

# What an image adds to it.
IMAGE_PIPELINE = f"""
  - component: {COMPONENTS}/build-image@{VERSION}
  - component: {COMPONENTS}/sbom-image@{VERSION}
    inputs: {{python_version: "PYTHON"}}
  - component: {COMPONENTS}/digests-image@{VERSION}
  - component: {COMPONENTS}/sign-image@{VERSION}
  - component: {COMPONENTS}/verify-image@{VERSION}
  - component: {COMPONENTS}/publish-image@{VERSION}
"""

# Files of the same version that the project does not make.
EXTRA = "another-1.0.0-py2-none-any.whl"
LOCAL = "another-1.0.0+evil-py3-none-any.whl"

# An attack on the program with which later jobs sign and verify.
OTHER_PROGRAM = "rm cosign/.cosign/cosign; echo evil > cosign/.cosign/cosign"


def files_of(version: str) -> list[str]:
    """Return the names of the distributions of a version of the project."""
    return [f"another-{version}-py3-none-any.whl", f"another-{version}.tar.gz"]


def signatures(here: Project) -> Path:
    """Return where the generic registry keeps the signatures of the release."""
    return here.folder / "generic" / "another" / "1.0.0"


def make_project(folder: Path, python: str, public_key: str, version: str = "1.0.0") -> Path:
    """Write the project and make it a repository."""
    (folder / "another").mkdir(parents=True)
    (folder / "cosign.pub").write_text(public_key, encoding="utf-8")
    (folder / ".gitlab-ci.yml").write_text(PIPELINE.replace("PYTHON", python), encoding="utf-8")
    set_version(folder, version)
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    return folder


def add_image(project: Path, baked: BakedProject, python: str) -> None:
    """Give the project the Dockerfile of a generated one, and the jobs of an image."""
    (project / "Dockerfile").write_text(baked.read("Dockerfile").replace("my-service", "another"), encoding="utf-8")
    shutil.copy(baked.path / ".dockerignore", project)
    with (project / ".gitlab-ci.yml").open("a", encoding="utf-8") as pipeline:
        pipeline.write(IMAGE_PIPELINE.replace("PYTHON", python))


def set_version(project: Path, version: str) -> None:
    """Write a version into the metadata of the project, and into what it says of itself."""
    (project / "pyproject.toml").write_text(PYPROJECT.format(version=version), encoding="utf-8")
    (project / "another" / "__init__.py").write_text(MODULE.format(version=version), encoding="utf-8")


def copy_project(project: Path, folder: Path) -> Path:
    """Copy the project with the artifacts of its jobs; Cosign, which is large, is the same file."""

    def copy(source: str, target: str) -> None:
        (os.link if source.endswith("/cosign") else shutil.copy2)(source, target)

    shutil.copytree(project, folder, copy_function=copy, symlinks=True)
    return folder


@dataclass(frozen=True)
class Release:
    """The project, and how to run the pipeline of its tag v1.0.0."""

    path: Path
    pipe: Pipe
    executor: Executor
    variables: dict[str, Any]

    def run(self, *, event: str = "tag", **variables: str) -> Pipeline:
        """Run the whole pipeline."""
        given = {**self.variables, **variables}
        done: Pipeline = self.pipe(self.path, event=event, executor=self.executor, variables=given)
        return done

    def retry(self, *jobs: str, event: str = "tag", **variables: str) -> Pipeline:
        """Run these jobs with the artifacts that the jobs before them have left."""
        given = {**self.variables, **variables}
        done: Pipeline = self.pipe(self.path, *jobs, event=event, executor=self.executor, variables=given, again=True)
        return done

    def artifact(self, job: str, path: str = ".") -> Path:
        """Return the path that a job handed on as an artifact."""
        return self.path / ".gitlab-ci-local" / "artifacts" / job / path

    def attack(self, commands: str) -> None:
        """Run shell commands where GitLab keeps artifacts: a folder for each job."""
        run("sh", "-e", "-c", commands, cwd=self.artifact("."))

    def change(self, job: str, change: Callable[[list[str]], list[str]]) -> None:
        """Change the commands of a job for those who run it again."""
        file = self.path / ".gitlab-ci-local" / "shell.yml"
        pipeline = load(file)
        commands = [*pipeline[job].pop("before_script", []), *pipeline[job]["script"]]
        pipeline[job]["script"] = change(commands)
        file.write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")

    @property
    def commit(self) -> str:
        """The commit of the project."""
        return run("git", "rev-parse", "HEAD", cwd=self.path).strip()
