"""A runner with the shell executor on which nothing is installed and nothing is allowed."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Bake
from tests.e2e.bare import USER, owned_outside, version_of
from tests.e2e.gitlab import GitLab
from tests.e2e.runner import Executor, Pipe


def test_no_job_needs_root_or_bash_or_curl_or_anything_but_python_and_git(
    bake: Bake, pipe: Pipe, bare_shell: Executor, bare_python: Path, gitlab: GitLab
) -> None:
    python = version_of(bare_python)
    project = bake(_python_versions=[python], python_version=python, docker=False)
    here = gitlab.add_project("your-group/my-service")
    before = owned_outside(project.path)
    done = pipe(project.path, executor=bare_shell, variables=gitlab.variables(here))
    jobs = ["preflight", "lint", f"test: [{python}]", "coverage", "build", "sbom"]
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert "user      not root" in done.log("preflight")
    assert "which fetches uv for each job" in done.log("preflight")
    assert done.report("lint", ".uv/site-packages/bin/uv").stat().st_uid == USER
    assert owned_outside(project.path) == before, "nothing was written outside the project"
