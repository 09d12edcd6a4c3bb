"""GitLab's own runner runs the jobs that GitLab would run, as it would, and none of the stubs in it is ever needed."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
import requests

from tools.commands import commit_all, run
from tools.expander import Expander
from tools.gitlab_runner.pipeline import run_pipeline
from tools.gitlab_runner.plan import Plan
from tools.gitlab_runner.runner import REACHED, NewRunner, Runner
from tools.runner import Pipe, Variable, shell_executor
from tools.stand_ins.client import job
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project

PIPELINE = """
stages: [one, two]
default: {timeout: 2 minutes}

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
  allow_failure: {exit_codes: 3}
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

whatever-happened:
  needs: [needs-what-failed]
  stage: two
  when: always
  script: ["true"]

only-then:
  needs: [breaks]
  stage: two
  when: on_failure
  script: ["true"]

breaks:
  stage: one
  script: ["false"]
  needs: []
  cache: {key: $CI_COMMIT_REF_NAME, paths: [kept]}
  allow_failure: {exit_codes: 3}

identified:
  stage: one
  id_tokens: {IDENTITY: {aud: somebody}}
  script: ['test -n "$IDENTITY" && echo "$IDENTITY" | cut -d. -f2 | tr _- /+ > claims', 'echo "it is $IDENTITY"']
  artifacts: {paths: [claims]}

not-identified:
  stage: one
  script: ['test -z "$IDENTITY"']

alone:
  stage: one
  parallel: {matrix: [{NUMBER: ["1", "2"]}]}
  variables: {SHARED: one}
  resource_group: the $SHARED
  script: [sleep 2]

beside:
  stage: one
  resource_group: another
  script: [sleep 2]

goes-on:
  stage: one
  script: [sleep 6]
  interruptible: false

ends:
  stage: one
  script: [echo begun, sleep 60]
  interruptible: true

never-begins:
  stage: two
  script: ["true"]
  needs: [goes-on]
  interruptible: true
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
def runner(new_runner: NewRunner) -> Runner:
    """A runner of that GitLab, which is still to be started."""
    return new_runner(executor=shell_executor([]), concurrent=4)


def test_jobs_get_what_they_should(here: Project, runner: Runner, gitlab: GitLab, expander: Expander) -> None:
    jobs = ["hands-on", "fails", "plain", "scoped"]
    with runner:
        done = run_pipeline([runner], here, expander, "tag", VARIABLES, jobs)
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
    """What runs whatever happened, or then alone, does."""
    jobs = ["breaks", "needs-what-failed", "whatever-happened", "only-then"]
    with runner:
        done = run_pipeline([runner], here, expander, "branch", VARIABLES, jobs)
    assert done.results == {"breaks": "failed", "whatever-happened": "passed", "only-then": "passed"}
    told = done.builds["breaks"].described
    assert told["runner_info"] == {"timeout": 120}
    # Pipelines of protected branches have a cache of their own.
    assert [(cache["key"], cache["policy"]) for cache in told["cache"]] == [
        ("$CI_COMMIT_REF_NAME-non_protected", "pull-push")
    ]
    assert done.log("breaks").splitlines()[-1] == "ERROR: Job failed: exit status 1"


def test_a_job_has_the_identity_tokens_that_it_declares(here: Project, runner: Runner, expander: Expander) -> None:
    with runner:
        done = run_pipeline([runner], here, expander, jobs=["identified", "not-identified"])
    assert done.results == {"identified": "passed", "not-identified": "passed"}, done.output
    claims = json.loads(base64.b64decode(done.builds["identified"].files["claims"] + b"=="))
    assert claims["aud"] == "somebody"
    assert claims["project_path"] == here.path
    assert claims["sha"] == run("git", "rev-parse", "HEAD", cwd=here.repository or Path()).strip()
    assert "\nit is [MASKED]\n" in done.log("identified")


def test_jobs_run_side_by_side_but_those_that_share_a_resource(
    here: Project, runner: Runner, expander: Expander
) -> None:
    jobs = ["alone: [1]", "alone: [2]", "beside"]
    with runner:
        done = run_pipeline([runner], here, expander, jobs=jobs)
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    first, second, beside = (done.builds[job] for job in jobs)
    assert first.ended <= second.began
    assert beside.began < first.ended


def test_no_job_reads_what_a_person_has_set_for_their_shell(
    new_runner: NewRunner,
    gitlab: GitLab,
    pipe: Pipe,
    expander: Expander,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With gitlab-ci-local too, whose bash takes itself for one of a remote login where no shell started it."""
    home = tmp_path / "home"
    home.mkdir()
    for name in (".profile", ".bashrc"):
        (home / name).write_text(f"touch '{home}/read'\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SHLVL", raising=False)
    folder = tmp_path / "another"
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", folder)
    (folder / ".gitlab-ci.yml").write_text("job:\n  script: [id]\n", encoding="utf-8")
    assert pipe(folder).results == {"job": "passed"}
    with new_runner() as runner:
        done = run_pipeline([runner], gitlab.add_project("group/another", folder), expander)
    assert done.results == {"job": "passed"}, done.output
    assert not (home / "read").exists()


def test_jobs_have_a_folder_of_their_own_for_temporary_files(
    runner: Runner, expander: Expander, tmp_path: Path
) -> None:
    """What tests leave there, and what pytest does to it, is none of the tests' that run the job."""
    folder = tmp_path / "another"
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", folder)
    (folder / ".gitlab-ci.yml").write_text("job:\n  script: ['echo It is $TMPDIR.']\n", encoding="utf-8")
    commit_all(folder)
    with runner:
        done = run_pipeline([runner], runner.gitlab.add_project("group/another", folder), expander)
    assert f"It is {runner.folder / 'tmp'}." in done.log("job"), done.output


def test_a_newer_commit_ends_what_may_be_interrupted(here: Project, runner: Runner, expander: Expander) -> None:
    jobs = ["goes-on", "ends", "never-begins"]
    with runner:
        done = run_pipeline([runner], here, expander, jobs=jobs, supersede_at={"ends": "begun\n"})
    assert done.results == {"goes-on": "passed", "ends": "canceled", "never-begins": "canceled"}, done.output
    assert done.builds.keys() == {"goes-on", "ends"}


def test_two_runners_take_jobs_in_turn(here: Project, new_runner: NewRunner, expander: Expander) -> None:
    with new_runner("first") as first, new_runner("second") as second:
        done = run_pipeline([first, second], here, expander, jobs=["hands-on", "beside", "plain", "scoped"])
    assert set(done.results.values()) == {"passed"}, done.output
    took = [
        next(runner for runner in (first, second) if runner.token == build.runner) for build in done.builds.values()
    ]
    assert took.count(first) == took.count(second) == 2


def test_a_stub_that_is_reached_is_named(here: Project, runner: Runner, gitlab: GitLab, expander: Expander) -> None:
    """Inputs of a job would be read by what the stubs leave out."""
    plan = Plan(gitlab, here, expander, "branch", VARIABLES, 1, {})
    inputs = [{"key": "any", "value": {"type": "string", "content": "any"}}]
    with runner:
        gitlab.runner_api.enqueue(here, lambda *its: {**plan.payload("hands-on", *its), "inputs": inputs})
        while runner.is_alive:
            time.sleep(0.1)
        with pytest.raises(AssertionError, match=f"{REACHED}: moa/value.UnmarshalJSON"):
            runner.check()
