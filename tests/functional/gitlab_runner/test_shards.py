"""Tests in shards on GitLab's own runner."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from tools.commands import commit_all
from tools.expander import Expander
from tools.gitlab_runner.pipeline import run_pipeline
from tools.gitlab_runner.runner import NewRunner
from tools.samples.baked import TESTS, Bake, edit
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project

# What unittest has from a doctest is of no module of tests.
MORE = {
    "pytest": "def test_more() -> None: ...\n",
    "unittest": '''import doctest


def more() -> None:
    """
    >>> more()
    """


def load_tests(loader, tests, pattern):
    tests.addTests(doctest.DocTestSuite(__name__))
    return tests
''',
}


def names(report: str) -> list[tuple[str | None, str | None]]:
    """Return the names of the tests in a JUnit report."""
    return [(case.get("classname"), case.get("name")) for case in ET.fromstring(report).iter("testcase")]  # noqa: S314


@pytest.mark.parametrize("suite", ["pytest", "unittest"])
def test_every_test_runs_once_and_a_shard_is_retried_alone(
    suite: str,
    bake: Bake,
    new_runner: NewRunner,
    gitlab: GitLab,
    expander: Expander,
    python: str,
    warm: dict[str, str],
) -> None:
    """With random order and pytest-xdist; unittest has a module and a doctest, and a shard has none of them."""
    shards = 2 if suite == "pytest" else 3
    project = bake(_python_versions=[python], python_version=python, test_runner=suite, kind="command")
    edit(
        project, ".gitlab-ci.yml", f'python_versions: ["{python}"]', f'python_versions: ["{python}"], shards: {shards}'
    )
    if suite == "pytest":
        edit(project, "pyproject.toml", '"pytest-cov>=7"', '"pytest-cov>=7", "pytest-randomly", "pytest-xdist"')
    (project.path / "tests" / "test_more.py").write_text(MORE[suite], encoding="utf-8")
    commit_all(project.path)
    here = gitlab.add_project("your-group/my-service", project.path)
    jobs = [f"test: [{python},{number}/{shards}]" for number in range(1, shards + 1)]
    variables = {**warm, "PYTEST_ADDOPTS": "-n 1", "PYTEST_PLUGINS": ""}
    with new_runner(concurrent=2) as runner:
        done = run_pipeline([runner], here, expander, "branch", variables, jobs=[*jobs, "coverage"])
        assert done.results == dict.fromkeys([*jobs, "coverage"], "passed"), done.output
        again = run_pipeline([runner], here, expander, "branch", variables, jobs=[jobs[0], "coverage"], earlier=done)
    assert again.results == dict.fromkeys([jobs[0], "coverage"], "passed"), again.output
    ran = [names(done.builds[job].report("junit")) for job in jobs]
    assert sorted(names(again.builds[jobs[0]].report("junit"))) == sorted(ran[0])
    assert len({name for part in ran for name in part}) == sum(map(len, ran)) == TESTS["command"][suite] + 1
    assert sorted(map(bool, ran)) == [*([False] if suite == "unittest" else []), True, True]
    assert done.coverage == again.coverage == 100
    known = json.loads(done.builds["coverage"].files[".test-durations.json"])
    assert len(known) == TESTS["command"][suite] + 1


def with_a_module(text: str, bake: Bake, gitlab: GitLab, python: str) -> tuple[Project, list[str]]:
    """Return a project whose tests, one module more than usual, are in two shards, and its jobs of tests."""
    project = bake(_python_versions=[python], python_version=python, kind="command")
    edit(project, ".gitlab-ci.yml", f'["{python}"]', f'["{python}"], shards: 2')
    (project.path / "tests" / "test_odd.py").write_text(text, encoding="utf-8")
    commit_all(project.path)
    jobs = [f"test: [{python},1/2]", f"test: [{python},2/2]"]
    return gitlab.add_project("your-group/my-service", project.path), jobs


def test_coverage_names_a_test_that_no_shard_has_run(
    bake: Bake, new_runner: NewRunner, gitlab: GitLab, expander: Expander, python: str, warm: dict[str, str]
) -> None:
    # Its name differs from job to job.
    odd = '@pytest.mark.parametrize("job", [os.environ["CI_JOB_ID"]])\ndef test_odd(job): ...\n'
    here, jobs = with_a_module(f"import os\n\nimport pytest\n\n\n{odd}", bake, gitlab, python)
    with new_runner(concurrent=2) as runner:
        done = run_pipeline([runner], here, expander, "branch", warm, jobs=[*jobs, "coverage"])
    assert done.results["coverage"] == "failed", done.output
    assert "tests.test_odd.test_odd[" in done.log("coverage")
    assert "; not collected by " in done.log("coverage")
    assert "#tests-not-once" in done.log("coverage")


def test_a_shard_that_fails_names_its_tests_and_the_others_end(
    bake: Bake, new_runner: NewRunner, gitlab: GitLab, expander: Expander, python: str, warm: dict[str, str]
) -> None:
    here, jobs = with_a_module("def test_odd() -> None:\n    assert not 1\n", bake, gitlab, python)
    with new_runner(concurrent=2) as runner:
        done = run_pipeline([runner], here, expander, "branch", warm, jobs=[*jobs, "coverage"])
    # What did not run has no result.
    assert sorted(done.results.values()) == ["failed", "passed"], done.output
    failed, passed = sorted(jobs, key=lambda job: done.results[job])
    assert "FAILED tests/test_odd.py::test_odd" in done.log(failed)
    assert "#tests-failed" in done.log(failed)
    assert ("tests.test_odd", "test_odd") in names(done.builds[failed].report("junit"))
    assert names(done.builds[passed].report("junit"))
