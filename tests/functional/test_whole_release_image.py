"""The container image of a project: built from its wheel, pushed, signed by its digest, published under its names."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from typing import Any

import pytest

from tools.commands import run
from tools.documents import IMAGE, block
from tools.samples.baked import Bake
from tools.samples.image import Imaged, wait_until_passes
from tools.stand_ins.images import Podman


def test_a_name_that_was_moved_does_not_matter(imaged: Imaged, evil: str) -> None:
    signed = imaged.digest("1.0.0-candidate")
    imaged.skopeo("copy", f"docker://{imaged.name}:evil", f"docker://{imaged.name}:1.0.0-candidate")
    done = imaged.release.retry("verify-image", "publish-image")
    assert done.results == {"verify-image": "passed", "publish-image": "passed"}, done.output
    assert imaged.digest("1.0.0-candidate") == evil
    assert imaged.digest("1.0.0") == imaged.digest("latest") == signed
    # After the release, nobody who verifies takes it either.
    imaged.skopeo("copy", f"docker://{imaged.name}:evil", f"docker://{imaged.name}:1.0.0")
    options = ("verify", "--key", imaged.release.path / "cosign.pub", "--insecure-ignore-tlog")
    with pytest.raises(AssertionError, match="no signatures found"):
        imaged.cosign(*options, f"{imaged.name}:1.0.0")


@pytest.mark.parametrize(
    ("method", "path", "fault"),
    [
        ("PUT", "/manifests/", {"status": 500}),
        ("PATCH", "/blobs/uploads/", {"cut": True}),
        ("POST", "/blobs/uploads/", {"status": 500}),
    ],
)
def test_a_registry_that_fails_once_is_asked_again(
    method: str, path: str, fault: dict[str, Any], imaged: Imaged
) -> None:
    imaged.registry.fail_next(2, method=method, path=path, **fault)
    # Nothing of it is there yet.
    shutil.rmtree(imaged.registry.folder / "images/docker/registry/v2/repositories/group/another/_layers")
    done = imaged.release.retry("build-image", "digests-image", "sign-image", "publish-image")
    assert set(done.results.values()) == {"passed"}, done.output


def test_a_registry_that_stays_down_is_named_and_nothing_is_published(imaged: Imaged) -> None:
    imaged.registry.fail_next(sys.maxsize, method="PUT", path="/manifests/", status=500)
    said = {
        "build-image": "The image was built, but the container registry did not take it",
        "sign-image": "The image is not signed; the line above names the service or registry",
        "publish-image": "The container registry did not answer",
    }
    for job, remedy in said.items():
        done = imaged.release.retry(job)
        assert done.results == {job: "failed"}, done.output
        assert done.last_line(job).startswith(remedy)
    imaged.registry.heal()
    assert "1.0.0" not in imaged.tags()


def test_an_image_for_several_platforms(imaged: Imaged) -> None:
    # What both are built on is the same here, so that no emulator is needed.
    done = imaged.release.retry("build-image", PY_CI_PLATFORMS="linux/amd64,linux/386")
    assert done.results == {"build-image": "passed"}, done.output
    done = imaged.release.retry("sbom-image", "digests-image", "sign-image", "verify-image", "publish-image")
    assert set(done.results.values()) == {"passed"}, done.output
    index = json.loads(imaged.skopeo("inspect", "--raw", f"docker://{imaged.name}:latest"))
    assert {manifest["platform"]["architecture"] for manifest in index["manifests"]} == {"amd64", "386"}
    # Each of them is signed, for those who pull by the digest of one.
    options = ("verify", "--key", imaged.release.path / "cosign.pub", "--insecure-ignore-tlog")
    for manifest in index["manifests"]:
        imaged.cosign(*options, f"{imaged.name}@{manifest['digest']}")


def test_a_consumer_verifies_as_the_document_says(imaged: Imaged, podman: Podman, evil: str) -> None:
    assert imaged.release.retry("publish-image").results == {"publish-image": "passed"}
    commands = block(IMAGE, "<!-- image key -->").replace("registry.gitlab.com/your-group/my-service", imaged.name)
    commands = commands.replace("docker run --rm --publish 8000:8000", "podman run --rm")
    commands = commands.replace("your-group/my-service", "group/another")
    program = imaged.release.artifact("cosign", ".cosign")
    env = {**imaged.env, **podman.env, "PATH": f"{program}:{os.environ['PATH']}"}
    assert run("sh", "-e", "-c", commands, cwd=imaged.release.path, env=env).endswith("another 1.0.0\n")
    imaged.skopeo("copy", f"docker://{imaged.name}@{evil}", f"docker://{imaged.name}:1.0.0")
    with pytest.raises(AssertionError, match="no signatures found"):
        run("sh", "-e", "-c", commands, cwd=imaged.release.path, env=env)
    # An older image is signed, but not as the newer one.
    imaged.skopeo("copy", f"docker://{imaged.name}:latest", f"docker://{imaged.name}:1.0.1")
    newer = commands.replace("1.0.0", "1.0.1")
    assert newer.count("1.0.1") > 1
    with pytest.raises(AssertionError, match="missing or incorrect annotation"):
        run("sh", "-e", "-c", newer, cwd=imaged.release.path, env=env)


def test_the_image_can_be_built_from_the_source_without_the_pipeline(bake: Bake, podman: Podman) -> None:
    project = bake()
    base = ("--build-arg", "PYTHON_IMAGE=localhost/base")
    podman.run("build", "--quiet", "--format", "docker", *base, "--tag", "mine", project.path)
    assert podman.run("run", "--rm", "--network", "none", "mine", "--version") == "my-service 0.0.0\n"
    # It becomes healthy, and ends at once, whatever it may not do.
    safe = ("--network", "none", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
    podman.run("run", "--detach", "--name", "service", *safe, "--env", "PORT=8765", "mine")
    # Docker, and systemd for podman, ask by themselves.
    wait_until_passes(podman, "healthcheck", "run", "service")
    begin = time.monotonic()
    podman.run("stop", "service")
    assert time.monotonic() - begin < 5, "podman kills after ten seconds"
    assert podman.run("inspect", "--format", "{{.State.ExitCode}}", "service") == "0\n"
    logged = podman.run("logs", "service")
    assert " INFO Serving on http://0.0.0.0:8765\n" in logged
    assert logged.endswith(" INFO Ended\n")
    # What serves nothing is not healthy.
    podman.run("run", "--detach", "--name", "idle", *safe, "--entrypoint", "sleep", "mine", "60")
    with pytest.raises(AssertionError, match="ended with 1"):
        podman.run("healthcheck", "run", "idle")
    podman.run("rm", "--force", "--time", "0", "service", "idle")


def test_the_dockerfile_passes_checkov(imaged: Imaged, warm: dict[str, str]) -> None:
    checkov = ("uv", "tool", "run", "--quiet", "--from", "checkov==3.3.30", "checkov")
    options = ("--framework", "dockerfile", "--skip-download", "--quiet", "--compact", "--file", "Dockerfile")
    run(*checkov, *options, cwd=imaged.release.path, env={**os.environ, **warm})
