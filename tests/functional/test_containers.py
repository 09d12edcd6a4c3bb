"""The pipeline of a branch in containers, as a runner with the Docker executor would run it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from tools.commands import commit_all
from tools.runner import Pipe
from tools.samples.baked import Bake
from tools.samples.package import add_image, make_project
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.images import BUILDAH, RELEASES, Podman, python_image, uv_image
from tools.stand_ins.registry import Registry

# What a job with the image of lint finds around it.
SURROUNDINGS = """
surroundings:
  stage: lint
  image: !reference [lint, image]
  variables: !reference [lint, variables]
  script:
    - test -e /run/.containerenv && echo "user $(id -u) in $CI_PROJECT_DIR"
    - for tool in python3 uv git curl wget rsync; do command -v $tool || echo "no $tool"; done
"""


def test_every_job_passes_in_a_container_without_tools(bake: Bake, pipe: Pipe, podman: Podman, gitlab: GitLab) -> None:
    image = {"python_container_image": python_image("${PY_CI_PYTHON}")}
    options = {"_python_versions": list(RELEASES), "python_version": "3.11", "kind": "command", "docs": True}
    project = bake(**options, _component_inputs=image)
    with (project.path / ".gitlab-ci.yml").open("a", encoding="utf-8") as pipeline:
        pipeline.write(SURROUNDINGS)
    here = gitlab.add_project("your-group/my-service", project.path)
    done = pipe(project.path, executor=podman.executor, variables=gitlab.variables(here))
    podman.remove_containers()
    tests = {f"test: [{python}]": python_image(python) for python in RELEASES}
    others = ["preflight", "lint", "surroundings", "coverage", "build", "sbom", "docs", "pages"]
    jobs = {**dict.fromkeys(others, python_image("3.11")), **tests}
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert done.coverage == "100%"
    images = re.findall(r"^(.+?) +starting (\S+) ", done.output, re.MULTILINE)
    assert dict(images) == jobs
    missing = [f"no {tool}" for tool in ("uv", "git", "curl", "wget", "rsync")]
    found = [line for line in done.log("surroundings").splitlines() if re.match("user|no |/", line)]
    assert found == ["user 0 in /builds/your-group/my-service", "/usr/bin/python3", *missing]
    assert "executor  a container" in done.log("preflight")
    assert len(list(done.artifact("build", "dist").glob("*.whl"))) == 1


def test_a_devcontainer_gets_git_and_the_environment(bake: Bake, podman: Podman) -> None:
    """As a container of the editor: the image, the variables and the command of devcontainer.json."""
    made = bake(_python_versions=list(RELEASES), python_version="3.11")
    settings = json.loads(made.read(".devcontainer/devcontainer.json"))
    assert settings["image"] == uv_image("3.11")
    told = [f"--env={name}={value}" for name, value in settings["containerEnv"].items()]
    folder = f"/workspaces/{made.path.name}"
    script = f"{settings['postCreateCommand']} && git log && uv run pytest --quiet"
    commit_all(made.path)
    printed = podman.run(
        *("run", "--rm", *told, f"--volume={made.path}:{folder}", f"--workdir={folder}"),
        *(f"localhost/{settings['image']}", "sh", "-ec", script),
    )
    assert re.search(r"^\d+ passed", printed, re.MULTILINE), printed


def test_a_python_that_the_image_lacks(bake: Bake, pipe: Pipe, podman: Podman) -> None:
    image = {"python_container_image": uv_image("3.11")}
    project = bake(_python_versions=list(RELEASES), python_version="3.11", kind="command", _component_inputs=image)
    done = pipe(project.path, "test: [3.13]", executor=podman.executor)
    podman.remove_containers()
    assert done.results == {"test: [3.13]": "failed"}
    assert done.last_line("test: [3.13]").startswith("Choose an image or a runner that has Python 3.13")


def test_an_image_is_built_in_a_container_with_the_rights_that_the_document_names(
    bake: Bake, pipe: Pipe, podman: Podman, gitlab: GitLab, registry: Registry, tmp_path: Path
) -> None:
    """GitLab's own runner makes the whole release with Docker, which needs other settings."""
    project = make_project(tmp_path / "another", "3.11", "")
    add_image(project, bake(signing="key"), "3.11")
    pipeline = project / ".gitlab-ci.yml"
    image = f"inputs: {{python_container_image: {uv_image('3.11')}, "
    pipeline.write_text(pipeline.read_text(encoding="utf-8").replace("inputs: {", image), encoding="utf-8")
    here = gitlab.add_project("group/another", project)
    registry.offer(podman.base, here)
    trusted = shutil.copy(registry.trusted, podman.shared)
    variables = {**gitlab.variables(here), **registry.variables(here), "SSL_CERT_FILE": trusted}
    done = pipe(project, "build-image", executor=podman.executor, variables=variables)
    podman.remove_containers()
    assert done.results == dict.fromkeys(["build", "build-image"], "passed"), done.output
    assert dict(re.findall(r"^(.+?) +starting (\S+) ", done.output, re.MULTILINE))["build-image"] == BUILDAH
