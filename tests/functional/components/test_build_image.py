"""The image that `build-image` makes: what is in it, from what, and what stays out."""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from pathlib import Path

from tools.commands import commit_all, run
from tools.samples.image import Imaged
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.images import Podman

FILES = [
    "INSTALLER",
    "METADATA",
    "RECORD",
    "REQUESTED",
    "WHEEL",
    "direct_url.json",
    "entry_points.txt",
    "top_level.txt",
]


def test_the_image_is_what_the_pipeline_built(imaged: Imaged, podman: Podman, tmp_path: Path) -> None:
    name = f"{imaged.name}@{imaged.digest('1.0.0-candidate')}"
    run("podman", "pull", "--quiet", name, env={**imaged.env, **podman.env})
    safe = ("--rm", "--network", "none", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
    assert podman.run("run", *safe, name) == "another 1.0.0\n"
    python = ("run", *safe, "--entrypoint", "python", name, "-c")
    assert podman.run(*python, "import os; print(os.getuid(), os.getgid())") == "10001 10001\n"
    config = json.loads(podman.run("inspect", "--type", "image", name))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["/opt/app/bin/another"]
    assert config["ExposedPorts"] == {"8000/tcp": {}}
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels == {
        "title": "another",
        "source": "https://gitlab.com/your-group/another",
        "version": "1.0.0",
        "revision": imaged.release.commit,
        "licenses": "MIT",
        "io.buildah.version": labels["io.buildah.version"],
    }
    files = podman.run("run", *safe, "--entrypoint", "find", name, "/opt", "-type", "f").split()
    package = "/opt/app/lib/python3.13/site-packages/another"
    info = f"{package}-1.0.0.dist-info"
    assert sorted(files) == sorted(
        [
            *("/opt/app/.gitignore", "/opt/app/pyvenv.cfg", "/opt/app/bin/another", f"{package}/__init__.py"),
            *(f"/opt/app/bin/{script}" for script in ("activate", "activate.csh", "activate.fish", "Activate.ps1")),
            f"{package}/__pycache__/__init__.cpython-313.pyc",
            *(f"{info}/{file}" for file in FILES),
        ]
    )
    # pip says which file it installed.
    origin = json.loads(podman.run("run", *safe, "--entrypoint", "cat", name, f"{info}/direct_url.json"))
    sums = imaged.release.artifact("digests", "SHA256SUMS").read_text(encoding="utf-8")
    assert f"{origin['archive_info']['hashes']['sha256']}  another-1.0.0-py3-none-any.whl" in sums


def test_the_same_commit_gives_the_same_image(imaged: Imaged) -> None:
    # The name of what it is built on is in the image, and each test has a registry of its own.
    digests = set()
    for _ in range(2):
        done = imaged.release.retry("build-image")
        digests.update(re.findall(r"1\.0\.0-candidate as (sha256:.+)", done.log("build-image")))
    assert len(digests) == 1


def test_the_format_of_docker_keeps_the_health_check(imaged: Imaged) -> None:
    candidate = f"docker://{imaged.name}:1.0.0-candidate"
    assert "Healthcheck" not in json.loads(imaged.skopeo("inspect", "--raw", "--config", candidate))["config"]
    done = imaged.release.retry("build-image", BUILDAH_FORMAT="docker")
    assert done.results == {"build-image": "passed"}, done.output
    check = json.loads(imaged.skopeo("inspect", "--raw", "--config", candidate))["config"]["Healthcheck"]["Test"]
    assert check[:3] == ["CMD", "python", "-c"]


def test_a_project_without_a_container_registry_is_told_before_the_build(imaged: Imaged) -> None:
    done = imaged.release.retry("build-image", CI_REGISTRY_IMAGE="", CI_REGISTRY_PASSWORD="")
    assert done.results == {"build-image": "failed"}
    assert done.last_line("build-image").startswith("The project has no container registry. Turn it on")
    assert "STEP" not in done.log("build-image")


def test_a_branch_takes_layers_from_the_cache_and_a_release_does_not(imaged: Imaged, podman: Podman) -> None:
    variables = {"CI_COMMIT_TAG": "", "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main"}
    done = imaged.release.retry("build-image", event="branch", **variables)
    assert done.results == {"build-image": "passed"}, done.output
    assert imaged.registry.requests("/another/cache/manifests/", method="PUT")
    podman.run("image", "prune", "--force")
    again = imaged.release.retry("build-image", event="branch", **variables)
    assert "Cache pulled from remote" in again.output or "Using cache" in again.output
    before = len(imaged.registry.requests("/another/cache/"))
    imaged.release.retry("build-image")
    assert len(imaged.registry.requests("/another/cache/")) == before


def test_the_address_of_the_index_reaches_the_build_and_no_layer(
    imaged: Imaged, gitlab: GitLab, podman: Podman
) -> None:
    index = f"{gitlab.pypi(imaged.here)}/simple".replace("http://", f"http://gitlab-ci-token:{imaged.here.token}@")
    project = imaged.release.path / "pyproject.toml"
    text = project.read_text(encoding="utf-8").replace("[project]", '[project]\ndependencies = ["iniconfig==2.1.0"]')
    project.write_text(text, encoding="utf-8")
    # Nor does the login reach one, whatever a Dockerfile copies.
    (imaged.release.path / ".dockerignore").unlink()
    with (imaged.release.path / "Dockerfile").open("a", encoding="utf-8") as dockerfile:
        dockerfile.write("COPY . /context\n")
    commit_all(imaged.release.path)
    done = imaged.release.retry("build", "build-image", PIP_INDEX_URL=index)
    assert set(done.results.values()) == {"passed"}, done.output
    assert gitlab.requests("/pypi/simple/iniconfig"), "the build asked the index of the project"
    name = f"{imaged.name}@{imaged.digest('1.0.0-candidate')}"
    copy = imaged.home / "copy"
    imaged.skopeo("copy", f"docker://{name}", f"dir:{copy}")
    copied = False
    for blob in copy.iterdir():
        content = blob.read_bytes()
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        assert imaged.here.token.encode() not in content
        assert b"auth.json" not in content
        copied = copied or b"context/pyproject.toml" in content
    assert copied
    assert not list(Path(tempfile.gettempdir()).glob("*/auth.json"))
    assert imaged.here.token not in done.output
