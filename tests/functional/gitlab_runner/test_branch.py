"""The pipeline of a branch on GitLab's own runner: what GitLab gets of its jobs."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from tools.commands import commit_all
from tools.gitlab_ci_local import Expander
from tools.gitlab_runner.pipeline import run_pipeline
from tools.gitlab_runner.program import VERSION, Runner
from tools.runner import shell_executor
from tools.samples.baked import TESTS, BakedProject
from tools.stand_ins.gitlab import GitLab


def test_gitlab_gets_the_reports_and_the_coverage_of_a_fresh_project(
    project: BakedProject,
    gitlab_runner: Path,
    gitlab: GitLab,
    expander: Expander,
    python: str,
    pythons: dict[str, Path],
    warm: dict[str, str],
    tmp_path: Path,
) -> None:
    commit_all(project.path)
    here = gitlab.add_project("your-group/my-service", project.path)
    with Runner(gitlab_runner, tmp_path / "runner", gitlab, shell_executor(list(pythons.values()))) as runner:
        done = run_pipeline(runner, here, expander, variables=warm)
    test = f"test: [{python}]"
    assert done.results == dict.fromkeys(["preflight", "lint", test, "coverage", "build", "sbom"], "passed"), (
        done.output
    )
    assert f"GitLab 19.4.1-ee, runner {VERSION}" in done.log("preflight")
    assert done.coverage == 100
    tests = ET.fromstring(done.builds[test].report("junit")).iter("testcase")  # noqa: S314
    assert len(list(tests)) == TESTS["pytest"]
    assert json.loads(done.builds["lint"].report("codequality")) == []
    assert ET.fromstring(done.builds["coverage"].report("cobertura")).attrib["line-rate"] == "1"  # noqa: S314
    names = sorted(path.rpartition(".")[2] for path in done.builds["build"].files)
    assert names == ["gz", "whl"]
    assert done.builds["sbom"].files.keys() == {"sbom.cdx.json"}
