"""The pipeline of a branch in containers, as a runner with the Docker executor would run it."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tools.runner import Pipe
from tools.samples.baked import Bake
from tools.samples.package import IMAGING, RELEASING, add_image, make_project
from tools.stand_ins.cosign import ARCHITECTURE, KeyPair, Mirror
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.images import BUILDAH, RELEASES, SKOPEO, Podman, python_image, uv_image
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


@pytest.mark.parametrize("image_with", ["uv", "no uv"])
def test_every_job_passes_in_a_container_without_tools(
    image_with: str, bake: Bake, pipe: Pipe, podman: Podman, gitlab: GitLab
) -> None:
    name = uv_image if image_with == "uv" else python_image
    image = {"python_container_image": name("${PY_CI_PYTHON}")}
    project = bake(_python_versions=list(RELEASES), python_version="3.11", docker=False, _component_inputs=image)
    with (project.path / ".gitlab-ci.yml").open("a", encoding="utf-8") as pipeline:
        pipeline.write(SURROUNDINGS)
    here = gitlab.add_project("your-group/my-service")
    done = pipe(project.path, executor=podman.executor, variables=gitlab.variables(here))
    podman.remove_containers()
    tests = {f"test: [{python}]": name(python) for python in RELEASES}
    others = ["preflight", "lint", "surroundings", "coverage", "build", "sbom"]
    jobs = {**dict.fromkeys(others, name("3.11")), **tests}
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert done.coverage == "100%"
    images = re.findall(r"^(.+?) +starting (\S+) ", done.output, re.MULTILINE)
    assert dict(images) == jobs
    uv = "/usr/local/bin/uv" if image_with == "uv" else "no uv"
    missing = [f"no {tool}" for tool in ("git", "curl", "wget", "rsync")]
    found = [line for line in done.log("surroundings").splitlines() if re.match("user|no |/", line)]
    assert found == ["user 0 in /builds/your-group/my-service", "/usr/bin/python3", uv, *missing]
    assert "executor  a container" in done.log("preflight")
    assert len(list(done.artifact("build", "dist").glob("*.whl"))) == 1


def test_a_python_that_the_image_lacks(bake: Bake, pipe: Pipe, podman: Podman) -> None:
    image = {"python_container_image": uv_image("3.11")}
    project = bake(_python_versions=list(RELEASES), python_version="3.11", docker=False, _component_inputs=image)
    done = pipe(project.path, "test: [3.13]", executor=podman.executor)
    podman.remove_containers()
    assert done.results == {"test: [3.13]": "failed"}
    assert done.last_line("test: [3.13]").startswith("Choose an image or a runner that has Python 3.13")


def test_a_release_passes_in_containers_without_tools(
    bake: Bake,
    pipe: Pipe,
    podman: Podman,
    gitlab: GitLab,
    registry: Registry,
    cosign: Path,
    keys: KeyPair,
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path / "another", "3.11", keys.public)
    add_image(project, bake(signing="key"), "3.11")
    pipeline = project / ".gitlab-ci.yml"
    text = pipeline.read_text(encoding="utf-8").replace(
        "inputs: {", f"inputs: {{python_container_image: {python_image('3.11')}, "
    )
    program = cosign.read_bytes()
    with Mirror(program) as mirror:
        pinned = {
            f"PY_CI_COSIGN_SHA256_{ARCHITECTURE.upper()}": hashlib.sha256(program).hexdigest(),
            "PY_CI_COSIGN_RELEASES": mirror.url,
        }
        own = {"cosign": {"image": python_image("3.11"), "variables": pinned}, "sign": {"image": python_image("3.11")}}
        pipeline.write_text(text + yaml.safe_dump(own), encoding="utf-8")
        here = gitlab.add_project("group/another", project)
        registry.offer(podman.base, here)
        trusted = shutil.copy(registry.trusted, podman.shared)
        variables = {**gitlab.variables(here), **registry.variables(here), **keys.settings, "SSL_CERT_FILE": trusted}
        done = pipe(project, event="tag", executor=podman.executor, variables=variables)
    podman.remove_containers()
    jobs = [*RELEASING, *IMAGING]
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert f"cosign-linux-{ARCHITECTURE} has the pinned checksum." in done.log("cosign")
    assert "another 1.0.0" in done.log("verify-published")
    assert f"{registry.image(here)}:latest is sha256:" in done.log("publish-image")
    images = dict(re.findall(r"^(.+?) +starting (\S+) ", done.output, re.MULTILINE))
    assert (images["build-image"], images["publish-image"]) == (BUILDAH, SKOPEO)
