"""What GitLab's own runner says where a job cannot begin, as the documents have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.commands import commit_all, run
from tools.expander import Expander
from tools.gitlab_runner.engine import Engine
from tools.gitlab_runner.pipeline import run_pipeline
from tools.gitlab_runner.runner import NewRunner
from tools.options import ROOT
from tools.runner import Executor
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.registry import Registry

TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose pipeline is still to be written."""
    folder = tmp_path / "project"
    folder.mkdir()
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    return folder


def test_an_image_that_is_not_there(
    project: Path, new_runner: NewRunner, gitlab: GitLab, registry: Registry, expander: Expander, engine: Engine
) -> None:
    here = gitlab.add_project("group/project", project)
    image = f"{registry.image(here)}/missing:1"
    (project / ".gitlab-ci.yml").write_text(f"job:\n  image: {image}\n  script: [id]\n", encoding="utf-8")
    commit_all(project)
    with new_runner(executor=Executor(containers=True), engine=engine) as runner:
        done = run_pipeline([runner], here, expander)
    said = "pull access denied for {}, repository does not exist or may require 'docker login'"
    assert said.format(image.rpartition(":")[0]) in done.log("job")
    assert f"**`{said.format('...')}`**" in TROUBLESHOOTING
    # To the runner it is a mistake of the pipeline, so it is not tried again.
    assert [build.failure_reason for build in gitlab.runner_api.builds] == ["script_failure"]


def test_a_folder_that_another_user_owns(
    project: Path, new_runner: NewRunner, gitlab: GitLab, expander: Expander
) -> None:
    here = gitlab.add_project("group/project", project)
    (project / ".gitlab-ci.yml").write_text("job:\n  script: [id, git log -1]\n", encoding="utf-8")
    commit_all(project)
    with new_runner() as runner:
        run_pipeline([runner], here, expander)
        run("chown", "-R", "12345", runner.folder / "builds")
        done = run_pipeline([runner], here, expander)
    assert "\nfatal: detected dubious ownership in repository at " in done.log("job")
    assert "**`detected dubious ownership in repository`**" in TROUBLESHOOTING
