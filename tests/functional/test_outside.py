"""What lies in the folders above that of a job steers no job; the fixture `pipe` leaves it there in all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.runner import Pipe, Pipeline
from tools.samples.package import COMPONENTS, VERSION, Release

# Tools that look for settings, and find none in the project.
PIPELINE = """
stages: [lint, test, coverage, build]

include:
  - component: {here}/lint@{version}
    inputs:
      python_version: "{python}"
      dependency_group: checks
      lint_commands: [ruff check, ruff format --check, mypy another, deptry .]
  - component: {here}/test@{version}
    inputs: {{python_versions: ["{python}"], dependency_group: checks}}
  - component: {here}/coverage@{version}
    inputs: {{python_version: "{python}", dependency_group: checks}}
  - component: {here}/build@{version}
    inputs: {{python_version: "{python}"}}
"""


@pytest.fixture
def bare(another: Path, python: str) -> Path:
    """A project without settings of any tool."""
    pyproject = another / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(text.replace('"pytest-cov"', '"pytest-cov", "ruff", "mypy", "deptry"'), encoding="utf-8")
    text = PIPELINE.format(here=COMPONENTS, version=VERSION, python=python)
    (another / ".gitlab-ci.yml").write_text(text, encoding="utf-8")
    return another


def built(done: Pipeline) -> dict[str, bytes]:
    """Return the files that `build` handed on, by name."""
    return {file.name: file.read_bytes() for file in done.artifact("build", "dist").iterdir()}


def test_a_project_without_settings_gets_none_of_the_folders_above(
    bare: Path, pipe: Pipe, python: str, warm: dict[str, str]
) -> None:
    alone = built(pipe(bare, "build", variables=warm, steered=False))
    done = pipe(bare, variables=warm, again=True)
    assert done.results == dict.fromkeys((f"test: [{python}]", "lint", "coverage", "build"), "passed"), done.output
    assert built(done) == alone


def test_a_finding_is_one_whatever_is_passed_over_above(bare: Path, pipe: Pipe, warm: dict[str, str]) -> None:
    (bare / "another" / "unused.py").write_text("import os\n", encoding="utf-8")
    done = pipe(bare, "lint", variables=warm)
    assert done.results == {"lint": "failed"}
    assert "F401" in done.log("lint")


@pytest.mark.parametrize("job", ["build", "sbom"])
def test_a_workspace_above_is_refused(release: Release, job: str) -> None:
    """uv has no setting against it."""
    workspace = '[tool.uv.workspace]\nmembers = ["build", "sbom"]\n[tool.uv.sources]\nsetuptools = {path = "evil"}\n'
    release.change(job, lambda commands: [f"cat > ../pyproject.toml <<'EOF'\n{workspace}EOF", *commands])
    done = release.retry(job)
    assert done.results == {job: "failed"}
    assert done.last_line(job).startswith("Remove ")
    assert "/.gitlab-ci-local/builds/pyproject.toml from the runner: it lies above" in done.last_line(job)
