"""Releases that are signed keyless: real Cosign, a real Fulcio, identity tokens of GitLab, and attacks of identity."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tools.commands import commit_all, run
from tools.components import component
from tools.documents import SIGNING, block
from tools.requirements import find_program
from tools.runner import Executor, Pipe, Pipeline
from tools.samples.baked import Bake, BakedProject
from tools.samples.package import IDENTITY, IMAGING, RELEASING, Release, copy_project, files_of
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.images import Podman
from tools.stand_ins.registry import Registry
from tools.stand_ins.sigstore import SIGSTORE_PYTHON, Sigstore

pytestmark = pytest.mark.xdist_group("sigstore")

FILES = files_of("1.0.0")
NOT_SIGNED = (
    "Do not use these files. A signature is missing, of another file, or not by the signer --certificate-identity"
)
NO_CERTIFICATE = "Sigstore did not sign; the line above names the service."


class Released(NamedTuple):
    """A project whose tag was pushed: what its pipeline did, and what GitLab has of it."""

    project: BakedProject
    done: Pipeline
    gitlab: GitLab
    here: Project
    registry: Registry


@dataclass(frozen=True)
class Signed:
    """A project whose tag was signed keyless, and the GitLab that it is on."""

    release: Release
    gitlab: GitLab

    def token(self, **claims: Any) -> dict[str, str]:
        """Return the identity token of the job that signs, with other claims where they are given."""
        return {"SIGSTORE_ID_TOKEN": self.gitlab.issuer.token(**{"sha": self.release.commit, **claims})}

    @property
    def host(self) -> str:
        """The host and port of the GitLab."""
        return self.gitlab.url.removeprefix("http://")


@pytest.fixture(scope="module")
def _signed_keyless(
    _signed: Path,
    pipe: Pipe,
    releasing: Executor,
    warm: dict[str, str],
    upstream: str,
    sigstore_services: Sigstore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Signed]:
    """It, as its pipeline left it; its GitLab, whose port is in the certificates, stays."""
    folder = tmp_path_factory.mktemp("keyless")
    path = copy_project(_signed, folder / "another")
    pipeline = path / ".gitlab-ci.yml"
    text = pipeline.read_text(encoding="utf-8").replace("method: key", "method: keyless")
    text = text.replace(f", identity: {IDENTITY}", "").replace(f"identity: {IDENTITY}", "stage: verify")
    pipeline.write_text(text, encoding="utf-8")
    commit_all(path)
    run("git", "tag", "--force", "v1.0.0", cwd=path)
    with GitLab(folder / "gitlab", upstream) as server:
        here = server.add_project("group/another", path)
        variables = {**server.variables(here), **warm, **sigstore_services.variables}
        signed = Signed(Release(path, pipe, releasing, variables), server)
        done = signed.release.retry("cosign", "sign", **signed.token())
        assert done.results == {"cosign": "passed", "sign": "passed"}, done.output
        yield signed


@pytest.fixture
def signed(_signed_keyless: Signed, sigstore: Sigstore, tmp_path: Path) -> Signed:
    """A copy of it."""
    path = copy_project(_signed_keyless.release.path, tmp_path / "another")
    # There is one project on that GitLab, and nothing was uploaded to it yet.
    _signed_keyless.gitlab.projects[0].repository = path
    return replace(_signed_keyless, release=replace(_signed_keyless.release, path=path))


def sign_as(signed: Signed, sigstore: Sigstore, **claims: Any) -> Path:
    """Let Cosign sign the sums with another identity; return the bundle, which takes the place of the right one."""
    bundle = signed.release.artifact("sign", "signatures/SHA256SUMS.sigstore.json")
    sums = signed.release.artifact("digests", "SHA256SUMS")
    options = ("--yes", *sigstore.options, "--bundle", bundle)
    run(sigstore.binaries.cosign, "sign-blob", *options, sums, env={**os.environ, **signed.token(**claims)})
    return bundle


def test_a_release_is_signed_by_its_pipeline(signed: Signed, tmp_path: Path) -> None:
    release = replace(signed.release, variables={**signed.release.variables, **signed.token()})
    here = replace(signed.gitlab.projects[0], folder=tmp_path / "empty")
    jobs = ["sign", "verify", "publish-signatures", "publish-gitlab", "verify-published", "release"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signed.gitlab, "projects", [here])
        done = release.retry(*jobs)
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert "Verified OK" in done.log("verify-published")
    assert release.variables["SIGSTORE_ID_TOKEN"] not in done.output


EVIL = "evil-group/group/another"


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"project_path": "group/other"}, id="another project"),
        pytest.param({"project_path": "fork/another"}, id="a fork"),
        pytest.param({"project_path": EVIL}, id="a project whose path ends alike"),
        pytest.param({"ref": "main", "ref_type": "branch"}, id="a branch"),
        pytest.param({"ref": "v0.9.0"}, id="another tag"),
        pytest.param(
            {"ci_config_ref_uri": "127.0.0.1/group/ci//release.yml@refs/heads/main"}, id="a pipeline from elsewhere"
        ),
    ],
)
def test_the_certificate_of_another_identity_is_refused(
    claims: dict[str, Any], signed: Signed, sigstore: Sigstore
) -> None:
    sign_as(signed, sigstore, **claims)
    done = signed.release.retry("verify")
    assert done.results == {"verify": "failed"}
    assert "no matching CertificateIdentity found" in done.log("verify")
    assert done.last_line("verify").startswith(NOT_SIGNED)


@pytest.mark.parametrize("claims", [{"aud": "pypi"}, {"lifetime": -60}], ids=["another audience", "expired"])
def test_a_token_that_is_not_for_sigstore_gets_no_certificate(claims: dict[str, Any], signed: Signed) -> None:
    done = signed.release.retry("sign", **signed.token(**claims))
    assert done.results == {"sign": "failed"}
    assert "There was an error processing the identity token" in done.log("sign")
    assert done.last_line("sign").startswith(NO_CERTIFICATE)


def test_without_a_token_the_job_says_how_to_get_one(signed: Signed) -> None:
    done = signed.release.retry("sign")
    assert done.results == {"sign": "failed"}
    assert done.last_line("sign").startswith("The job has no identity token. Declare id_tokens for it")


def test_a_merge_request_signs_nothing(signed: Signed) -> None:
    done = signed.release.run(event="merge request", **signed.token())
    assert done.results == {"build": "passed", "sbom": "passed"}


@pytest.mark.parametrize("part", ["tlogEntries", "timestampVerificationData"])
def test_a_bundle_without_a_witness_is_refused(part: str, signed: Signed) -> None:
    bundle = signed.release.artifact("sign", f"signatures/{FILES[0]}.sigstore.json")
    known = json.loads(bundle.read_text(encoding="utf-8"))
    del known["verificationMaterial"][part]
    bundle.write_text(json.dumps(known), encoding="utf-8")
    done = signed.release.retry("verify")
    assert done.results == {"verify": "failed"}
    assert done.last_line("verify").startswith(NOT_SIGNED)


def test_an_expression_for_all_releases_is_anchored(signed: Signed, sigstore: Sigstore) -> None:
    (documented,) = re.findall(r"--certificate-identity-regexp '(.+)'", SIGNING)
    project = r"gitlab\.com/your-group/my-service"
    assert project in documented
    anchored = documented.replace(project, re.escape(f"{signed.host}/group/another"))
    unanchored = r"group/another//\.gitlab-ci\.yml@refs/tags/v"
    issuer = ("--certificate-oidc-issuer", signed.gitlab.url, "--trusted-root", sigstore.trusted_root)

    def verifies(expression: str, bundle: Path) -> bool:
        options = ("--bundle", bundle, "--certificate-identity-regexp", expression, *issuer)
        command = (sigstore.binaries.cosign, "verify-blob", *options, signed.release.artifact("digests", "SHA256SUMS"))
        return subprocess.run(command, capture_output=True).returncode == 0

    ours = signed.release.artifact("sign", "signatures/SHA256SUMS.sigstore.json")
    assert verifies(anchored, ours)
    for claims in ({"project_path": EVIL}, {"ref": "main", "ref_type": "branch"}):
        assert not verifies(anchored, sign_as(signed, sigstore, **claims))
    evil = sign_as(signed, sigstore, project_path=EVIL)
    assert verifies(unanchored, evil), "this is why the other begins with ^"


def test_services_that_fail_once_or_are_slow_are_asked_again(signed: Signed, sigstore: Sigstore) -> None:
    sigstore.fulcio.fail_next(1, method="POST", status=503)
    sigstore.tsa.fail_next(1, method="POST", timeout=3)
    sigstore.rekor.fail_next(1, method="POST", status=500)
    done = signed.release.retry("sign", **signed.token())
    assert done.results == {"sign": "passed"}, done.output


@pytest.mark.parametrize(
    ("name", "fault", "said"),
    [
        ("fulcio", {"status": 503}, "Fulcio returned 503"),
        ("tsa", {"status": 503}, "timestamp authority returned 503"),
        ("rekor", {"status": 503}, "adding rekor v2 entry"),
        ("rekor", {"timeout": 60}, "No answer within 5 s: from the transparency log"),
    ],
    ids=["fulcio", "tsa", "rekor", "a rekor that hangs"],
)
def test_a_service_that_stays_down_is_named_and_nothing_is_signed(
    name: str, fault: dict[str, Any], said: str, signed: Signed, sigstore: Sigstore
) -> None:
    getattr(sigstore, name).fail_next(sys.maxsize, **fault)
    done = signed.release.retry("sign", **signed.token(), PY_CI_SIGSTORE_TIMEOUT="5")
    assert done.results == {"sign": "failed"}
    assert said in done.log("sign")
    assert done.last_line("sign").startswith(NO_CERTIFICATE)
    assert signed.release.retry("verify").results == {"verify": "failed"}


@pytest.fixture(scope="module")
def released(
    bake: Bake,
    pipe: Pipe,
    python: str,
    podman: Podman,
    imaging: Executor,
    sigstore_services: Sigstore,
    warm: dict[str, str],
    upstream: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Released]:
    """A project as it is made by default, but with components, on a GitLab below a path; its tag was pushed.

    `test_release.py` has the other flavour, and a GitLab with a host of its own.
    """
    project = bake(pipeline="components", _python_versions=[python], python_version=python)
    folder = tmp_path_factory.mktemp("released")
    with GitLab(folder / "gitlab", upstream, "/gitlab") as server, Registry(folder, server) as registry:
        here = server.add_project("your-group/my-service", project.path)
        registry.offer(podman.base, here)
        variables = {**server.variables(here), **registry.variables(here), **warm, **sigstore_services.variables}
        variables["SIGSTORE_ID_TOKEN"] = server.issuer.token(project_path="your-group/my-service")
        done = pipe(project.path, event="tag", executor=imaging, variables=variables)
        yield Released(project, done, server, here, registry)


def test_a_protected_tag_of_a_default_project_is_released(
    released: Released, python: str, sigstore_services: Sigstore
) -> None:
    done, here = released.done, released.here
    jobs = ["preflight", "preflight-keyless", "lint", f"test: [{python}]", "coverage", *RELEASING, *IMAGING]
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert "by Sigstore: your own" in done.log("preflight-keyless")
    for service in (sigstore_services.fulcio, sigstore_services.tsa, sigstore_services.rekor):
        assert re.search(rf"ok +\w+ +{service.url}\S*  answers", done.log("preflight-keyless"))
    assert len(list((here.folder / "pypi").iterdir())) == 2


def test_a_consumer_verifies_as_the_readme_says(
    released: Released,
    python: str,
    pythons: dict[str, Path],
    sigstore_services: Sigstore,
    tmp_path: Path,
) -> None:
    project, _, server, here, _ = released
    find_program("curl", "the commands for consumers use it: apt install curl")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text(f"machine 127.0.0.1 login gitlab-ci-token password {here.token}\n", "utf-8")
    run(pythons[python] / f"python{python}", "-m", "venv", home / "venv")
    commands = block(project.read("README.md"), "## Verify")
    commands = here_for(commands, server)
    commands = commands.replace("verify-blob", f"verify-blob --trusted-root {sigstore_services.trusted_root}")
    foreign = ("CI_", "PIP_INDEX", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    path = f"{home}/venv/bin:{sigstore_services.binaries.cosign.parent}:{env['PATH']}"
    env |= {"HOME": str(home), "PATH": path}
    printed = run("sh", "-e", "-c", commands, cwd=tmp_path, env=env)
    assert "Verified OK" in printed
    assert run("my-service", "--version", env=env) == "my-service 1.0.0\n"
    commands = here_for(block(project.read("README.md"), "`pip install sigstore`"), server)
    options = f"--trust-config {sigstore_services.trust_config} verify identity --offline"
    python_sigstore = f"uv run --isolated --no-project --python {python} --with sigstore=={SIGSTORE_PYTHON} sigstore"
    commands = commands.replace("sigstore verify identity", f"{python_sigstore} {options}")
    assert "OK: SHA256SUMS" in run("sh", "-e", "-c", commands, cwd=tmp_path, env=env)


def test_a_consumer_verifies_the_image_as_the_readme_says(
    released: Released, podman: Podman, sigstore_services: Sigstore, tmp_path: Path
) -> None:
    registry, here = released.registry, released.here
    commands = here_for(block(released.project.read("README.md"), "Verify the container image"), released.gitlab)
    commands = commands.replace("registry.gitlab.com/your-group/my-service", registry.image(here))
    commands = commands.replace("cosign verify", f"cosign verify --trusted-root {sigstore_services.trusted_root}")
    commands = commands.replace("docker run", "podman run")
    path = f"{sigstore_services.binaries.cosign.parent}:{os.environ['PATH']}"
    env = {**os.environ, **podman.env, **registry.log_in(here, tmp_path), "PATH": path}
    assert run("sh", "-e", "-c", commands, cwd=tmp_path, env=env).endswith("Hello, Ada!\n")
    # Another tag of the same project is another signer.
    with pytest.raises(AssertionError, match="no matching CertificateIdentity found"):
        run("sh", "-e", "-c", commands.replace("@refs/tags/v1.0.0", "@refs/tags/v1.0.1"), cwd=tmp_path, env=env)


def here_for(commands: str, server: GitLab) -> str:
    """Return commands of a document for the GitLab of the test, which talks no TLS."""
    host = server.url.removeprefix("http://")
    commands = commands.replace("https://gitlab.com/your-group", f"https://{host}/your-group")
    return commands.replace("https://gitlab.com", server.url)


def test_a_self_managed_gitlab_without_a_sigstore_is_told_of_two_ways_out(signed: Signed, tmp_path: Path) -> None:
    done = preflight(tmp_path, CI_SERVER_HOST="gitlab.example.com")
    assert done.returncode == 1
    assert "gives no certificate to a pipeline on gitlab.example.com" in done.stderr
    assert "- sign with a key pair:" in done.stderr
    assert "- run a Sigstore of your own" in done.stderr


def test_a_sigstore_that_is_not_set_up_is_named(sigstore: Sigstore, tmp_path: Path) -> None:
    done = preflight(tmp_path, SIGSTORE_SIGNING_CONFIG=str(sigstore.signing_config))
    assert done.stderr.startswith("SIGSTORE_TRUSTED_ROOT is missing or no file")
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]", encoding="utf-8")
    done = preflight(tmp_path, **{**sigstore.variables, "SIGSTORE_SIGNING_CONFIG": str(wrong)})
    assert done.stderr.startswith("SIGSTORE_SIGNING_CONFIG is no signing configuration of Cosign")


def test_a_service_that_does_not_answer_is_named_before_the_build(sigstore: Sigstore, tmp_path: Path) -> None:
    sigstore.tsa.fail_next(3, status=503)
    done = preflight(tmp_path, **sigstore.variables)
    assert done.returncode == 1
    assert re.search(rf"FAIL  time +{sigstore.tsa.url}\S*  fails \(503\)", done.stdout)
    assert "A release could not be signed." in done.stderr
    sigstore.tsa.fail_next(1, status=503)
    assert preflight(tmp_path, **sigstore.variables).returncode == 0


def preflight(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script of the component `preflight-keyless`."""
    _, jobs = yaml.safe_load_all(component("preflight-keyless"))
    (script,) = jobs["preflight-keyless"]["script"]
    env = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(["sh", "-e", "-c", script], cwd=folder, env=env, capture_output=True, encoding="utf-8")
