"""The pipelines before a release on GitLab's own runner: what GitLab gets of their jobs."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tools.bare_runner import version_of
from tools.commands import commit_all, run
from tools.expander import Expander
from tools.gitlab_runner.engine import Engine
from tools.gitlab_runner.pipeline import run_pipeline
from tools.gitlab_runner.program import VERSION
from tools.gitlab_runner.runner import NewRunner
from tools.options import DECLARED
from tools.runner import Executor
from tools.samples.baked import TESTS, Bake
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.images import RELEASES, uv_image
from tools.template import edit, tagged_copy


@pytest.mark.parametrize(
    ("event", "flavour"),
    [("branch", "self-contained"), ("branch", "components"), ("merge request", "self-contained")],
)
def test_gitlab_gets_the_reports_and_the_coverage_of_a_fresh_project(
    event: str,
    flavour: str,
    bake: Bake,
    new_runner: NewRunner,
    gitlab: GitLab,
    expander: Expander,
    python: str,
    warm: dict[str, str],
) -> None:
    """The next test has a merge request of the other flavour; of this one a project has a site too."""
    documented = flavour == "components"
    options = {"_python_versions": [python], "python_version": python, "kind": "command"}
    project = bake(pipeline=flavour, docs=documented, **options)
    commit_all(project.path)
    here = gitlab.add_project("your-group/my-service", project.path)
    with new_runner(concurrent=2) as runner:
        done = run_pipeline([runner], here, expander, event, warm)
    test = f"test: [{python}]"
    jobs = ["preflight", "lint", test, "coverage", "build", "sbom", *(["docs", "pages"] if documented else [])]
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert f"GitLab 19.4.1-ee, runner {VERSION}" in done.log("preflight")
    assert done.coverage == 100
    tests = ET.fromstring(done.builds[test].report("junit")).iter("testcase")  # noqa: S314
    assert len(list(tests)) == TESTS["command"]["pytest"]
    assert json.loads(done.builds["lint"].report("codequality")) == []
    assert ET.fromstring(done.builds["coverage"].report("cobertura")).attrib["line-rate"] == "1"  # noqa: S314
    names = sorted(path.rpartition(".")[2] for path in done.builds["build"].files)
    assert names == ["gz", "whl"]
    (bill,) = done.builds["sbom"].files.items()
    assert bill == ("sbom.cdx.json", done.builds["sbom"].report("cyclonedx").encode())
    if documented:
        site = done.builds["pages"].files
        assert b"Return a greeting for a person." in site["public/reference/my_service.app.html"]
        assert site == done.builds["docs"].files


def test_a_merge_request_passes_in_containers(
    bake: Bake, new_runner: NewRunner, gitlab: GitLab, expander: Expander, engine: Engine
) -> None:
    image = {"python_container_image": uv_image("${PY_CI_PYTHON}")}
    options = {"_python_versions": list(RELEASES), "python_version": "3.11", "kind": "command"}
    project = bake(pipeline="components", _component_inputs=image, **options)
    commit_all(project.path)
    here = gitlab.add_project("your-group/my-service", project.path)
    with new_runner(executor=Executor(containers=True), engine=engine, concurrent=2) as runner:
        done = run_pipeline([runner], here, expander, "merge request")
    tests = [f"test: [{python}]" for python in RELEASES]
    jobs = ["preflight", "lint", *tests, "coverage", "build", "sbom"]
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert done.coverage == 100
    for python, job in zip(RELEASES, tests, strict=True):
        assert "Using docker image sha256:" in done.log(job)
        assert f"for {uv_image(python)} " in done.log(job)
    assert "executor  a container" in done.log("preflight")


def test_a_schedule_passes_as_a_user_without_a_name_and_a_home(
    new_runner: NewRunner,
    nobody: dict[str, Any],
    gitlab: GitLab,
    expander: Expander,
    bare_python: Path,
    tmp_path: Path,
) -> None:
    python = version_of(bare_python)
    released = tagged_copy(tmp_path / "released" / "py-ci-template")
    edit(released / "CHANGELOG.md", "## Unreleased", "## Unreleased\n\n## 0.2.0 - 2026-12-01\n\n- A new rule.")
    commit_all(released)
    run("git", "tag", "0.2.0", cwd=released)
    template = gitlab.add_project("org/py-ci-template", released)
    made = (
        sys.executable,
        "-m",
        "cookiecutter",
        f"git+{released.as_uri()}",
        "--checkout",
        DECLARED["_component_version"],
    )
    run(*made, "--no-input", "signing=none", "kind=command", cwd=tmp_path)
    project = tmp_path / "my-service"
    link = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    link["template"] = f"{gitlab.url}/{template.path}.git"
    (project / ".cruft.json").write_text(json.dumps(link, indent=2) + "\n", encoding="utf-8")
    commit_all(project)
    here = gitlab.add_project("your-group/my-service", project)
    template.allowed.append(here)
    jobs = ["preflight", "lint", f"test: [{python}]", "build", "sbom", "drift"]
    with new_runner(**nobody) as runner:
        done = run_pipeline([runner], here, expander, "schedule", jobs=jobs)
    assert done.results == {**dict.fromkeys(jobs, "passed"), "drift": "failed, allowed"}, done.output
    assert done.builds["drift"].exit_code == 3
    assert "A new rule." in done.log("drift")
    assert not [build.token for build in done.builds.values() if build.token in done.output]
    preflight = done.log("preflight")
    assert "user      not root" in preflight
    assert f"Python    {python}\n" in preflight
