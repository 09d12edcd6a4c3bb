"""A runner with the shell executor on which nothing is installed and nothing is allowed."""

from __future__ import annotations

from pathlib import Path

from tools.bare_runner import USER, owned_outside, version_of
from tools.runner import Executor, Pipe
from tools.samples.baked import Bake
from tools.stand_ins.gitlab import GitLab


def test_no_job_needs_root_or_bash_or_curl_or_anything_but_python_and_git(
    bake: Bake, pipe: Pipe, bare_shell: Executor, bare_python: Path, gitlab: GitLab
) -> None:
    python = version_of(bare_python)
    project = bake(_python_versions=[python], python_version=python, kind="command", docs=True)
    here = gitlab.add_project("your-group/my-service", project.path)
    before = owned_outside(project.path)
    done = pipe(project.path, executor=bare_shell, variables=gitlab.variables(here))
    jobs = ["preflight", "lint", f"test: [{python}]", "coverage", "build", "sbom", "docs", "pages"]
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert "user      not root" in done.log("preflight")
    assert "which fetches uv for each job" in done.log("preflight")
    assert done.report("lint", ".uv/site-packages/bin/uv").stat().st_uid == USER
    assert owned_outside(project.path) == before, "nothing was written outside the project"
