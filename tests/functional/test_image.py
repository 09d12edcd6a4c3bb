"""The container image of a project: built from its wheel, pushed, signed by its digest, published under its names."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sys
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.commands import commit_all, run
from tools.documents import IMAGE, block
from tools.runner import Executor, Pipe
from tools.samples.baked import Bake
from tools.samples.package import IDENTITY, Release, add_image, copy_project, make_project
from tools.stand_ins.cosign import KeyPair, make_key_pair
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.images import Podman
from tools.stand_ins.registry import Registry

# The tests of one project share a worker, which then runs its first jobs once.
pytestmark = pytest.mark.xdist_group("image")

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
JOBS = ["build", "sbom", "digests", "cosign", "build-image", "sbom-image", "digests-image", "sign-image"]
NOT_SIGNED = f"Do not use this image. It is not signed or not attested, or not by the signer {IDENTITY}"


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


@pytest.fixture(scope="session")
def _imaged(
    bake: Bake,
    pipe: Pipe,
    python: str,
    podman: Podman,
    imaging: Executor,
    keys: KeyPair,
    warm: dict[str, str],
    upstream: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with a project, the artifacts of the jobs up to the one that signs, and what its registry has."""
    folder = tmp_path_factory.mktemp("imaged")
    project = make_project(folder / "another", python, keys.public)
    add_image(project, bake(signing="key"), python)
    with GitLab(folder / "gitlab", upstream) as gitlab, Registry(folder, gitlab) as registry:
        here = gitlab.add_project("group/another", project)
        registry.offer(podman.base, here)
        variables: dict[str, Any] = {**gitlab.variables(here), **registry.variables(here), **warm, **keys.settings}
        done = pipe(project, *JOBS, event="tag", executor=imaging, variables=variables)
        assert done.results == dict.fromkeys(JOBS, "passed"), done.output
    shutil.rmtree(project / ".gitlab-ci-local" / "builds")
    return folder


@pytest.fixture
def imaged(
    _imaged: Path,
    pipe: Pipe,
    imaging: Executor,
    keys: KeyPair,
    here: Project,
    gitlab: GitLab,
    warm: dict[str, str],
    tmp_path: Path,
) -> Iterator[Imaged]:
    """A copy of it."""
    here.repository = copy_project(_imaged / "another", tmp_path / "another")
    with Registry(tmp_path, gitlab) as registry:
        shutil.copytree(_imaged / "registry" / "images", registry.folder / "images")
        variables: dict[str, Any] = {**gitlab.variables(here), **registry.variables(here), **warm, **keys.settings}
        yield Imaged(Release(here.repository, pipe, imaging, variables), registry, here, tmp_path)


@pytest.fixture
def evil(imaged: Imaged) -> str:
    """The digest of an image that somebody pushed to the project, as `evil`."""
    imaged.skopeo("copy", f"docker://{imaged.name}/python:slim", f"docker://{imaged.name}:evil")
    return imaged.digest("evil")


def test_a_protected_tag_gets_an_image(imaged: Imaged) -> None:
    pushed = imaged.digest("1.0.0-candidate")
    done = imaged.release.retry("verify-image", "publish-image")
    assert done.results == {"verify-image": "passed", "publish-image": "passed"}, done.output
    assert imaged.tags() == {"1.0.0-candidate", "1.0.0", "latest", "signatures"}
    assert {imaged.digest(tag) for tag in ("1.0.0-candidate", "1.0.0", "latest")} == {pushed}
    link = imaged.release.artifact("publish-image", "links/image").read_text(encoding="utf-8")
    assert link.split() == [f"{imaged.name}:1.0.0@{pushed}", f"{imaged.project_url}/container_registry", "image"]
    # No login is left on the runner.
    assert not list(imaged.release.path.rglob(".registry"))


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


