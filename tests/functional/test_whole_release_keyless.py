"""Releases that are signed keyless: real Cosign, a real Fulcio, identity tokens of GitLab, and attacks of identity."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser

from tools.commands import run
from tools.documents import SIGNING, block
from tools.fleet.__main__ import main as py_ci_fleet
from tools.fleet.data import load
from tools.requirements import find_program
from tools.runner import Executor, Pipe, Pipeline
from tools.samples.baked import Bake, BakedProject
from tools.samples.consumer import make_venv
from tools.samples.image import wait_until_passes
from tools.samples.keyless import EVIL, Signed, sign_as
from tools.samples.organisation import add_release, link_to
from tools.samples.package import IMAGING, RELEASING
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.repositories import Snapshot
from tools.stand_ins.gitlab_rest.server import SharedGitLab
from tools.stand_ins.id_tokens import Issuer
from tools.stand_ins.images import Podman
from tools.stand_ins.registry import Registry
from tools.stand_ins.sigstore import SIGSTORE_PYTHON, Sigstore


class Released(NamedTuple):
    """A project whose tag was pushed: what its pipeline did, and what GitLab has of it."""

    project: BakedProject
    done: Pipeline
    gitlab: GitLab
    here: Project
    registry: Registry


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


def test_a_merge_request_signs_nothing(signed: Signed) -> None:
    done = signed.release.run(event="merge request", **signed.token())
    assert done.results == {"build": "passed"}


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


def test_the_page_of_all_projects_says_whose_signature_it_is(
    sigstore: Sigstore,
    components: Path,
    upstream: str,
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cosign = sigstore.binaries.cosign
    monkeypatch.setenv("PATH", str(cosign.parent), prepend=":")
    for name, value in sigstore.variables.items():
        monkeypatch.setenv(name, value)
    commit = run("git", "rev-parse", "HEAD", cwd=components).strip()
    link = link_to(components, commit, {"signing": "keyless"})
    sums = tmp_path / "SHA256SUMS"
    with (
        GitLab(tmp_path / "another", upstream) as another,
        SharedGitLab(tmp_path / "gitlab", upstream) as server,
    ):
        reader = server.add_user("fleet", {"org": Level.REPORTER}, "read_api")
        monkeypatch.setenv("GITLAB_TOKEN", reader.token)

        def signed_by(name: str, issuer: Issuer, tag: str = "v1.0.0", **claims: Any) -> None:
            sums.write_text(f"{'0' * 64}  {name}-1.0.0-py3-none-any.whl\n", encoding="utf-8")
            monkeypatch.setenv("SIGSTORE_ID_TOKEN", issuer.token(**{"project_path": f"org/{name}", **claims}))
            bundle = tmp_path / f"{name}.json"
            run(cosign, "sign-blob", "--yes", *sigstore.options, "--bundle", bundle, sums)
            files = {"SHA256SUMS": sums.read_bytes(), "SHA256SUMS.sigstore.json": bundle.read_bytes()}
            project = server.share_project(f"org/{name}", Snapshot({".cruft.json": link}))
            add_release(project, name, tag, files)

        signed_by("own", server.issuer)
        signed_by("package", server.issuer, "package-v1.0.0", ref="package-v1.0.0")
        signed_by("project", server.issuer, project_path="org/own")
        signed_by("branch", server.issuer, ref="main", ref_type="branch")
        # All that is said of the project is right, but another GitLab says it.
        uri = f"127.0.0.1:{server.port}/org/issuer//.gitlab-ci.yml@refs/tags/v1.0.0"
        signed_by("issuer", another.issuer, ci_config_ref_uri=uri)
        kept, html = tmp_path / "fleet.json", tmp_path / "index.html"
        # A bot may know GitLab by another address than people.
        asked_at = server.url.replace("127.0.0.1", "localhost")
        words = ["collect", "--group", "org", "--template", str(components), "--gitlab", asked_at]
        words += ["--output", str(kept), "--no-changes"]
        assert py_ci_fleet(words) == 0
        found = {each["path"].removeprefix("org/"): each["release"] for each in load(kept)["projects"]}
        holds, why = ({name: each[part] for name, each in found.items() if each} for part in ("verified", "why"))
        assert holds == {"own": "yes", "package": "yes", "project": "no", "branch": "no", "issuer": "no"}, why
        for name, part in {"project": "SAN value", "branch": "SAN value", "issuer": "issuer value"}.items():
            assert f"no matching CertificateIdentity found, last error: expected {part}" in why[name]
        assert py_ci_fleet(["page", str(kept), "--output", str(html)]) == 0
        # Nobody says what to trust: that is no fault of a release.
        monkeypatch.delenv("SIGSTORE_TRUSTED_ROOT")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        assert py_ci_fleet(words) == 0
        releases = [each["release"] for each in load(kept)["projects"]]
        unknown = ("unknown", "not checked: Sigstore does not say what to trust")
        assert {(each["verified"], each["why"]) for each in releases if each} == {unknown}
    page = browser.new_page()
    page.goto(html.as_uri())
    shown = dict(
        zip(
            page.locator("tbody th a").all_inner_texts(),
            page.locator('tbody td[data-name="Last release"]').all_inner_texts(),
            strict=True,
        )
    )
    good, bad = "✓ verified", "✕ not verified"
    assert {name.removeprefix("org/"): text for name, text in shown.items()} == {
        **{"own": f"v1.0.0 {good}", "package": f"package-v1.0.0 {good}"},
        **dict.fromkeys(("project", "branch", "issuer"), f"v1.0.0 {bad}"),
    }
    assert "3 with a signature that does not verify" in page.locator("header").inner_text().replace("\n", " ")
    page.close()


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

    `test_whole_release.py` has the other flavour, and a GitLab with a host of its own.
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
    warm: dict[str, str],
    tmp_path: Path,
) -> None:
    project, _, server, here, _ = released
    find_program("curl", "the commands for consumers use it: apt install curl")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text(f"machine 127.0.0.1 login gitlab-ci-token password {here.token}\n", "utf-8")
    make_venv(home / "venv", pythons[python] / f"python{python}", warm)
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
    commands = commands.replace(
        "docker run --rm --publish 8000:8000", "podman run --detach --name service --network none"
    )
    path = f"{sigstore_services.binaries.cosign.parent}:{os.environ['PATH']}"
    env = {**os.environ, **podman.env, **registry.log_in(here, tmp_path), "PATH": path}
    run("sh", "-e", "-c", commands, cwd=tmp_path, env=env)
    ask = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"
    wait_until_passes(podman, "exec", "service", "python", "-c", ask)
    podman.run("stop", "service")
    assert podman.run("logs", "service").endswith(" INFO Ended\n")
    podman.run("rm", "service")
    # Another tag of the same project is another signer.
    with pytest.raises(AssertionError, match="no matching CertificateIdentity found"):
        run("sh", "-e", "-c", commands.replace("@refs/tags/v1.0.0", "@refs/tags/v1.0.1"), cwd=tmp_path, env=env)


def here_for(commands: str, server: GitLab) -> str:
    """Return commands of a document for the GitLab of the test, which talks no TLS."""
    host = server.url.removeprefix("http://")
    commands = commands.replace("https://gitlab.com/your-group", f"https://{host}/your-group")
    return commands.replace("https://gitlab.com", server.url)
