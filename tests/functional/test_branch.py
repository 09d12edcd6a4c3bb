"""The pipelines of a branch and of a merge request, from a project as it was baked."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tools.commands import run
from tools.options import DEFAULTS, SWITCHES, Combination, covering_combinations, name_of
from tools.runner import Pipe
from tools.samples.baked import Bake, BakedProject
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.registry import Registry

# How many tests the skeleton has; pytest counts each name that is greeted.
TESTS = {"pytest": 8, "unittest": 7}

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
NEVER_CALLED = '\n\ndef never() -> str:\n    """Say what no test asks for."""\n    return "never"\n'


def xml(report: Path) -> ET.Element:
    """Return the root of a report that a job of ours wrote."""
    return ET.parse(report).getroot()  # noqa: S314


def junit(report: Path) -> dict[str, int]:
    """Return what a JUnit report says, as GitLab counts it: by test case."""
    cases = list(xml(report).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    passed = len(cases) - len(failed) - len(skipped)
    return {"passed": passed, "failed": len(failed), "skipped": len(skipped)}


# An image is the same whatever the rest is.
COVERING = [
    pytest.param({**options, "docker": False}, "branch", id=name_of(options)) for options in covering_combinations()
]
IMAGES = [
    pytest.param({**DEFAULTS, "pipeline": flavour}, event, id=f"{flavour}, {event}")
    for flavour, event in zip(SWITCHES["pipeline"], ("branch", "merge request"), strict=True)
]


@pytest.mark.parametrize(("options", "event"), COVERING + IMAGES)
def test_every_job_of_a_fresh_project_passes(
    options: Combination,
    event: str,
    request: pytest.FixtureRequest,
    bake: Bake,
    pipe: Pipe,
    pythons: dict[str, Path],
    gitlab: GitLab,
    warm: dict[str, str],
) -> None:
    # The oldest and the newest, or the one that there is.
    supported = sorted({next(iter(pythons)), next(reversed(pythons))})
    project = bake(**{**options, "_python_versions": supported, "python_version": supported[0]})
    here = gitlab.add_project("your-group/my-service")
    variables = {**gitlab.variables(here), **warm, "GITLAB_USER_NAME": "Ada"}
    tests = [f"test: [{python}]" for python in supported]
    jobs = ["preflight", "lint", *tests, "coverage", "build", "sbom"]
    if options["docker"]:
        registry: Registry = request.getfixturevalue("registry")
        registry.offer(request.getfixturevalue("podman").base, here)
        variables |= registry.variables(here)
        jobs += ["build-image"] + ["digests-image", "publish-image"] * (event == "branch")
        done = pipe(project.path, event=event, executor=request.getfixturevalue("imaging"), variables=variables)
        pushes = registry.requests("/my-service/manifests/", method="PUT")
        commit = run("git", "rev-parse", "HEAD", cwd=project.path).strip()
        names = {push.path.rpartition("/")[2] for push in pushes}
        assert names == ({commit, "main"} if event == "branch" else set()), done.output
    else:
        done = pipe(project.path, event=event, variables=variables)
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert "Thank you, Ada!" in done.log("preflight")
    # Signatures go to the registry of the project, wherever the package goes.
    uploads = options["publish"] == "gitlab" or "none" not in (options["publish"], options["signing"])
    assert bool(gitlab.requests("/packages$", status=200)) == uploads
    assert done.coverage == "100%"
    for job in tests:
        expected = {"passed": TESTS[options["test_runner"]], "failed": 0, "skipped": 0}
        assert junit(done.report(job, "junit.xml")) == expected
    assert json.loads(done.report("lint", "gl-code-quality-report.json").read_text(encoding="utf-8")) == []
    cobertura = xml(done.report("coverage", "coverage.xml"))
    assert cobertura.attrib["line-rate"] == "1"
    assert {line.attrib["filename"] for line in cobertura.iter("class")} == {
        f"src/my_service/{name}.py" for name in ("__init__", "__main__", "app")
    }, "GitLab shows coverage where these are paths of the repository"
    dist = done.artifact("build", "dist")
    assert len(list(dist.glob("my_service-*.whl"))) == len(list(dist.glob("my_service-*.tar.gz"))) == 1
    materials = json.loads(done.artifact("sbom", "sbom.cdx.json").read_text(encoding="utf-8"))
    assert materials["bomFormat"] == "CycloneDX"
    (itself,) = [part for part in materials["components"] if part["name"] == "my-service"]
    assert (dist / f"my_service-{itself['version']}.tar.gz").exists()


@pytest.mark.parametrize("runner", ["pytest", "unittest"])
def test_the_reports_say_what_happened(runner: str, bake: Bake, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    project = bake(_python_versions=[python], python_version=python, test_runner=runner, docker=False)
    add(project, "tests/test_app.py", FAILING_AND_SKIPPED[runner])
    job = f"test: [{python}]"
    failed = pipe(project.path, job, variables=warm)
    assert failed.results == {job: "failed"}
    assert junit(failed.report(job, "junit.xml")) == {"passed": TESTS[runner], "failed": 1, "skipped": 1}
    (case,) = [
        case for case in xml(failed.report(job, "junit.xml")).iter("testcase") if case.find("failure") is not None
    ]
    assert case.attrib["name"] == "test_that_fails"


def test_one_percentage_and_the_missing_lines_for_the_whole_matrix(
    bake: Bake, pipe: Pipe, pythons: dict[str, Path], warm: dict[str, str]
) -> None:
    oldest, *_, newest = pythons
    project = bake(_python_versions=[oldest, newest], python_version=oldest, docker=False)
    # Lines for each Python: neither alone reaches the threshold, and only the last line is missed by all.
    old, new = ("".join(f"    {name}_{n} = {n}\n" for n in range(9)) for name in ("OLD", "NEW"))
    branches = f"\n\nif sys.version_info[:2] == {tuple(map(int, oldest.split('.')))}:\n{old}else:\n{new}"
    source = project.read("src/my_service/app.py")
    (project.path / "src/my_service/app.py").write_text(
        source.replace("import argparse\n", "import argparse\nimport sys\n") + branches + NEVER_CALLED, encoding="utf-8"
    )
    lines = project.path.joinpath("src/my_service/app.py").read_text(encoding="utf-8").splitlines()
    done = pipe(project.path, "coverage", variables=warm)
    jobs = [f"test: [{oldest}]", f"test: [{newest}]", "coverage"]
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    (row,) = [line for line in done.log("coverage").splitlines() if line.startswith("src/my_service/app.py")]
    assert row.split()[-1] == str(len(lines)), row
    missed = [
        (file.attrib["filename"], int(line.attrib["number"]))
        for file in xml(done.report("coverage", "coverage.xml")).iter("class")
        for line in file.iter("line")
        if line.attrib["hits"] == "0"
    ]
    assert missed == [("src/my_service/app.py", len(lines))]
    total = next(line for line in done.log("coverage").splitlines() if line.startswith("TOTAL"))
    assert done.coverage == total.split()[-1] != "100%"


def add(project: BakedProject, name: str, text: str) -> None:
    """Add a text to the end of a file of a project."""
    with (project.path / name).open("a", encoding="utf-8") as file:
        file.write(text)
