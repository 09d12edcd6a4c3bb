"""What `pages` hands to GitLab Pages, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.components import load
from tools.expander import Expander
from tools.runner import Pipe
from tools.samples.package import COMPONENTS, VERSION

PIPELINE = f"""
stages: [build, publish]

include:
  - component: {COMPONENTS}/docs@{VERSION}
    inputs:
      python_version: "PYTHON"
      dependency_group: checks
      docs_commands: [mkdir -p build/html/more, echo start > build/html/index.html, echo more > build/html/more/x.html]
  - component: {COMPONENTS}/pages@{VERSION}
"""


@pytest.fixture
def project(another: Path, python: str) -> Path:
    """A project whose site is made in no time."""
    (another / ".gitlab-ci.yml").write_text(PIPELINE.replace("PYTHON", python), encoding="utf-8")
    return another


def test_the_default_branch_hands_the_site_on_as_it_was_made(project: Path, pipe: Pipe, warm: dict[str, str]) -> None:
    done = pipe(project, variables=warm)
    assert done.results == {"docs": "passed", "pages": "passed"}, done.output
    folder = done.artifact("pages", "public")
    found = {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in folder.rglob("*.html")}
    assert found == {"index.html": "start\n", "more/x.html": "more\n"}
    again = pipe(project, "pages", again=True)
    assert again.results == {"pages": "passed"}, again.output


def test_no_other_pipeline_deploys(project: Path, pipe: Pipe, warm: dict[str, str]) -> None:
    elsewhere = {**warm, "CI_DEFAULT_BRANCH": "another"}
    assert pipe(project, variables=elsewhere).results == {"docs": "passed"}
    for event in ("merge request", "tag"):
        assert pipe(project, event=event, variables=warm).results == {"docs": "passed"}


def test_a_site_that_is_not_there(project: Path, pipe: Pipe, warm: dict[str, str]) -> None:
    pipe(project, "docs", variables=warm)
    file = project / ".gitlab-ci-local" / "artifacts" / "docs" / "public" / "index.html"
    file.unlink()
    done = pipe(project, "pages", again=True)
    assert done.results == {"pages": "failed"}, done.output
    assert done.last_line("pages").startswith("The job docs handed on no public/index.html.")


def test_gitlab_of_any_age_deploys_what_it_hands_on(project: Path, expander: Expander) -> None:
    """A job of this name with this folder, and no keyword that only some know."""
    job = load(expander.preview((project / ".gitlab-ci.yml").read_text("utf-8")))["pages"]
    assert job["artifacts"]["paths"] == ["public"]
    assert not {"pages", "publish"} & job.keys()
