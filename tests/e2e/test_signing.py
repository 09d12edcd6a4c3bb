"""Signing and verifying with a key pair: real Cosign, real jobs, and attacks on what lies between them."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.baked import run
from tests.e2e.conftest import Pipe
from tests.e2e.gitlab import GitLab
from tests.e2e.runner import Executor, Pipeline, shell_executor
from tests.options import DECLARED

VERSION = DECLARED["_component_version"]
COMPONENTS = f"$CI_SERVER_FQDN/{DECLARED['_component_project']}"
FILES = ["another-1.0.0-py3-none-any.whl", "another-1.0.0.tar.gz"]
PASSWORD = "a password with 'quotes' and spaces"  # noqa: S105

PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "another"
version = "1.0.0"
"""

PIPELINE = f"""
stages: [build, attack, sign, attack-signed, verify]

include:
  - component: {COMPONENTS}/build@{VERSION}
    inputs: {{python_version: "PYTHON"}}
  - component: {COMPONENTS}/cosign@{VERSION}
  - component: {COMPONENTS}/sign-key@{VERSION}
  - component: {COMPONENTS}/verify-key@{VERSION}

# Somebody who can write to where GitLab keeps artifacts.
attack:
  stage: attack
  dependencies: []
  script: [cd "$ARTIFACTS", eval "$ATTACK"]

attack-signed:
  stage: attack-signed
  dependencies: []
  script: [cd "$ARTIFACTS", eval "$ATTACK_SIGNED"]
"""


@dataclass(frozen=True)
class KeyPair:
    """A key pair that Cosign made, protected by PASSWORD."""

    private: str
    public: str


def make_key_pair(cosign: Path, folder: Path) -> KeyPair:
    """Let Cosign make a key pair."""
    folder.mkdir()
    run(cosign, "generate-key-pair", cwd=folder, env={**os.environ, "COSIGN_PASSWORD": PASSWORD})
    return KeyPair(*((folder / name).read_text(encoding="utf-8") for name in ("cosign.key", "cosign.pub")))


@pytest.fixture(scope="session")
def keys(cosign: Path, tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """The key pair of the project."""
    return make_key_pair(cosign, tmp_path_factory.mktemp("keys") / "ours")


@dataclass(frozen=True)
class Release:
    """A project, and how to run the pipeline of its tag v1.0.0."""

    path: Path
    pipe: Pipe
    executor: Executor
    variables: dict[str, str]

    def run(self, *, event: str = "tag", attack: str = ":", attack_signed: str = ":", **variables: str) -> Pipeline:
        """Run it, with shell commands of an attacker before and after the job that signs."""
        artifacts = self.path / ".gitlab-ci-local" / "artifacts"
        attacks = {"ARTIFACTS": str(artifacts), "ATTACK": attack, "ATTACK_SIGNED": attack_signed}
        done: Pipeline = self.pipe(
            self.path, event=event, executor=self.executor, variables={**self.variables, **attacks, **variables}
        )
        return done


@pytest.fixture
def release(
    tmp_path: Path,
    pipe: Pipe,
    python: str,
    pythons: dict[str, Path],
    cosign: Path,
    keys: KeyPair,
    gitlab: GitLab,
    warm: dict[str, str],
) -> Release:
    """A project with everything that a signed release needs."""
    project = tmp_path / "another"
    (project / "another").mkdir(parents=True)
    (project / "another" / "__init__.py").touch()
    (project / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (project / "cosign.pub").write_text(keys.public, encoding="utf-8")
    (project / ".gitlab-ci.yml").write_text(PIPELINE.replace("PYTHON", python), encoding="utf-8")
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=project)
    here = gitlab.variables(gitlab.add_project("group/another"))
    secrets = {"COSIGN_PRIVATE_KEY": keys.private, "COSIGN_PASSWORD": PASSWORD}
    return Release(project, pipe, shell_executor([cosign.parent, *pythons.values()]), {**here, **warm, **secrets})


def test_every_file_is_signed_attested_and_verified(release: Release, cosign: Path, keys: KeyPair) -> None:
    done = release.run()
    jobs = ["build", "cosign", "attack", "sign-key", "attack-signed", "verify-key"]
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    signatures = done.artifact("sign-key", "signatures")
    bundles = {f"{file}{kind}.sigstore.json" for file in FILES for kind in ("", ".provenance", ".sbom")}
    assert {file.name for file in signatures.iterdir()} == {"SHA256SUMS.sigstore.json", *bundles}
    offline = ("--key", release.path / "cosign.pub", "--insecure-ignore-tlog")
    wheel = done.artifact("build", f"dist/{FILES[0]}")
    run(cosign, "verify-blob", *offline, "--bundle", signatures / f"{FILES[0]}.sigstore.json", wheel)
    bundle = json.loads((signatures / f"{FILES[0]}.provenance.sigstore.json").read_text(encoding="utf-8"))
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    build = statement["predicate"]["buildDefinition"]
    assert build["externalParameters"]["ref"] == "refs/tags/v1.0.0"
    assert build["externalParameters"]["source"] == release.variables["CI_PROJECT_URL"]
    commit = run("git", "rev-parse", "HEAD", cwd=release.path).strip()
    assert build["resolvedDependencies"][0]["digest"] == {"gitCommit": commit}


def test_no_secret_is_in_a_log_or_an_artifact(release: Release, keys: KeyPair) -> None:
    done = release.run()
    state = release.path / ".gitlab-ci-local"
    secrets = [PASSWORD, keys.private.splitlines()[1], release.variables["CI_JOB_TOKEN"]]
    folders = [state / "artifacts", state / "builds", state / "output"]
    leaked = [
        (secret, file)
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file()
        for secret in secrets
        if secret.encode() in file.read_bytes()
    ]
    assert leaked == []
    assert not [secret for secret in secrets if secret in done.output]


NOT_BUILT = "The artifacts are not those that the job build made."
NOT_COMPLETE = "Do not publish these files. They are not all that the job build made, and no more"
NOT_SIGNED = "Do not publish these files. A signature is missing, of another file, or of another key"


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        pytest.param(f"echo evil >> build/dist/{FILES[0]}", NOT_BUILT, id="a wheel is changed"),
        pytest.param(
            f"echo evil >> build/dist/{FILES[0]}; cd build/dist; sha256sum * > ../SHA256SUMS",
            NOT_BUILT,
            id="a wheel is changed, and its sum",
        ),
        pytest.param("echo evil > build/dist/evil.whl", NOT_BUILT, id="a file is added"),
        pytest.param("rm build/dist/*", NOT_BUILT, id="nothing is left"),
    ],
)
def test_a_change_between_build_and_sign_is_refused(release: Release, attack: str, message: str) -> None:
    done = release.run(attack=attack)
    assert done.results["sign-key"] == "failed"
    assert "verify-key" not in done.results
    assert done.last_line("sign-key").startswith(message)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        pytest.param(f"echo evil >> build/dist/{FILES[0]}", NOT_COMPLETE, id="a wheel is changed"),
        pytest.param(
            f"echo evil >> build/dist/{FILES[0]}; cd build/dist; sha256sum * > ../SHA256SUMS",
            NOT_SIGNED,
            id="a wheel is changed, and its sum",
        ),
        pytest.param("echo evil > build/dist/evil.whl", NOT_COMPLETE, id="a file is added"),
        pytest.param(
            "echo evil > build/dist/evil.whl; cd build/dist; sha256sum * > ../SHA256SUMS",
            NOT_SIGNED,
            id="a file is added, and its sum",
        ),
        pytest.param("rm build/dist/*", NOT_COMPLETE, id="nothing is left"),
        pytest.param(f"rm sign-key/signatures/{FILES[0]}.sigstore.json", NOT_SIGNED, id="a bundle is missing"),
        pytest.param(
            f"cd sign-key/signatures; cp {FILES[1]}.sigstore.json {FILES[0]}.sigstore.json",
            NOT_SIGNED,
            id="a bundle is another file's",
        ),
        pytest.param(
            f"cd sign-key/signatures; cp {FILES[1]}.provenance.sigstore.json {FILES[0]}.provenance.sigstore.json",
            NOT_SIGNED,
            id="a provenance is another file's",
        ),
        pytest.param(
            f"cd sign-key/signatures; cp {FILES[0]}.sbom.sigstore.json {FILES[0]}.provenance.sigstore.json",
            NOT_SIGNED,
            id="a bill of materials stands for the provenance",
        ),
    ],
)
def test_a_change_between_sign_and_verify_is_refused(release: Release, attack: str, message: str) -> None:
    done = release.run(attack_signed=attack)
    assert done.results["sign-key"] == "passed"
    assert done.results.get("verify-key") == "failed", done.output
    assert done.last_line("verify-key").startswith(message)


