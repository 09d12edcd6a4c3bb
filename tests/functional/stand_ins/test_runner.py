"""The runner of the tests gives jobs what GitLab would give them, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.commands import run
from tools.runner import Pipe, Variable

PIPELINE = """
stages: [one, two]

hands-on:
  stage: one
  script: ['for name in SETTING OF_JOB CI_JOB_URL; do echo "$name=handed on"; done > it.env']
  artifacts:
    reports: {dotenv: it.env}

plain:
  stage: two
  dependencies: [hands-on]
  variables: {OF_JOB: of the job}
  script: &say
    - ls
    - echo "setting=$SETTING of_job=$OF_JOB url=$CI_JOB_URL"
    - echo "everywhere=$EVERYWHERE protected=$PROTECTED scoped=$SCOPED token=$THE_ID_TOKEN"

scoped:
  stage: two
  dependencies: []
  environment: {name: signing, action: access}
  id_tokens: {THE_ID_TOKEN: {aud: somebody}}
  variables: {GIT_STRATEGY: empty}
  script: *say
"""
VARIABLES = {
    "SETTING": Variable("of the project $HOME"),
    "EVERYWHERE": Variable("yes"),
    "PROTECTED": Variable("yes", protected=True),
    "SCOPED": Variable("yes", protected=True, environment="signing"),
    "THE_ID_TOKEN": "yes",
    "CI_JOB_URL": "of GitLab",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with that pipeline."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".gitlab-ci.yml").write_text(PIPELINE, encoding="utf-8")
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    return folder


def test_what_a_dotenv_report_says_outranks_all_but_the_settings_of_the_project(project: Path, pipe: Pipe) -> None:
    done = pipe(project, event="tag", variables=VARIABLES)
    assert set(done.results.values()) == {"passed"}, done.output
    # As it was typed: the value of a setting may have a dollar sign.
    assert "setting=of the project $HOME of_job=handed on url=handed on" in done.log("plain")
    assert "of_job= url=of GitLab" in done.log("scoped")


@pytest.mark.parametrize(("event", "protected"), [("tag", "yes"), ("branch", ""), ("unprotected tag", "")])
def test_a_job_sees_the_variables_of_its_ref_and_its_environment(
    event: str, protected: str, project: Path, pipe: Pipe
) -> None:
    done = pipe(project, event=event, variables=VARIABLES)
    assert f"everywhere=yes protected={protected} scoped= token=" in done.log("plain").splitlines()
    assert f"everywhere=yes protected={protected} scoped={protected} token=yes" in done.log("scoped").splitlines()
    assert not list((project / ".gitlab-ci-local").glob("settings-*"))


def test_an_empty_folder_has_nothing_of_the_repository(project: Path, pipe: Pipe) -> None:
    (project / "a file").touch()
    done = pipe(project, variables=VARIABLES)
    assert "a file" in done.log("plain")
    assert "a file" not in done.log("scoped").splitlines()
