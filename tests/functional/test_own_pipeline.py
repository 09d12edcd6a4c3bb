"""The pipeline of the template itself, as far as it can run without a GitLab."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.commands import commit_all
from tools.components import load
from tools.expander import Expander
from tools.gitlab_ci_local import as_on_gitlab
from tools.options import DECLARED, ROOT
from tools.runner import Pipe, expand
from tools.schema import check
from tools.template import tagged_copy

VERSION = DECLARED["_component_version"]
VERSION_SAID = f"cookiecutter.json has _component_version {VERSION}."
CHECKS = {"lint", "proof", "bake: [pipeline=self-contained]", "bake: [pipeline=components]"}


def copy_to(folder: Path) -> Path:
    """Make a clone of the template as it is now, whose job `proof` cannot run: it would run these tests again."""
    copy = tagged_copy(folder / "py-ci-template")
    (copy / ".ci" / "run").unlink()
    return copy


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone of the template."""
    return copy_to(tmp_path)


@pytest.fixture(scope="module")
def expanded(tmp_path_factory: pytest.TempPathFactory, components: Path, gitlab_ci_local: str) -> dict[str, Any]:
    """Its pipeline, with components of a commit that no other clone has."""
    copy = copy_to(tmp_path_factory.mktemp("expanded"))
    lint = copy / "templates" / "lint.yml"
    lint.write_text(lint.read_text(encoding="utf-8").replace("15 minutes", "14 minutes"), encoding="utf-8")
    commit_all(copy)
    return expand(gitlab_ci_local, copy, as_on_gitlab(copy, components), [])


def test_it_is_valid_by_gitlabs_schema_and_shellcheck(expanded: dict[str, Any], expander: Expander) -> None:
    check(ROOT / ".gitlab-ci.yml")
    expander.validate(yaml.safe_dump(expanded, sort_keys=False))


def test_its_components_are_those_of_the_same_commit(expanded: dict[str, Any]) -> None:
    assert expanded["lint"]["timeout"] == "14 minutes"


@pytest.mark.parametrize(
    ("event", "also"),
    [
        ("branch", {"preflight"}),
        ("merge request", {"preflight"}),
        ("schedule", {"preflight"}),
        ("tag 1.0.0", {"version", "release"}),
        ("tag v1.0.0", {"version"}),
        ("tag 1.0", {"version"}),
        ("unprotected tag 1.0.0", {"version"}),
        ("schedule on a tag", None),
        ("branch with a merge request", None),
    ],
)
def test_its_jobs_for(event: str, also: set[str] | None, expanded: dict[str, Any], expander: Expander) -> None:
    matrix = expanded["test"]["parallel"]["matrix"][0]
    tests = {
        f"test: [{python},{cookiecutter}]"
        for python in matrix["PY_CI_PYTHON"]
        for cookiecutter in matrix["COOKIECUTTER_VERSION"]
    }
    assert len(tests) > 2
    expected = set() if also is None else CHECKS | tests | also
    assert set(expander.jobs(yaml.safe_dump(expanded, sort_keys=False), event)) == expected


def test_a_release_waits_for_all_else(expanded: dict[str, Any]) -> None:
    last = expanded["stages"].index("release")
    assert "needs" not in expanded["release"]
    assert [name for name in expanded["stages"][last:] if name != ".post"] == ["release"]
    assert not any(job.get("allow_failure") for job in expanded.values() if isinstance(job, dict))


def test_it_checks_itself_with_its_own_components(
    repository: Path, pipe: Pipe, python: str, warm: dict[str, str]
) -> None:
    oldest = load(repository / ".gitlab-ci.yml")["test"]["parallel"]["matrix"][0]["COOKIECUTTER_VERSION"][0]
    # One test of those of the job: none of them runs a pipeline, and this is not among them.
    variables = {**warm, "PYTEST_ADDOPTS": "-k test_replayed"}
    jobs = ("preflight", "lint", f"test: [{python},{oldest}]")
    done = pipe(repository, *jobs, variables=variables)
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert json.loads(done.report("lint", "gl-code-quality-report.json").read_text(encoding="utf-8")) == []
    tested = done.log(jobs[-1])
    assert f"+ cookiecutter=={oldest}" in tested
    assert "1 passed" in tested
    assert "test_replayed" in done.report(jobs[-1], "junit.xml").read_text(encoding="utf-8")


def test_it_bakes_a_project_and_runs_its_pipeline(repository: Path, pipe: Pipe, warm: dict[str, str]) -> None:
    job = "bake: [pipeline=components]"
    done = pipe(repository, job, variables=warm)
    assert done.results == {job: "passed"}, done.output
    rows = re.findall(r"^(\S.*?) +(passed|failed) +\d+\.\d$", done.log(job), re.MULTILINE)
    assert {"preflight", "lint", "coverage", "build"} < {name for name, _ in rows}
    assert {status for _, status in rows} == {"passed"}


@pytest.mark.parametrize(("tag", "status"), [(VERSION, "passed"), ("99.0.0", "failed")])
def test_only_the_version_that_projects_pin_is_released(tag: str, status: str, repository: Path, pipe: Pipe) -> None:
    changelog = repository / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8").replace("\n## Unreleased\n", f"\n## {tag} - 2026-11-22\n")
    changelog.write_text(text, encoding="utf-8")
    done = pipe(repository, "version", event=f"tag {tag}")
    assert done.results == {"version": status}, done.output
    if status == "passed":
        assert done.artifact("version", "release.md").read_text(encoding="utf-8").startswith("### ")
        done = pipe(repository, "release", event=f"tag {tag}", again=True)
        assert done.results == {"release": "passed"}, done.output
    else:
        assert done.last_line("version") == f"99.0.0 is not what projects pin: {VERSION_SAID}"
