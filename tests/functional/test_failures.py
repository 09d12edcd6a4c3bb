"""What a developer reads when a job fails: the right job is red, and its last line says what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tools.bare_runner import version_of
from tools.runner import Executor, Pipe
from tools.samples.baked import Bake, BakedProject
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project


@pytest.fixture
def project(bake: Bake, python: str) -> BakedProject:
    """A project that is tested on one Python."""
    return bake(_python_versions=[python], python_version=python, docker=False)


def edit(project: BakedProject, name: str, old: str, new: str) -> None:
    """Replace a text that stands in a file of a project."""
    text = project.read(name)
    assert old in text
    (project.path / name).write_text(text.replace(old, new), encoding="utf-8")


def test_a_failing_test(project: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    edit(project, "src/my_service/app.py", "Hello", "Goodbye")
    done = pipe(project.path, "coverage", variables=warm)
    job = f"test: [{python}]"
    assert done.results == {job: "failed"}, "there is no coverage to combine"
    assert "FAILED tests/test_app.py::test_greets_by_name[Ada]" in done.log(job)
    assert done.last_line(job).startswith("Mend the tests that are named above")


def test_coverage_below_the_threshold(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    edit(project, "pyproject.toml", "fail_under = 90", "fail_under = 99")
    with (project.path / "src" / "my_service" / "app.py").open("a", encoding="utf-8") as app:
        app.write('\n\ndef never() -> str:\n    """Say what no test asks for."""\n    return "never"\n')
    missing = len(project.path.joinpath("src/my_service/app.py").read_text(encoding="utf-8").splitlines())
    done = pipe(project.path, "coverage", variables=warm)
    assert done.results["coverage"] == "failed"
    assert f" {missing}" in next(line for line in done.log("coverage").splitlines() if "app.py" in line)
    assert "is less than fail-under=99" in done.log("coverage")
    assert done.last_line("coverage").startswith("Test the lines in the column Missing")
    again = pipe(project.path, "coverage", variables={**warm, "PY_CI_COVERAGE_THRESHOLD": "50"})
    assert again.results.get("coverage") == "passed", again.output


def test_a_lint_finding(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    with (project.path / "src" / "my_service" / "app.py").open("a", encoding="utf-8") as app:
        app.write("\nimport os\n")
    done = pipe(project.path, "lint", variables=warm)
    assert done.results == {"lint": "failed"}
    findings = json.loads(done.report("lint", "gl-code-quality-report.json").read_text(encoding="utf-8"))
    found = {
        (finding["check_name"], finding["location"]["path"], finding["location"]["positions"]["begin"]["line"])
        for finding in findings
    }
    lines = project.path.joinpath("src/my_service/app.py").read_text(encoding="utf-8").splitlines()
    assert ("F401", "src/my_service/app.py", len(lines)) in found
    assert "F401" in done.log("lint")
    assert done.last_line("lint").startswith("Mend what is named above; 'ruff check --fix'")


def test_a_type_error(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    with (project.path / "src" / "my_service" / "app.py").open("a", encoding="utf-8") as app:
        app.write('\n\nANSWER: int = "42"\n')
    done = pipe(project.path, "lint", variables=warm)
    assert done.results == {"lint": "failed"}
    assert "src/my_service/app.py" in done.log("lint")
    assert "[assignment]" in done.log("lint")
    assert done.last_line("lint").startswith("Mend what is named above")


def test_a_syntax_error_in_pyproject(project: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    edit(project, "pyproject.toml", 'name = "my-service"', 'name = "my-service')
    done = pipe(project.path, "lint", f"test: [{python}]", "preflight", variables=warm)
    for job in ("lint", f"test: [{python}]"):
        assert done.results[job] == "failed"
        assert "TOML parse error" in done.log(job)
        assert done.last_line(job).startswith("Mend pyproject.toml")
    build = pipe(project.path, "build", variables=warm)
    assert build.results == {"build": "failed"}
    assert "TOML parse error" in build.log("build")


def test_a_dependency_that_does_not_exist(project: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    edit(project, "pyproject.toml", "dependencies = []", 'dependencies = ["there-is-no-such-package-as-this"]')
    job = f"test: [{python}]"
    done = pipe(project.path, job, variables=warm)
    assert done.results == {job: "failed"}
    said = " ".join(done.log(job).split())
    assert "there-is-no-such-package-as-this was not found in the package registry" in said
    assert done.last_line(job).startswith("Mend pyproject.toml if it is named above")


def test_a_python_that_the_runner_lacks(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    edit(project, ".gitlab-ci.yml", "- PY_CI_PYTHON: [", '- PY_CI_PYTHON: ["3.99", ')
    done = pipe(project.path, "test: [3.99]", variables=warm)
    assert done.results == {"test: [3.99]": "failed"}
    assert done.last_line("test: [3.99]").startswith("Choose an image or a runner that has Python 3.99")


def test_a_bad_input_to_a_component(bake: Bake, pipe: Pipe, python: str, tmp_path: Path) -> None:
    project = bake(_python_versions=[python], python_version=python, pipeline="components", docker=False)
    edit(project, ".gitlab-ci.yml", f'python_version: "{python}"', 'python_version: "3; rm -rf /"')
    with pytest.raises(ValueError, match=r"python_version.*does not match"):
        pipe(project.path)


def test_an_index_that_fails_twice_heals(project: BakedProject, pipe: Pipe, python: str, gitlab: GitLab) -> None:
    here = gitlab.add_project("your-group/my-service")
    job = f"test: [{python}]"
    gitlab.fail_next(2, path="/simple/pytest", status=500)
    done = pipe(project.path, job, variables=through(gitlab, here))
    assert done.results == {job: "passed"}
    assert [request.status for request in gitlab.requests("/simple/pytest")] == [500, 500, 302]


def test_an_index_that_stays_down(project: BakedProject, pipe: Pipe, python: str, gitlab: GitLab) -> None:
    here = gitlab.add_project("your-group/my-service")
    job = f"test: [{python}]"
    gitlab.fail_next(sys.maxsize, path="/simple/", status=500)
    done = pipe(project.path, job, "preflight", variables=through(gitlab, here))
    assert done.results == {job: "failed", "preflight": "failed"}
    assert "HTTP status server error (500" in done.log(job)
    assert done.last_line(job).endswith("if the package index did not answer, retry the job.")
    assert "FAIL  index" in done.log("preflight")


def test_an_index_that_stays_down_where_uv_is_not_there(
    bake: Bake, pipe: Pipe, gitlab: GitLab, bare_shell: Executor, bare_python: Path
) -> None:
    here = gitlab.add_project("your-group/my-service")
    gitlab.fail_next(sys.maxsize, path="/simple/", status=500)
    project = bake(_python_versions=[version_of(bare_python)], python_version=version_of(bare_python), docker=False)
    done = pipe(project.path, "lint", executor=bare_shell, variables=through(gitlab, here))
    assert done.results == {"lint": "failed"}
    assert done.last_line("lint").endswith("see whether the package index answers.")


def through(gitlab: GitLab, project: Project) -> dict[str, str]:
    """Return variables with which a job installs from the index of a project."""
    host = gitlab.url.removeprefix("http://")
    index = f"http://gitlab-ci-token:{project.token}@{host}/api/v4/projects/{project.id}/packages/pypi/simple"
    return {**gitlab.variables(project), "UV_DEFAULT_INDEX": index, "PIP_INDEX_URL": index}
