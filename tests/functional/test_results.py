"""The merge request of the tutorial, run: what its pipelines report, and the drawings that are made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.documents import page
from tools.requirements import find_program
from tools.results import COMMAND, FOLDER, Story, drawings, tell


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, gitlab_ci_local: str, warm: dict[str, str]) -> Story:
    """The pipelines of the tutorial's way."""
    find_program("rsync", "gitlab-ci-local copies the repository with it: apt install rsync")
    return tell(tmp_path_factory.mktemp("results"), gitlab_ci_local, warm)


@pytest.mark.xdist_group("results")
def test_the_broken_branch_fails_as_the_tutorial_says(story: Story) -> None:
    tutorial = " ".join(page("docs/tutorial.md").split())
    statuses = {name: status for name, (_, status) in story.broken.jobs.items()}
    assert statuses == {
        "lint": "failed",
        "test: [3.x]": "failed",
        "coverage": "skipped",
        "build": "passed",
    }
    (case,) = story.broken.failed
    assert f"on each Python `1 failed, {len(story.broken.cases)} total tests`. The one is `{case.name}`" in tutorial
    assert "log_level: 'DEBUG' != 'INFO'" in case.problem
    (found,) = story.broken.findings
    location = found["location"]
    line = location["positions"]["begin"]["line"]
    assert f"``{found['description']}``, in line {line} of `{location['path']}`" in tutorial


@pytest.mark.xdist_group("results")
def test_the_fixed_branch_passes_as_the_tutorial_says(story: Story) -> None:
    tutorial = " ".join(page("docs/tutorial.md").split())
    assert {status for _, status in story.fixed.jobs.values()} == {"passed"}
    assert not story.fixed.failed
    assert not story.fixed.findings
    assert f"`Test coverage {story.fixed.coverage}`, which was {story.first.coverage}" in tutorial
    missed = [number for number, hits in story.fixed.hits.items() if not hits]
    assert [story.changes[-1], len(missed)] == ['+    return f"Goodbye, {name}!"', 1]


@pytest.mark.xdist_group("results")
def test_the_drawings_are_those_of_a_real_run(story: Story) -> None:
    made = drawings(story)
    assert {file.name for file in FOLDER.iterdir()} == made.keys()
    for name, text in made.items():
        current = (FOLDER / name).read_text(encoding="utf-8") == text
        assert current, f"{name} is not what the jobs report now: run `{COMMAND}`"


@pytest.mark.xdist_group("results")
def test_nothing_of_the_run_itself_is_drawn(story: Story, tmp_path: Path) -> None:
    for text in drawings(story).values():
        assert str(tmp_path.parent) not in text
        assert "127.0.0.1" not in text