def test_the_image_says_what_it_is_made_of_and_how(imaged: Imaged) -> None:
    name = f"{imaged.name}@{imaged.digest('1.0.0-candidate')}"
    options = ("verify-attestation", "--key", imaged.release.path / "cosign.pub", "--insecure-ignore-tlog", name)
    statements = {}
    for kind in ("slsaprovenance1", "cyclonedx"):
        (line,) = re.findall(r"^\{.*$", imaged.cosign(*options, "--type", kind), re.MULTILINE)
        statements[kind] = json.loads(b64decode(json.loads(line)["payload"]))
    subjects = [statement["subject"][0]["digest"]["sha256"] for statement in statements.values()]
    assert subjects == [name.partition("@sha256:")[2]] * 2
    (source,) = statements["slsaprovenance1"]["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["digest"]["gitCommit"] == imaged.release.commit
    components = statements["cyclonedx"]["predicate"]["components"]
    known = {component.get("purl", "").partition("?")[0] for component in components}
    assert "pkg:pypi/another@1.0.0" in known
    assert any(purl.startswith("pkg:deb/debian/python3.13-minimal@") for purl in known)


def test_the_same_commit_gives_the_same_image(imaged: Imaged) -> None:
    # The name of what it is built on is in the image, and each test has a registry of its own.
    digests = set()
    for _ in range(2):
        done = imaged.release.retry("build-image")
        digests.update(re.findall(r"1\.0\.0-candidate as (sha256:.+)", done.log("build-image")))
    assert len(digests) == 1


def test_an_image_that_is_not_signed_is_refused(imaged: Imaged) -> None:
    imaged.forget_signatures()
    done = imaged.release.retry("verify-image")
    assert done.results == {"verify-image": "failed"}
    assert "no signatures found" in done.log("verify-image")
    assert done.last_line("verify-image") == NOT_SIGNED


def test_the_signature_of_another_is_refused(imaged: Imaged, cosign: Path, tmp_path: Path) -> None:
    imaged.forget_signatures()
    theirs = make_key_pair(cosign, tmp_path / "theirs")
    # The same image, signed in another repository, and what signed it copied beside ours.
    digest, elsewhere = imaged.digest("1.0.0-candidate"), f"{imaged.name}/elsewhere"
    imaged.skopeo("copy", f"docker://{imaged.name}@{digest}", f"docker://{elsewhere}:x")
    offline = tmp_path / "offline"
    run(cosign, "signing-config", "create", "--out", f"{offline}.json")
    run(cosign, "trusted-root", "create", "--out", f"{offline}.root")
    services = ("--signing-config", f"{offline}.json", "--trusted-root", f"{offline}.root")
    imaged.cosign(
        "sign", "--yes", "--key", "env://COSIGN_PRIVATE_KEY", *services, f"{elsewhere}@{digest}", **theirs.variables
    )
    signatures = digest.replace(":", "-")
    imaged.skopeo("copy", "--all", f"docker://{elsewhere}:{signatures}", f"docker://{imaged.name}:{signatures}")
    done = imaged.release.retry("verify-image")
    assert done.results == {"verify-image": "failed"}
    assert "accepted signatures do not match threshold" in done.log("verify-image")
    assert done.last_line("verify-image") == NOT_SIGNED


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


def test_a_version_that_is_there_is_not_replaced(imaged: Imaged, evil: str) -> None:
    imaged.skopeo("copy", f"docker://{imaged.name}:evil", f"docker://{imaged.name}:1.0.0")
    done = imaged.release.retry("publish-image")
    assert done.results == {"publish-image": "failed"}
    assert done.last_line("publish-image").startswith("The registry has another image of this version.")
    assert imaged.digest("1.0.0") == evil
    assert "latest" not in imaged.tags()


def test_a_release_can_be_published_again(imaged: Imaged) -> None:
    for _ in range(2):
        assert imaged.release.retry("publish-image").results == {"publish-image": "passed"}


def test_the_latest_is_the_highest_release(imaged: Imaged, evil: str) -> None:
    # Neither an older release nor one before the next is higher.
    for other in ("0.10.0", "1.0.1rc1"):
        imaged.skopeo("copy", f"docker://{imaged.name}:evil", f"docker://{imaged.name}:{other}")
    assert imaged.release.retry("publish-image").results == {"publish-image": "passed"}
    assert imaged.digest("latest") == imaged.digest("1.0.0") != evil
    for newest in ("1.10.0", "latest"):
        imaged.skopeo("copy", f"docker://{imaged.name}:evil", f"docker://{imaged.name}:{newest}")
    assert imaged.release.retry("publish-image").results == {"publish-image": "passed"}
    assert imaged.digest("latest") == evil


def test_an_image_of_another_commit_is_refused(imaged: Imaged, keys: KeyPair) -> None:
    cosign = imaged.release.artifact("cosign", ".cosign")
    predicate = json.loads((cosign / "provenance.json").read_text(encoding="utf-8"))
    predicate["buildDefinition"]["resolvedDependencies"][0]["digest"]["gitCommit"] = "0" * 40
    (imaged.home / "other.json").write_text(json.dumps(predicate), encoding="utf-8")
    files = {"signing-config": imaged.home / "services.json", "trusted-root": imaged.home / "root.json"}
    for command, out in files.items():
        imaged.cosign(command, "create", "--out", out)
    services = [word for name, file in files.items() for word in (f"--{name}", file)]
    name = f"{imaged.name}@{imaged.digest('1.0.0-candidate')}"
    what = ("--type", "slsaprovenance1", "--predicate", imaged.home / "other.json", name)
    imaged.cosign("attest", "--yes", "--key", "env://COSIGN_PRIVATE_KEY", *services, *what, **keys.variables)
    done = imaged.release.retry("verify-image")
    assert done.results == {"verify-image": "failed"}
    assert done.last_line("verify-image").startswith("Do not use this image. It was signed for another tag or commit,")


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


def test_a_project_without_a_container_registry_is_told_before_the_build(imaged: Imaged) -> None:
    done = imaged.release.retry("build-image", CI_REGISTRY_IMAGE="", CI_REGISTRY_PASSWORD="")
    assert done.results == {"build-image": "failed"}
    assert done.last_line("build-image").startswith("The project has no container registry. Turn it on")
    assert "STEP" not in done.log("build-image")


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
    commit_all(imaged.release.path)
    done = imaged.release.retry("build", "build-image", PIP_INDEX_URL=index)
    assert set(done.results.values()) == {"passed"}, done.output
    assert gitlab.requests("/pypi/simple/iniconfig"), "the build asked the index of the project"
    name = f"{imaged.name}@{imaged.digest('1.0.0-candidate')}"
    copy = imaged.home / "copy"
    imaged.skopeo("copy", f"docker://{name}", f"dir:{copy}")
    for blob in copy.iterdir():
        content = blob.read_bytes()
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        assert imaged.here.token.encode() not in content
    assert imaged.here.token not in done.output


def test_a_consumer_verifies_as_the_document_says(imaged: Imaged, podman: Podman, evil: str) -> None:
    assert imaged.release.retry("publish-image").results == {"publish-image": "passed"}
    commands = block(IMAGE, "<!-- image key -->").replace("registry.gitlab.com/your-group/my-service", imaged.name)
    commands = commands.replace("docker run", "podman run").replace("your-group/my-service", "group/another")
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


def test_an_older_image_is_not_taken_for_a_newer_one(imaged: Imaged) -> None:
    # As if build-image had handed on the digest of an image that was released before, with the same key.
    imaged.release.variables["CI_COMMIT_TAG"] = "v1.0.1"
    done = imaged.release.retry("verify-image", event="tag v1.0.1")
    assert done.results == {"verify-image": "failed"}, done.output
    assert "missing or incorrect annotation" in done.log("verify-image")
    assert done.last_line("verify-image") == NOT_SIGNED


def test_an_image_of_another_project_with_the_same_key_is_refused(imaged: Imaged) -> None:
    done = imaged.release.retry("verify-image", CI_PROJECT_PATH="group/of-others")
    assert done.results == {"verify-image": "failed"}, done.output
    assert done.last_line("verify-image") == NOT_SIGNED


def test_the_image_can_be_built_from_the_source_without_the_pipeline(bake: Bake, podman: Podman) -> None:
    project = bake()
    podman.run("build", "--quiet", "--build-arg", "PYTHON_IMAGE=localhost/base", "--tag", "mine", project.path)
    assert podman.run("run", "--rm", "--network", "none", "mine", "Ada") == "Hello, Ada!\n"
    assert podman.run("run", "--rm", "--network", "none", "mine", "--version") == "my-service 0.0.0\n"


def test_the_dockerfile_passes_checkov(imaged: Imaged, warm: dict[str, str]) -> None:
    checkov = ("uv", "tool", "run", "--quiet", "--from", "checkov==3.3.30", "checkov")
    options = ("--framework", "dockerfile", "--skip-download", "--quiet", "--compact", "--file", "Dockerfile")
    run(*checkov, *options, cwd=imaged.release.path, env={**os.environ, **warm})
