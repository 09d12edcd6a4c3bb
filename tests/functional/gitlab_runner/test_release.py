"""A release on GitLab's own runner, in a folder that each job finds as the one before has left it."""

from __future__ import annotations

from pathlib import Path

from tools.commands import commit_all
from tools.gitlab_ci_local import Expander
from tools.gitlab_runner.pipeline import Pipeline, run_pipeline
from tools.gitlab_runner.program import Runner
from tools.runner import Executor, Variable
from tools.samples.package import RELEASING, files_of, make_project
from tools.stand_ins.cosign import PASSWORD, KeyPair
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import stored

AGAIN = ["publish-signatures", "publish-gitlab", "verify-published", "release"]


def secrets_of(done: Pipeline, keys: KeyPair) -> set[str]:
    """Return what no log may have: the password, the key, its second line, and the token of each job."""
    return {PASSWORD, keys.private, keys.private.splitlines()[1], *(build.token for build in done.builds.values())}


def test_a_protected_tag_is_released_and_its_jobs_run_again(
    gitlab_runner: Path,
    gitlab: GitLab,
    expander: Expander,
    releasing: Executor,
    keys: KeyPair,
    python: str,
    warm: dict[str, str],
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path / "another", python, keys.public)
    commit_all(project)
    here = gitlab.add_project("group/another", project)
    variables: dict[str, str | Variable] = {**warm, **keys.settings}
    with Runner(gitlab_runner, tmp_path / "runner", gitlab, releasing) as runner:
        done = run_pipeline(runner, here, expander, "tag", variables)
        assert done.results == dict.fromkeys(RELEASING, "passed"), done.output
        published = stored(here)
        again = run_pipeline(runner, here, expander, "tag", variables, AGAIN, earlier=done)
    assert again.results == dict.fromkeys(AGAIN, "passed"), again.output
    assert stored(here) == published
    assert {f"pypi/{name}" for name in files_of("1.0.0")} < published.keys()
    assert "releases/v1.0.0.json" in published
    for each in (done, again):
        assert [secret for secret in secrets_of(each, keys) if secret in each.output] == []