def test_signatures_of_another_key_are_refused(release: Release, cosign: Path, tmp_path: Path) -> None:
    other = make_key_pair(cosign, tmp_path / "other")
    done = release.run(COSIGN_PRIVATE_KEY=other.private)
    assert done.results.get("verify-key") == "failed", done.output
    assert done.last_line("verify-key").startswith(NOT_SIGNED)


def test_what_an_older_commit_signed_is_refused(release: Release, tmp_path: Path) -> None:
    older = release.run()
    old = tmp_path / "old"
    for job in ("build", "sign-key"):
        shutil.copytree(older.artifact(job, "."), old / job)
    (release.path / "another" / "__init__.py").write_text("MENDED = True\n", encoding="utf-8")
    done = release.run(attack_signed=f"cp -R {old}/build/. build; cp -R {old}/sign-key/. sign-key")
    assert done.results.get("verify-key") == "failed", done.output
    assert re.search(r"another-1.0.0\S+ was made from commit \w+, not \w+", done.log("verify-key"))
    assert done.last_line("verify-key").startswith("Do not publish these files. They were signed for another project")


def test_without_a_key_the_job_says_how_to_make_one(release: Release) -> None:
    done = release.run(COSIGN_PRIVATE_KEY="")
    assert done.results["sign-key"] == "failed"
    assert done.last_line("sign-key").startswith("Set COSIGN_PRIVATE_KEY and COSIGN_PASSWORD as protected variables")


def test_without_the_public_key_nothing_is_verified(release: Release) -> None:
    (release.path / "cosign.pub").unlink()
    done = release.run()
    assert done.results.get("verify-key") == "failed", done.output
    assert done.last_line("verify-key").startswith("Commit the public key of COSIGN_PRIVATE_KEY as cosign.pub")


@pytest.mark.parametrize("event", ["branch", "merge request", "unprotected tag", "schedule on a tag"])
def test_nothing_is_signed_but_a_protected_tag(release: Release, event: str) -> None:
    done = release.run(event=event)
    assert "build" in done.results
    assert not {"cosign", "sign-key", "verify-key"} & done.results.keys()
