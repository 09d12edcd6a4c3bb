"""Releases on GitLab's own runner: in a shell as nobody in particular on two runners, and in containers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from tools.bare_runner import version_of
from tools.commands import commit_all
from tools.expander import Expander
from tools.gitlab_runner.engine import Engine
from tools.gitlab_runner.pipeline import Pipeline, run_pipeline
from tools.gitlab_runner.runner import NewRunner
from tools.runner import Executor, Variable
from tools.samples.baked import Bake
from tools.samples.hostile import end_processes, make_dependency, make_hostile
from tools.samples.package import IDENTITY, IMAGING, RELEASING, add_image, files_of, make_project
from tools.stand_ins.cosign import ARCHITECTURE, PASSWORD, KeyPair, Mirror
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import stored
from tools.stand_ins.images import BUILDAH, SKOPEO, Podman, uv_image
from tools.stand_ins.pypi import PyPI
from tools.stand_ins.registry import Registry
from tools.stand_ins.sigstore import Sigstore
from tools.template import edit

SECRETS = ("CI_JOB_TOKEN", "CI_REGISTRY_PASSWORD")


def assert_nothing_reached(done: Pipeline, marks: Path, reached: set[str]) -> None:
    """Assert that code of the build and of a dependency handed on variables, and only these jobs got any."""
    for name in ("build", "sbom"):
        assert done.builds[name].dotenv["PY_CI_EVIL"] == "evil", done.log(name)
    told = {name: {each["key"] for each in build.described["variables"]} for name, build in done.builds.items()}
    assert {name for name, names in told.items() if names & {"PY_CI_EVIL", "BASH_ENV", "LD_PRELOAD"}} == reached
    ran = {tuple(path.name.rsplit(" ", 1)) for path in marks.iterdir() if " " in path.name and "body" not in path.name}
    end_processes(marks)
    foreign = {("build", "build"), ("sbom", "dependency"), ("verify-published", "dependency")}
    assert ran == foreign | {(name, "shell") for name in reached}
    for job, who in foreign:
        seen = (marks / f"{job} {who}").read_text(encoding="utf-8").split()
        assert not {"COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD", "SIGSTORE_ID_TOKEN", "PYPI_ID_TOKEN"} & set(seen)


def secrets_of(done: Pipeline, keys: KeyPair) -> set[str]:
    """Return what no log may have: the password, the key, its second line, and the token of each job."""
    return {PASSWORD, keys.private, keys.private.splitlines()[1], *(build.token for build in done.builds.values())}


def test_a_release_runs_twice_on_two_runners_of_a_user_without_a_name_and_a_home(
    new_runner: NewRunner,
    nobody: dict[str, Any],
    gitlab: GitLab,
    expander: Expander,
    bare_python: Path,
    keys: KeyPair,
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path / "another", version_of(bare_python), keys.public)
    marks = tmp_path / "marks"
    make_hostile(project, marks, make_dependency(tmp_path))
    commit_all(project)
    here = gitlab.add_project("group/another", project)
    variables: dict[str, str | Variable] = {**keys.settings, "MARKS": str(marks)}
    with new_runner("first", **nobody) as first, new_runner("second", **nobody) as second:
        done = run_pipeline([first, second], here, expander, "tag", variables)
        assert done.results == dict.fromkeys(RELEASING, "passed"), done.output
        published = stored(here)
        runs = [done]
        for job in sorted(done.builds, key=lambda name: done.builds[name].number):
            runs.append(run_pipeline([first, second], here, expander, "tag", variables, [job], earlier=done))
            assert runs[-1].results == {job: "passed"}, runs[-1].output
    assert_nothing_reached(done, marks, set())
    # They take jobs in turn, so each finds the folder in which it ran, and what the jobs between have left there.
    assert {build.runner for build in done.builds.values()} == {first.token, second.token}
    for again in runs[1:]:
        assert all(build.runner == done.builds[job].runner for job, build in again.builds.items())
    assert stored(here) == published
    assert {f"pypi/{name}" for name in files_of("1.0.0")} < published.keys()
    assert "releases/v1.0.0.json" in published
    for each in runs:
        assert not [secret for secret in secrets_of(each, keys) if secret in each.output]
    owners = {path.lstat().st_uid for runner in (first, second) for path in (runner.folder / "builds").rglob("*")}
    assert owners == {nobody["user"].number}


def test_a_keyless_release_to_pypi_with_an_image_passes_in_containers(
    bake: Bake,
    new_runner: NewRunner,
    gitlab: GitLab,
    expander: Expander,
    engine: Engine,
    podman: Podman,
    registry: Registry,
    cosign: Path,
    sigstore: Sigstore,
    tmp_path: Path,
) -> None:
    program = cosign.read_bytes()
    project = make_project(tmp_path / "another", "3.11", "")
    add_image(project, bake(), "3.11")
    here = gitlab.add_project("group/another", project)
    registry.offer(podman.base, here)
    shared, marks = tmp_path / "shared", tmp_path / "marks"
    shared.mkdir()
    make_hostile(project, marks, make_dependency(shared))
    # The dependency is where the jobs run, and not where the image is built.
    edit(
        project / "Dockerfile",
        "COPY pyproject.toml .",
        "COPY pyproject.toml .\nRUN sed -i /^dependencies/d pyproject.toml",
    )
    edit(project / "Dockerfile", '--no-compile "./${PACKAGE}"', '--no-compile --no-deps "./${PACKAGE}"')
    with Mirror(program) as mirror, PyPI(tmp_path / "pypi") as pypi:
        pypi.trust("another", project_path=here.path, ref_type="tag", ref_protected="true")
        pinned = {
            f"PY_CI_COSIGN_SHA256_{ARCHITECTURE.upper()}": hashlib.sha256(program).hexdigest(),
            "PY_CI_COSIGN_RELEASES": mirror.url,
        }
        pipeline = project / ".gitlab-ci.yml"
        text = pipeline.read_text(encoding="utf-8")
        for old, new in (
            ("inputs: {method: key}", "inputs: {method: keyless}"),
            (f", identity: {IDENTITY}", ""),
            (f"identity: {IDENTITY}", "stage: verify"),
            ("inputs: {public_key: cosign.pub}", f"inputs: {{python_container_image: {uv_image('3.11')}}}"),
            ("python_version: ", f"python_container_image: {uv_image('3.11')}, python_version: "),
            ("publish-gitlab@", "publish-pypi@"),
            ("program: another", f'program: another, index_url: "{pypi.simple}"'),
            ("[publish-signatures, publish-gitlab]", "[publish-signatures]"),
        ):
            assert old in text
            text = text.replace(old, new)
        pipeline.write_text(text + yaml.safe_dump({"cosign": {"variables": pinned}}), encoding="utf-8")
        commit_all(project)
        trusted = shared / "trusted.pem"
        trusted.write_bytes(registry.trusted.read_bytes() + pypi.trusted.read_bytes())
        variables: dict[str, str | Variable] = {
            **registry.variables(here),
            **pypi.settings,
            "MARKS": str(marks),
            **dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(trusted)),
            "SIGSTORE_SIGNING_CONFIG": Variable(sigstore.signing_config.read_text(encoding="utf-8"), file=True),
            "SIGSTORE_TRUSTED_ROOT": Variable(sigstore.trusted_root.read_text(encoding="utf-8"), file=True),
        }
        with new_runner(
            executor=Executor(containers=True), engine=engine, volumes=(shared,), writable=(marks,)
        ) as runner:
            done = run_pipeline([runner], here, expander, "tag", variables)
    jobs = {job.replace("publish-gitlab", "publish-pypi") for job in (*RELEASING, *IMAGING)}
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    # What is in an image comes from the build; but there it ends.
    assert done.builds["build-image"].dotenv["PY_CI_EVIL"] == "evil", done.log("build-image")
    assert_nothing_reached(done, marks, {"build-image"})
    assert {path.name for path in pypi.files.iterdir()} == set(files_of("1.0.0"))
    assert "another 1.0.0" in done.log("verify-published")
    assert f"cosign-linux-{ARCHITECTURE} has the pinned checksum." in done.log("cosign")
    assert f"{registry.image(here)}:latest is sha256:" in done.log("publish-image")
    for job, image in {"build-image": BUILDAH, "publish-image": SKOPEO, "verify-published": uv_image("3.11")}.items():
        assert f" for {image} " in done.log(job)
    told = [variable for build in done.builds.values() for variable in build.described["variables"]]
    secrets = {variable["value"] for variable in told if variable["key"] in SECRETS or "ID_TOKEN" in variable["key"]}
    secrets |= {token.value for token in pypi.minted}
    # Of each job its own, of those that sign one more, and of the one that publishes three, and those of PyPI.
    assert len(secrets) == len(jobs) + 2 + 3 + len(pypi.minted)
    assert not [secret for secret in secrets if secret in done.output]
