"""What jobs say that somebody or a newer commit ends, or that run out of time: GitLab's own runner ends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools.commands import commit_all
from tools.expander import Expander
from tools.gitlab_runner.pipeline import run_pipeline
from tools.gitlab_runner.runner import NewRunner
from tools.samples.package import COMPONENTS, VERSION
from tools.stand_ins.gitlab import GitLab

PIPELINE = f"""
include:
  - component: {COMPONENTS}/test@{VERSION}
    inputs:
      python_versions: ["PYTHON"]
      dependency_group: checks
      test_commands: [echo "the tests begin", sleep 100, echo "the tests end"]
      timeout: TIMEOUT
"""

STOPPED = "This job was stopped. If nobody cancelled it, it was out of time: .gitlab-ci.yml can set its timeout."


@pytest.mark.parametrize(
    ("timeout", "stop", "status", "reason"),
    [
        ("1 hour", "cancel_at", "canceled", "job_canceled"),
        ("1 hour", "supersede_at", "canceled", "job_canceled"),
        ("15 seconds", None, "failed", "job_execution_timeout"),
    ],
    ids=["canceled", "superseded", "out of time"],
)
def test_a_job_that_is_stopped_says_so_and_the_next_pipeline_passes(
    timeout: str,
    stop: str | None,
    status: str,
    reason: str,
    another: Path,
    new_runner: NewRunner,
    gitlab: GitLab,
    expander: Expander,
    python: str,
    warm: dict[str, str],
) -> None:
    pyproject = another / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8").replace('["pytest", "pytest-cov"]', "[]"), "utf-8")
    text = PIPELINE.replace("PYTHON", python).replace("TIMEOUT", timeout)
    (another / ".gitlab-ci.yml").write_text(text, encoding="utf-8")
    commit_all(another)
    here, job = gitlab.add_project("group/another", another), f"test: [{python}]"
    stopping: dict[str, Any] = {stop: {job: "the tests begin"}} if stop else {}
    with new_runner() as runner:
        done = run_pipeline([runner], here, expander, variables=warm, **stopping)
        # The folder is as that job has left it.
        (another / ".gitlab-ci.yml").write_text(text.replace("sleep 100", "sleep 0"), encoding="utf-8")
        commit_all(another)
        after = run_pipeline([runner], here, expander, variables=warm)
    assert done.results == {job: status}, done.output
    # None of these is tried again.
    assert [build.failure_reason for build in gitlab.runner_api.builds] == [reason, None]
    lines = done.log(job).splitlines()
    # Only then come the lines of the runner.
    stopped = lines.index(STOPPED)
    assert lines.index("the tests begin") < stopped < len(lines) - 1
    assert "the tests end" not in lines
    assert not [line for line in lines if line.startswith("Fix the tests")]
    assert after.results == {job: "passed"}, after.output
