"""The pipeline of a branch, from a project as it was baked."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.baked import BakedProject, commit_all, run
from tests.conftest import Bake, need
from tests.e2e.runner import Pipeline, pythons_here, run_pipeline
from tests.options import DECLARED

# How many tests the skeleton has; pytest counts each name that is greeted.
TESTS = {"pytest": 8, "unittest": 7}


def xml(report: Path) -> ET.Element:
    """Return the root of a report that a job of ours wrote."""
    return ET.parse(report).getroot()  # noqa: S314


def junit(report: Path) -> dict[str, int]:
    """Return what a JUnit report says, as GitLab counts it: by test case."""
    cases = list(xml(report).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return {"passed": len(cases) - len(failed), "failed": len(failed)}


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path]:
    """The folders of the Pythons of this machine, by version."""
    return pythons_here(DECLARED["_python_versions"])


def piped(project: BakedProject, program: str, template: Path, pythons: dict[str, Path]) -> Pipeline:
    """Commit a project and run its pipeline."""
    need("rsync", "gitlab-ci-local copies the repository with it: apt install rsync")
    commit_all(project.path)
    return run_pipeline(program, project.path, template, list(pythons.values()))


@pytest.mark.parametrize("flavour", ["self-contained", "components"])
@pytest.mark.parametrize("runner", ["pytest", "unittest"])
def test_every_job_passes_in_a_fresh_project(
    runner: str,
    flavour: str,
    bake: Bake,
    gitlab_ci_local: str,
    template_repository: Path,
    pythons: dict[str, Path],
) -> None:
    oldest = next(iter(pythons))
    project = bake(test_runner=runner, pipeline=flavour, _python_versions=list(pythons), python_version=oldest)
    done = piped(project, gitlab_ci_local, template_repository, pythons)
    tests = [f"test: [{python}]" for python in pythons]
    assert done.results == dict.fromkeys(["lint", *tests, "coverage", "build"], "PASS"), done.output
    assert done.coverage == "100%"
    for job in tests:
        assert junit(done.report(job, "junit.xml")) == {"passed": TESTS[runner], "failed": 0}
    assert json.loads(done.report("lint", "gl-code-quality-report.json").read_text(encoding="utf-8")) == []
    cobertura = xml(done.report("coverage", "coverage.xml"))
    assert cobertura.attrib["line-rate"] == "1"
    assert {line.attrib["filename"] for line in cobertura.iter("class")} == {
        f"src/my_service/{name}.py" for name in ("__init__", "__main__", "app")
    }, "GitLab shows coverage where these are paths of the repository"
    dist = done.artifact("build", "dist")
    assert len(list(dist.glob("my_service-*.whl"))) == len(list(dist.glob("my_service-*.tar.gz"))) == 1
    run("sha256sum", "--check", done.artifact("build", "SHA256SUMS"), cwd=dist)


def test_a_failing_test_and_a_finding_make_their_jobs_red_and_say_where(
    bake: Bake, gitlab_ci_local: str, template_repository: Path, pythons: dict[str, Path]
) -> None:
    oldest = next(iter(pythons))
    project = bake(_python_versions=[oldest], python_version=oldest)
    app = project.path / "src" / "my_service" / "app.py"
    app.write_text(
        project.read("src/my_service/app.py").replace("Hello", "Goodbye") + "\nimport os\n", encoding="utf-8"
    )
    done = piped(project, gitlab_ci_local, template_repository, pythons)
    assert done.results == {"lint": "FAIL", f"test: [{oldest}]": "FAIL"}, "the tests run although lint failed"
    findings = json.loads(done.report("lint", "gl-code-quality-report.json").read_text(encoding="utf-8"))
    assert {(finding["check_name"], finding["location"]["path"]) for finding in findings} >= {
        ("F401", "src/my_service/app.py")
    }
    assert "F401" in done.log("lint")
    assert "FAILED tests/test_app.py::test_greets_by_name[Ada]" in done.log(f"test: [{oldest}]")
    assert junit(done.report(f"test: [{oldest}]", "junit.xml")) == {"passed": 4, "failed": 4}
