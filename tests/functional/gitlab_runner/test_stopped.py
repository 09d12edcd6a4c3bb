"""What a job says that somebody cancels, or that runs out of time: GitLab's own runner ends it from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.commands import commit_all
from tools.gitlab_ci_local import Expander
from tools.gitlab_runner.pipeline import run_pipeline
from tools.gitlab_runner.program import Runner
from tools.runner import shell_executor
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
    ("timeout", "cancel_at", "status", "reason"),
    [
        ("1 hour", "the tests begin", "canceled", "job_canceled"),
        ("15 seconds", None, "failed", "job_execution_timeout"),
    ],
    ids=["canceled", "out of time"],
)
def test_a_job_that_is_stopped_says_so(
    timeout: str,
    cancel_at: str | None,
    status: str,
    reason: str,
    another: Path,
    gitlab_runner: Path,
    gitlab: GitLab,
    expander: Expander,
    python: str,
    pythons: dict[str, Path],
    warm: dict[str, str],
    tmp_path: Path,
) -> None:
    pyproject = another / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8").replace('["pytest", "pytest-cov"]', "[]"), "utf-8")
    text = PIPELINE.replace("PYTHON", python).replace("TIMEOUT", timeout)
    (another / ".gitlab-ci.yml").write_text(text, encoding="utf-8")
    commit_all(another)
    here, job = gitlab.add_project("group/another", another), f"test: [{python}]"
    with Runner(gitlab_runner, tmp_path / "runner", gitlab, shell_executor(list(pythons.values()))) as runner:
        cancel = {job: cancel_at} if cancel_at else {}
        done = run_pipeline(runner, here, expander, variables=warm, cancel_at=cancel)
    assert done.results == {job: status}, done.output
    # None of these is tried again.
    assert [build.failure_reason for build in gitlab.runner_api.builds] == [reason]
    lines = done.log(job).splitlines()
    # Only then come the lines of the runner.
    stopped = lines.index(STOPPED)
    assert lines.index("the tests begin") < stopped < len(lines) - 1
    assert "the tests end" not in lines
    assert not [line for line in lines if line.startswith("Fix the tests")]
