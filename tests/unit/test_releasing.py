"""The version of the template, wherever it is said, and what may be released."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.commands import commit_all, run
from tools.components import load
from tools.options import COMPONENT_PROJECT, DECLARED, ROOT
from tools.release_check import changes, faults, newer_release, newest
from tools.requirements import MissingRequirementError

VERSION = DECLARED["_component_version"]
CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 1.2.0 - 2026-11-22\n\n### Added\n\n- A job.\n\n## 1.1.0\n\n- Older.\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose projects pin 1.2.0, without a tag."""
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=tmp_path)
    (tmp_path / "cookiecutter.json").write_text(json.dumps({"_component_version": "1.2.0"}), encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    commit_all(tmp_path)
    return tmp_path


def test_projects_do_not_pin_an_older_version_than_the_newest_release() -> None:
    if not (ROOT / ".git").exists():
        raise MissingRequirementError("a copy without git has no tags: run the tests in a clone")
    assert newer_release(ROOT) is None, "raise _component_version in cookiecutter.json"


@pytest.mark.parametrize(
    ("tags", "newer"),
    [
        ([], None),
        (["1.1.0", "1.2.0"], None),
        (["1.2.0", "1.10.0", "1.9.3"], "1.10.0"),
        (["v9.0.0", "9", "9.0.0-rc.1", "09.0.0", "nightly"], None),
    ],
)
def test_a_newer_release_is_found(tags: list[str], newer: str | None, repository: Path) -> None:
    for tag in tags:
        run("git", "tag", tag, cwd=repository)
    assert newer_release(repository) == newer


def test_a_release_that_this_commit_does_not_contain_is_no_newer_one(repository: Path) -> None:
    run("git", "switch", "--quiet", "--create", "other", cwd=repository)
    commit_all(repository)
    run("git", "tag", "2.0.0", cwd=repository)
    run("git", "switch", "--quiet", "main", cwd=repository)
    assert newer_release(repository) is None


def test_the_newest_of_no_versions_is_none() -> None:
    assert newest(["latest"]) is None


def test_a_release_says_what_is_new_in_it(repository: Path) -> None:
    assert changes(repository, "1.2.0") == "### Added\n\n- A job."
    assert changes(repository, "1.2") == changes(repository, "1.3.0") == ""


def test_a_tag_that_is_what_projects_pin_may_be_released(repository: Path) -> None:
    assert faults(repository, "1.2.0", protected=True) == []


@pytest.mark.parametrize("tag", ["v1.2.0", "1.2", "1.2.0-rc.1", "nightly"])
def test_a_tag_that_is_no_version_is_refused(tag: str, repository: Path) -> None:
    (fault,) = faults(repository, tag, protected=True)
    assert fault == f"{tag} is no version: delete the tag and push one such as 1.2.3, without a v."


def test_every_fault_of_a_tag_is_said_at_once(repository: Path) -> None:
    assert faults(repository, "1.3.0", protected=False) == [
        "1.3.0 is not protected: protect *.*.* in Settings > Repository > Protected tags.",
        "1.3.0 is not what projects pin: cookiecutter.json has _component_version 1.2.0.",
        "CHANGELOG.md does not say what is new: write it below a heading '## 1.3.0 - YYYY-MM-DD'.",
    ]


def test_the_command_of_the_job_fails_with_them() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.release_check", "v1.2.3"], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("v1.2.3 is no version")


def test_documents_show_the_version_that_projects_pin() -> None:
    project = re.escape(COMPONENT_PROJECT)
    shown = re.compile(rf"(?:{project}(?:/[\w-]+|\.git)@|--checkout )(\d+\.\d+\.\d+)")
    found = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        found.update(shown.findall(page.read_text(encoding="utf-8")))
    assert found == {VERSION}


def test_the_pipeline_tests_the_oldest_and_the_pinned_cookiecutter_from_the_oldest_python() -> None:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (pinned,) = (
        need.partition("==")[2] for need in metadata["dependency-groups"]["tests"] if need.startswith("cookiecutter=")
    )
    (matrix,) = load(ROOT / ".gitlab-ci.yml")["test"]["parallel"]["matrix"]
    oldest, newest = matrix["COOKIECUTTER_VERSION"]
    assert newest == pinned
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    assert f"Cookiecutter {oldest.rpartition('.')[0]} and {pinned.rpartition('.')[0]}," in design
    supported = DECLARED["_python_versions"]
    assert matrix["PY_CI_PYTHON"] == supported[: len(matrix["PY_CI_PYTHON"])]
    assert metadata["project"]["requires-python"] == f">={supported[0]}"
