"""Code that runs in a job may spoil what that job makes, and nothing else: attacks from inside the build."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.commands import commit_all, run
from tools.runner import Executor, Pipe, Pipeline
from tools.samples.hostile import SHADOWS, end_processes, make_dependency, make_hostile
from tools.samples.package import IDENTITY, RELEASING, Release, files_of, make_project
from tools.stand_ins.cosign import PASSWORD, KeyPair
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.pypi import PyPI, id_token
from tools.stand_ins.sigstore import Sigstore

WHEEL, SDIST = FILES = files_of("1.0.0")
SECRETS = {"COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD", "SIGSTORE_ID_TOKEN", "PYPI_ID_TOKEN"}
# Names that a group may have for deployments of its own; GitLab ranks its variables above those of a job.
OF_A_GROUP = (
    "STAGE",
    "REGISTRY",
    "IDENTITY",
    "PACKAGE_NAME",
    "VERSION",
    "PYTHON_VERSION",
    "COSIGN_VERSION",
    "IMAGE_DIGEST",
)
# Where somebody else's code has a business.
FOREIGN = {"build", "sbom", "verify-published"}


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[Path]:
    """Where foreign code leaves a mark, named by the job that ran it, with the names of the variables that it saw."""
    yield tmp_path / "marks"
    end_processes(tmp_path / "marks")


@pytest.fixture
def hostile(tmp_path: Path, python: str, keys: KeyPair, marks: Path) -> Path:
    """A hostile project."""
    project = make_project(tmp_path / "another", python, keys.public)
    make_hostile(project, marks, make_dependency(tmp_path))
    return project


def run_watched(release: Release, jobs: list[str]) -> Pipeline:
    """Run the jobs of the tag, each of which writes down the names of its variables."""
    assert release.pipe(release.path, "cosign", event="tag", executor=release.executor).results == {"cosign": "passed"}
    for job in jobs:
        release.change(job, lambda commands: [*commands, 'env | cut -d = -f 1 > "$MARKS/$CI_JOB_NAME environment"'])
    return release.retry(*jobs)


def seen(marks: Path, who: str) -> dict[str, set[str]]:
    """Return the jobs that ran something, and the names of the variables that it could read there."""
    left = marks.glob(f"* {who}")
    return {path.name.rpartition(" ")[0]: set(path.read_text(encoding="utf-8").split()) for path in left}


def provenance(release: Release) -> Any:
    """Return what was attested of the wheel."""
    file = release.artifact("sign", f"signatures/{WHEEL}.provenance.sigstore.json")
    payload = json.loads(file.read_text(encoding="utf-8"))["dsseEnvelope"]["payload"]
    return json.loads(base64.b64decode(payload))["predicate"]


def assert_kept_apart(marks: Path, release: Release, done: Pipeline, signing: set[str]) -> None:
    """Assert that foreign code ran where it may, saw no secret, and changed nothing but what its own job makes."""
    ran = {path.name.rpartition(" ")[0] for path in marks.glob("* *") if not path.name.endswith(" environment")}
    assert "build" in seen(marks, "build")
    assert seen(marks, "dependency").keys() == {"sbom", "verify-published"}
    assert ran <= FOREIGN, sorted(path.name for path in marks.iterdir())
    for module in (*SHADOWS, "urllib"):
        assert not seen(marks, module), module
    for path in marks.glob("* *"):
        if not path.name.endswith(" environment"):
            assert not SECRETS & set(path.read_text(encoding="utf-8").split()), path.name
    environments = seen(marks, "environment")
    assert environments.keys() == done.results.keys()
    secrets = {job: names & (SECRETS - {"PYPI_ID_TOKEN"}) for job, names in environments.items()}
    assert {job for job, names in secrets.items() if names} == signing
    said = provenance(release)
    assert said["runDetails"]["builder"]["id"] == release.variables["CI_SERVER_URL"]
    assert said["buildDefinition"]["externalParameters"]["source"] == release.variables["CI_PROJECT_URL"]
    assert said["buildDefinition"]["resolvedDependencies"][0]["digest"] == {"gitCommit": release.commit}
    assert "evil" not in json.dumps(said)
    built = release.artifact("build", f"dist/{WHEEL}").read_bytes()
    assert built == release.artifact("digests", f"dist/{WHEEL}").read_bytes()
    assert not built.endswith(b"evil")


def test_a_hostile_build_reaches_neither_the_key_nor_another_job(
    hostile: Path,
    marks: Path,
    pipe: Pipe,
    releasing: Executor,
    keys: KeyPair,
    here: Project,
    gitlab: GitLab,
    warm: dict[str, str],
) -> None:
    here.repository = hostile
    variables = {**gitlab.variables(here), **warm, **keys.settings, "MARKS": str(marks)}
    variables |= dict.fromkeys(OF_A_GROUP, "of the group")
    release = Release(hostile, pipe, releasing, variables)
    jobs = RELEASING
    done = run_watched(release, jobs)
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert_kept_apart(marks, release, done, {"sign"})
    assert sorted(path.name for path in (here.folder / "pypi").iterdir()) == FILES
    for file in FILES:
        published = (here.folder / "pypi" / file).read_bytes()
        assert published == release.artifact("build", f"dist/{file}").read_bytes()
    assert "evil" not in {path.name for path in (here.folder / "generic" / "another" / "1.0.0").iterdir()}
    assert PASSWORD not in done.output


def test_a_hostile_build_reaches_no_identity_token(
    hostile: Path,
    marks: Path,
    pipe: Pipe,
    python: str,
    releasing: Executor,
    sigstore: Sigstore,
    here: Project,
    gitlab: GitLab,
    warm: dict[str, str],
    tmp_path: Path,
) -> None:
    here.repository = hostile
    pipeline = hostile / ".gitlab-ci.yml"
    with PyPI(tmp_path / "pypi") as pypi:
        pypi.trust("another", project_path="group/another", ref_type="tag", ref_protected="true")
        text = pipeline.read_text(encoding="utf-8").replace("method: key", "method: keyless")
        text = text.replace(f", identity: {IDENTITY}", "").replace(f"identity: {IDENTITY}", "stage: verify")
        text = text.replace("publish-gitlab@", "publish-pypi@").replace("signatures, publish-gitlab]", "signatures]")
        text = text.replace("program: another", f'program: another, index_url: "{pypi.simple}"')
        pipeline.write_text(text, encoding="utf-8")
        commit_all(hostile)
        sha = run("git", "rev-parse", "HEAD", cwd=hostile).strip()
        tokens = {name: id_token() for name in ("PYPI_ID_TOKEN", "PYPI_ID_TOKEN_2", "PYPI_ID_TOKEN_3")}
        tokens["SIGSTORE_ID_TOKEN"] = gitlab.issuer.token(sha=sha)
        variables = {**gitlab.variables(here), **warm, **sigstore.variables, **pypi.settings, **tokens}
        release = Release(hostile, pipe, releasing, {**variables, "MARKS": str(marks)})
        jobs = [job.replace("publish-gitlab", "publish-pypi") for job in RELEASING]
        done = run_watched(release, jobs)
        assert done.results == dict.fromkeys(jobs, "passed"), done.output
        published = {path.name: path.read_bytes() for path in pypi.files.iterdir()}
    assert_kept_apart(marks, release, done, {"sign"})
    assert {job for job, names in seen(marks, "environment").items() if "PYPI_ID_TOKEN" in names} == {"publish-pypi"}
    assert published == {name: release.artifact("build", f"dist/{name}").read_bytes() for name in FILES}


# What a job of an older runner, or one that another job has prepared, may find in its folder.
LEFT = [
    "mkdir -p links .cache/uv .uv/site-packages/bin .pip/bin .venv/bin",
    "echo 'not = [settings' | tee uv.toml ../uv.toml > gitlab.toml",
    "echo 'evil https://example.com/evil other' > links/evil",
    'for file in found.json publish.py SHA256SUMS.sigstore.json digests.env; do echo evil > "$file"; done',
    'printf \'#!/bin/sh\\ntouch "%s"\\n\' "$MARKS" | tee .uv/site-packages/bin/uv .pip/bin/python3 > .venv/bin/python',
    "chmod +x .uv/site-packages/bin/uv .pip/bin/python3 .venv/bin/python",
]


def test_what_an_earlier_job_left_in_the_folder_does_not_matter(release: Release, here: Project, marks: Path) -> None:
    """An earlier job may be one of an attacker, or the same one: each runs in the folder of both."""
    jobs = RELEASING[RELEASING.index("digests") :]
    for job in jobs:
        release.change(job, lambda commands: [*commands, "echo 'Once more.'", *commands])
        # The release takes a new clone.
        if job != "release":
            release.change(job, lambda commands: [*LEFT, *commands])
    release.variables["MARKS"] = str(marks)
    done = release.retry(*jobs)
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert all("Once more." in done.log(job) for job in jobs)
    assert not marks.exists()
    assert sorted(path.name for path in (here.folder / "pypi").iterdir()) == FILES
    assert release.artifact("publish-signatures", "links/signatures").exists()
