"""What a developer reads when a job fails: the right job is red, and its last line says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.bare_runner import version_of
from tools.runner import Executor, Pipe
from tools.samples.baked import Bake, BakedProject, edit
from tools.stand_ins.gitlab import GitLab


def test_a_syntax_error_in_pyproject(project: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    edit(project, "pyproject.toml", 'name = "my-service"', 'name = "my-service')
    done = pipe(project.path, "lint", f"test: [{python}]", "preflight", variables=warm)
    for job in ("lint", f"test: [{python}]"):
        assert done.results[job] == "failed"
        assert "TOML parse error" in done.log(job)
        assert done.last_line(job).startswith("Fix pyproject.toml")
    build = pipe(project.path, "build", variables=warm)
    assert build.results == {"build": "failed"}
    assert "TOML parse error" in build.log("build")


def test_a_bad_input_to_a_component(bake: Bake, pipe: Pipe, python: str, tmp_path: Path) -> None:
    project = bake(_python_versions=[python], python_version=python, pipeline="components", kind="command")
    edit(project, ".gitlab-ci.yml", f'python_version: "{python}"', 'python_version: "3; rm -rf /"')
    with pytest.raises(ValueError, match=r"python_version.*does not match"):
        pipe(project.path)


def test_an_index_that_fails_twice_heals(project: BakedProject, pipe: Pipe, python: str, gitlab: GitLab) -> None:
    here = gitlab.add_project("your-group/my-service", project.path)
    job = f"test: [{python}]"
    gitlab.fail_next(2, path="/simple/pytest/", status=500)
    done = pipe(project.path, job, variables=gitlab.index_variables(here))
    assert done.results == {job: "passed"}
    # Asked for the tools, and for them together with the package.
    assert [request.status for request in gitlab.requests("/simple/pytest/")] == [500, 500, 302, 302]


def test_an_index_that_stays_down(project: BakedProject, pipe: Pipe, python: str, gitlab: GitLab) -> None:
    here = gitlab.add_project("your-group/my-service", project.path)
    job = f"test: [{python}]"
    gitlab.fail_next(sys.maxsize, path="/simple/", status=500)
    done = pipe(project.path, job, "preflight", variables=gitlab.index_variables(here))
    assert done.results == {job: "failed", "preflight": "failed"}
    assert "HTTP status server error (500" in done.log(job)
    assert done.last_line(job).endswith("if the package index did not answer, retry the job.")
    assert "FAIL  index" in done.log("preflight")


def test_an_index_that_stays_down_where_uv_is_not_there(
    bake: Bake, pipe: Pipe, gitlab: GitLab, bare_shell: Executor, bare_python: Path
) -> None:
    gitlab.fail_next(sys.maxsize, path="/simple/", status=500)
    project = bake(_python_versions=[version_of(bare_python)], python_version=version_of(bare_python), kind="command")
    here = gitlab.add_project("your-group/my-service", project.path)
    done = pipe(project.path, "lint", executor=bare_shell, variables=gitlab.index_variables(here))
    assert done.results == {"lint": "failed"}
    assert done.last_line("lint").endswith("see whether the package index answers, with the files that PyPI has.")
