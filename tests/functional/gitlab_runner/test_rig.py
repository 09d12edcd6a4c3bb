"""GitLab's own runner runs the jobs that GitLab would run, as it would, and none of the stubs in it is ever needed."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tools.commands import commit_all, run
from tools.gitlab_ci_local import Expander
from tools.gitlab_runner.pipeline import Plan, run_pipeline, wait
from tools.gitlab_runner.program import REACHED, Runner
from tools.runner import Variable, shell_executor
from tools.stand_ins.client import job
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project

PIPELINE = """
stages: [one, two]

hands-on:
  stage: one
  script:
    - 'for name in SETTING OF_JOB CI_JOB_URL; do echo "$name=handed on"; done > it.env'
    - echo "this is handed on" > a-file
  artifacts:
    paths: [a-file]
    reports: {dotenv: it.env}

fails:
  stage: one
  script: ["exit 3"]
  allow_failure: true
  retry: {max: 1, when: [script_failure]}

plain:
  stage: two
  dependencies: [hands-on]
  variables: {OF_JOB: of the job, GIT_STRATEGY: empty}
  script:
    - ls
    - echo "setting=$SETTING of_job=$OF_JOB url=$CI_JOB_URL"
    - &scopes echo "everywhere=$EVERYWHERE protected=$PROTECTED scoped=$SCOPED"
    - echo "hidden=$HIDDEN token=$CI_JOB_TOKEN expanded=$EXPANDED file=$(cat "$IN_A_FILE")"

scoped:
  stage: two
  dependencies: []
  environment: {name: signing, action: access}
  script: [ls, *scopes]

needs-what-failed:
  needs: [breaks]
  stage: two
  script: ["true"]

breaks:
  stage: one
  script: ["false"]
  needs: []
"""
VARIABLES = {
    "SETTING": Variable("of the project $HOME", raw=True),
    "EVERYWHERE": Variable("yes"),
    "PROTECTED": Variable("yes", protected=True),
    "SCOPED": Variable("yes", protected=True, environment="signing"),
    "HIDDEN": Variable("something-to-hide", masked=True),
    "EXPANDED": Variable("by $CI_JOB_NAME"),
    "IN_A_FILE": Variable("a file", file=True),
}


@pytest.fixture
def here(tmp_path: Path, gitlab: GitLab) -> Project:
    """A project with that pipeline."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".gitlab-ci.yml").write_text(PIPELINE, encoding="utf-8")
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    commit_all(folder)
    return gitlab.add_project("group/project", folder)


@pytest.fixture
def runner(gitlab_runner: Path, tmp_path: Path, gitlab: GitLab) -> Runner:
    """The runner of that GitLab, which is still to be started."""
    return Runner(gitlab_runner, tmp_path / "runner", gitlab, shell_executor([]))


def test_jobs_get_what_they_should(here: Project, runner: Runner, gitlab: GitLab, expander: Expander) -> None:
    jobs = ["hands-on", "fails", "plain", "scoped"]
    with runner:
        done = run_pipeline(runner, here, expander, "tag", VARIABLES, jobs)
    assert done.results == {**dict.fromkeys(jobs, "passed"), "fails": "failed, allowed"}, done.output
    assert [build.failure_reason for build in gitlab.runner_api.builds] == [None, *["script_failure"] * 2, None, None]
    plain, scoped = done.log("plain"), done.log("scoped")
    # The settings of the project outrank what a dotenv report says, which outranks all else.
    assert "\nsetting=of the project $HOME of_job=handed on url=handed on\n" in plain
    assert "\neverywhere=yes protected=yes scoped=\n" in plain
    assert "\nhidden=[MASKED] token=[MASKED] expanded=by plain file=a file\n" in plain
    assert "\neverywhere=yes protected=yes scoped=yes\n" in scoped
    assert "\n$ ls\na-file\n$ echo" in plain
    assert done.builds["hands-on"].files == {"a-file": b"this is handed on\n"}
    # Without `GIT_STRATEGY: empty`, the folder is that of the job before, cleaned; these have no artifacts.
    assert "\n$ ls\n$ echo" in scoped
    token = done.builds["plain"].token
    assert requests.get(f"{gitlab.api}/projects/{here.id}/packages", headers=job(token), timeout=10).status_code == 401


def test_what_needs_a_job_that_failed_does_not_run(here: Project, runner: Runner, expander: Expander) -> None:
    with runner:
        done = run_pipeline(runner, here, expander, "branch", VARIABLES, ["breaks", "needs-what-failed"])
    assert done.results == {"breaks": "failed"}
    assert done.log("breaks").splitlines()[-1] == "ERROR: Job failed: exit status 1"


def test_a_stub_that_is_reached_is_named(here: Project, runner: Runner, gitlab: GitLab, expander: Expander) -> None:
    """Inputs of a job would be read by what the stubs leave out."""
    plan = Plan(runner, here, expander, "branch", VARIABLES, {})
    inputs = [{"key": "any", "value": {"type": "string", "content": "any"}}]
    with runner:
        api = gitlab.runner_api
        build = api.enqueue(here, lambda *its: {**plan.payload("hands-on", *its), "inputs": inputs}, None)
        with pytest.raises(AssertionError, match=f"{REACHED}: moa/value.UnmarshalJSON"):
            wait(runner, build, 0)
