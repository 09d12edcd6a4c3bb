"""`uv.lock`, where a project has it: jobs and tox install exactly what it says, and a schedule what is newest."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tools.commands import commit_all, run
from tools.runner import Pipe, Pipeline
from tools.samples.baked import BakedProject, edit
from tools.samples.developer import environment, failing, oldest_of_tox
from tools.shared import made_once

# Released long ago, and still taken by what the project says.
OLD = {"coverage": "7.10.7", "idna": "3.7", "pytest": "8.4.2", "ruff": "0.12.0"}
JOBS = ["lint", "coverage", "sbom"]
REMEDY = "Run 'uv lock' with the package index of this job, and commit uv.lock"


@pytest.fixture
def locked(project: BakedProject, warm: dict[str, str], shared_folder: Path) -> BakedProject:
    """A project with a dependency, locked to versions that are not the newest."""
    edit(project, "pyproject.toml", "dependencies = []", 'dependencies = ["idna>=3"]')

    def lock(folder: Path) -> None:
        folder.mkdir()
        old = [f"--upgrade-package={name}=={version}" for name, version in OLD.items()]
        run("uv", "lock", "--quiet", *old, cwd=project.path, env={**os.environ, **warm})
        shutil.copy(project.path / "uv.lock", folder)

    # That of any such project is the same.
    shutil.copy(made_once(shared_folder / "locked", lock) / "uv.lock", project.path)
    return project


def installed(log: str) -> dict[str, str]:
    """Return the versions that uv says it has installed, by package."""
    return dict(re.findall(r"^ *\+ (\S+)==(\S+)", log, re.MULTILINE))


def of(names: set[str], versions: dict[str, str]) -> dict[str, str]:
    """Return the versions of some packages."""
    return {name: version for name, version in versions.items() if name in names}


def listed(done: Pipeline) -> str:
    """Return the version of the dependency in the bill of materials."""
    bill = json.loads(done.artifact("sbom", "sbom.cdx.json").read_text(encoding="utf-8"))
    assert {component["name"] for component in bill["components"]} >= {"my-service", "idna"}
    (version,) = (component["version"] for component in bill["components"] if component["name"] == "idna")
    return str(version)


def test_jobs_install_exactly_what_it_says(locked: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    done = pipe(locked.path, *JOBS, variables=warm)
    test = f"test: [{python}]"
    assert done.results == dict.fromkeys(["lint", test, "coverage", "build", "sbom"], "passed"), done.output
    assert of(set(OLD), installed(done.log("lint"))) == OLD
    assert of(set(OLD), installed(done.log(test))) == of({"coverage", "idna", "pytest"}, OLD)
    assert of(set(OLD), installed(done.log("coverage"))) == of({"coverage", "pytest"}, OLD)
    assert listed(done) == OLD["idna"]


def test_a_schedule_takes_the_newest(locked: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    done = pipe(locked.path, *JOBS, event="schedule", variables=warm)
    test = f"test: [{python}]"
    assert done.results.keys() == {"lint", test, "coverage", "build", "sbom"}
    new = installed(done.log("lint"))
    assert all(new[name] != OLD[name] for name in OLD), new
    assert installed(done.log(test))["pytest"] == new["pytest"]
    assert installed(done.log("coverage"))["coverage"] == new["coverage"]
    assert listed(done) == new["idna"]


def test_one_that_is_out_of_date_is_named_with_what_to_do(
    locked: BakedProject, pipe: Pipe, python: str, warm: dict[str, str], upstream: str
) -> None:
    # Made with another index, it would be another file.
    other = pipe(locked.path, "lint", variables={**warm, "UV_DEFAULT_INDEX": f"{upstream.rstrip('/')}/./"})
    assert other.results == {"lint": "failed"}, other.output
    assert other.last_line("lint").startswith(REMEDY)

    edit(locked, "pyproject.toml", '"idna>=3"', '"idna>=3", "packaging>=24"')
    test = f"test: [{python}]"
    done = pipe(locked.path, "lint", test, "sbom", variables=warm)
    assert done.results == {"lint": "failed", test: "failed", "build": "passed", "sbom": "failed"}, done.output
    for job in ("lint", test, "sbom"):
        assert "needs to be updated" in done.log(job)
        assert done.last_line(job).startswith(REMEDY)
    assert "packaging>=24" not in (locked.path / "uv.lock").read_text(encoding="utf-8")


def test_tox_installs_exactly_what_it_says(locked: BakedProject, warm: dict[str, str]) -> None:
    commit_all(locked.path)
    env = environment(locked) | warm
    run("uv", "sync", "--quiet", "--locked", cwd=locked.path, env=env)
    oldest = oldest_of_tox()
    assert "congratulations" in locked.run("tox", "run", "-e", f"lint,{oldest},coverage", env=env)
    for environ, names in (("lint", set(OLD)), (oldest, {"coverage", "idna", "pytest"}), ("coverage", {"coverage"})):
        there = run("uv", "pip", "list", "--quiet", "--format=json", "--python", locked.path / ".tox" / environ)
        versions = {package["name"]: package["version"] for package in json.loads(there)}
        assert of(names, versions) == of(names, OLD), environ

    edit(locked, "pyproject.toml", '"idna>=3"', '"idna>=3", "packaging>=24"')
    for environ in ("lint", oldest):
        assert "needs to be updated" in failing(locked, "tox", "run", "-e", environ, env=env)
    locked.run("uv", "lock", "--quiet", env=env)
    assert "congratulations" in locked.run("tox", "run", "-e", f"lint,{oldest}", env=env)


def test_without_it_tox_makes_none(project: BakedProject, warm: dict[str, str]) -> None:
    commit_all(project.path)
    env = environment(project) | warm
    run("uv", "venv", "--quiet", ".venv", cwd=project.path)
    run("uv", "pip", "install", "--quiet", "tox-uv", cwd=project.path, env=env)
    assert "congratulations" in project.run("tox", "run", "-e", f"lint,{oldest_of_tox()}", env=env)
    assert project.run("git", "status", "--porcelain") == ""
    assert not (project.path / "uv.lock").exists()


def test_tox_builds_with_what_is_locked_only(project: BakedProject) -> None:
    commit_all(project.path)
    env = environment(project)
    run("uv", "venv", "--quiet", ".venv", cwd=project.path)
    run("uv", "pip", "install", "--quiet", "tox-uv", cwd=project.path, env=env)
    lock = project.path / "build-requirements.txt"
    text = lock.read_text(encoding="utf-8")
    lock.write_text(re.sub("sha256:.{8}", "sha256:00000000", text), encoding="utf-8")
    assert "Hash mismatch" in failing(project, "tox", "run", "-e", oldest_of_tox(), env=env)
    lock.write_text(text, encoding="utf-8")
    assert "congratulations" in project.run("tox", "run", "-e", oldest_of_tox(), env=env)
