"""`python -m tools.pipeline`, with which a person runs the pipeline of a project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.commands import commit_all, run
from tools.options import ROOT
from tools.requirements import find_program
from tools.samples.baked import Bake, BakedProject


@pytest.fixture
def project(bake: Bake, python: str, gitlab_ci_local: str) -> BakedProject:
    """A committed project, on a machine that can run its pipeline."""
    find_program("rsync", "apt install rsync")
    made = bake(_python_versions=[python], python_version=python)
    commit_all(made.path)
    return made


def tool(*arguments: str | Path, path: str | None = None) -> tuple[int, str]:
    """Run the tool; return its exit status and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.pipeline", *arguments],
        cwd=ROOT,
        env={**os.environ, **({"PATH": path} if path else {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    return done.returncode, done.stdout


def test_it_runs_a_project_as_it_is_and_leaves_it_alone(project: BakedProject, python: str) -> None:
    (project.path / "tests" / "test_more.py").write_text('"""Not committed."""\n', encoding="utf-8")
    before = (
        project.run("git", "status", "--porcelain"),
        project.run("git", "rev-parse", "HEAD"),
        set(project.path.rglob("*")),
    )
    status, printed = tool(project.path)
    assert status == 0, printed
    rows = re.findall(r"^(\S.*?) +(passed|failed) +(\d+\.\d)$", printed, re.MULTILINE)
    jobs = {"preflight", "lint", f"test: [{python}]", "coverage", "build", "sbom"}
    assert {name for name, _, _ in rows} == jobs
    assert "\nLeft out, for want of a container registry: build-image" in printed
    assert "REMEDY=" not in printed
    assert all(status == "passed" and float(seconds) > 0 for _, status, seconds in rows)
    folder = Path(printed.splitlines()[-1].removeprefix("Reports and artifacts: "))
    assert list(folder.glob("artifacts/build/dist/*.whl"))
    assert (folder / "builds" / "lint" / "tests" / "test_more.py").exists()
    assert not (folder / "variables.yml").exists(), "it has the token of the jobs"
    after = (
        project.run("git", "status", "--porcelain"),
        project.run("git", "rev-parse", "HEAD"),
        set(project.path.rglob("*")),
    )
    assert after == before


def test_a_job_that_fails_is_in_the_table_and_in_the_exit_status_and_leaves_its_reports(
    project: BakedProject, tmp_path: Path
) -> None:
    (project.path / "src" / "my_service" / "app.py").write_text("import os\n", encoding="utf-8")
    results = tmp_path / "results"
    (results / "of-an-earlier-run").mkdir(parents=True)
    (results / "jobs.txt").touch()
    status, printed = tool(project.path, "lint", "--output", results)
    assert status == 1
    assert re.search(r"^lint  failed +\d", printed, re.MULTILINE)
    assert printed.splitlines()[-1] == f"Reports and artifacts: {results}"
    files = {path.relative_to(results).as_posix() for path in results.rglob("*")}
    assert files == {"jobs.txt", "log.txt", "lint", "lint/gl-code-quality-report.json"}
    assert "F401" in (results / "lint" / "gl-code-quality-report.json").read_text(encoding="utf-8")
    assert (results / "jobs.txt").read_text(encoding="utf-8") in printed


def test_an_event_without_a_pipeline(project: BakedProject) -> None:
    status, printed = tool(project.path, "--event", "schedule on a tag")
    assert (status, printed.splitlines()[-1]) == (0, "No job runs for this event: schedule on a tag.")


@pytest.mark.parametrize("job", ["lnt", "test: [9.9]"])
def test_a_job_that_is_misspelt(job: str, project: BakedProject) -> None:
    status, printed = tool(project.path, job)
    assert status == 2
    assert f"There is no job {job}. The jobs are preflight, " in printed


def test_a_pipeline_that_gitlab_would_refuse(project: BakedProject) -> None:
    (project.path / ".gitlab-ci.yml").write_text("test: {script: true, stage: nowhere}\n", encoding="utf-8")
    status, printed = tool(project.path)
    assert status == 2
    assert "GitLab would refuse this pipeline:" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--answer", "docker"], "--answer docker: give it as NAME=VALUE, with a name of docs/options.md"),
        (["--answer", "dokcer=no"], "--answer dokcer=no: give it as NAME=VALUE, with a name of docs/options.md"),
        (["--answer", "kind=command", "../my-service"], "--answer is for a new project"),
        (["--answer", "author_email=me"], "author_email 'me' is not an email address"),
        (["--answer", "signing=maybe"], "The answers were refused: maybe provided for choice variable signing"),
    ],
)
def test_answers_that_make_no_project(arguments: list[str], said: str, gitlab_ci_local: str) -> None:
    find_program("rsync", "apt install rsync")
    status, printed = tool(*arguments)
    assert status == 2
    assert said in printed
    assert "Traceback" not in printed


def test_what_is_missing_is_said_at_once(tmp_path: Path) -> None:
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.symlink_to(find_program("git", "install it first"))
    status, printed = tool(tmp_path, path=str(git.parent))
    assert status == 2
    assert printed.splitlines() == [
        "gitlab-ci-local is missing: run `tox run -e pipeline -- PROJECT`, which gets it from npm.",
        "rsync is missing: install it first; gitlab-ci-local copies the project with it.",
        f"{tmp_path} is no git repository with a .gitlab-ci.yml.",
    ]
    assert run("git", "--version")


def test_what_would_be_lost_or_is_no_folder_is_said_at_once(project: BakedProject, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    status, printed = tool(project.path, "--output", tmp_path, "--variables", tmp_path / "letter.txt")
    assert status == 2
    assert printed.splitlines() == [
        f"{tmp_path / 'letter.txt'} is no folder with a file for each variable.",
        f"{tmp_path} has other files, which are kept: name an empty folder, or one that is new.",
    ]
    status, printed = tool(project.path, "--output", project.path / "results")
    assert status == 2
    assert "is in the project, which would then have it as a file: name one outside." in printed
