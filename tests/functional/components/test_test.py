"""What `test` reports, and its last line when it fails."""

from __future__ import annotations

import pytest

from tools.reports import junit, xml
from tools.runner import Pipe
from tools.samples.baked import TESTS, Bake, BakedProject, edit

FAILING_AND_SKIPPED = {
    "pytest": """

def test_that_fails() -> None:
    assert greet("Ada") == "Goodbye, Ada!"


@pytest.mark.skip(reason="not today")
def test_that_is_skipped() -> None:
    raise NotImplementedError
""",
    "unittest": """

class MoreTests(unittest.TestCase):
    def test_that_fails(self) -> None:
        self.assertEqual(1, 2)

    @unittest.skip("not today")
    def test_that_is_skipped(self) -> None:
        raise NotImplementedError
""",
}


@pytest.mark.parametrize("runner", ["pytest", "unittest"])
def test_the_reports_say_what_happened(runner: str, bake: Bake, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    project = bake(_python_versions=[python], python_version=python, test_runner=runner, kind="command")
    add(project, "tests/test_app.py", FAILING_AND_SKIPPED[runner])
    job = f"test: [{python}]"
    failed = pipe(project.path, job, variables=warm)
    assert failed.results == {job: "failed"}
    assert junit(failed.report(job, "junit.xml")) == {"passed": TESTS["command"][runner], "failed": 1, "skipped": 1}
    (case,) = [
        case for case in xml(failed.report(job, "junit.xml")).iter("testcase") if case.find("failure") is not None
    ]
    assert case.attrib["name"] == "test_that_fails"


def test_a_failing_test(project: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    edit(project, "src/my_service/app.py", "Hello", "Goodbye")
    done = pipe(project.path, "coverage", variables=warm)
    job = f"test: [{python}]"
    assert done.results == {job: "failed"}, "there is no coverage to combine"
    assert "FAILED tests/test_app.py::test_greets_by_name[Ada]" in done.log(job)
    assert done.last_line(job).startswith("Fix the tests that are named above")


def test_a_dependency_that_does_not_exist(project: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    edit(project, "pyproject.toml", "dependencies = []", 'dependencies = ["there-is-no-such-package-as-this"]')
    job = f"test: [{python}]"
    done = pipe(project.path, job, variables=warm)
    assert done.results == {job: "failed"}
    said = " ".join(done.log(job).split())
    assert "there-is-no-such-package-as-this was not found in the package registry" in said
    assert done.last_line(job).startswith("Fix pyproject.toml if it is named above")


def test_a_python_that_the_runner_lacks(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    edit(project, ".gitlab-ci.yml", "python_versions: [", 'python_versions: ["3.99", ')
    done = pipe(project.path, "test: [3.99]", variables=warm)
    assert done.results == {"test: [3.99]": "failed"}
    assert done.last_line("test: [3.99]").startswith("Choose an image or a runner that has Python 3.99")


@pytest.mark.parametrize(
    ("old", "new", "builder"),
    [
        ("[project]\n", "[project]\n", "the job"),
        ("[project]\n", "[tool.uv]\n\n[project]\n", "uv"),
        # Asks for one more package to make an editable install.
        (
            'requires = ["setuptools>=77.0.3", "setuptools-scm>=8"]\nbuild-backend = "setuptools.build_meta"\n',
            'requires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n\n'
            '[tool.hatch]\nbuild.dev-mode-exact = true\nversion.source = "vcs"\n',
            "uv",
        ),
    ],
)
def test_the_build_backend_is_started_once_where_it_needs_no_more(
    old: str, new: str, builder: str, project: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]
) -> None:
    edit(project, "pyproject.toml", old, new)
    job = f"test: [{python}]"
    done = pipe(project.path, job, variables=warm)
    assert done.results == {job: "passed"}, done.log(job)
    assert ("Built my-service" in done.log(job)) == (builder == "uv")
    assert ("/.venv/wheels/my_service-" in done.log(job)) == (builder == "the job")


def add(project: BakedProject, name: str, text: str) -> None:
    """Add a text to the end of a file of a project."""
    with (project.path / name).open("a", encoding="utf-8") as file:
        file.write(text)
