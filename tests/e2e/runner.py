"""Runs the pipeline of a project with gitlab-ci-local, as a runner with the shell executor would."""

from __future__ import annotations

import os
import re
import subprocess
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.baked import run
from tests.pipeline import EVENTS, as_on_gitlab, ask


@dataclass(frozen=True)
class Pipeline:
    """What one run of a pipeline did: each job's result by name, all output, and the artifacts."""

    results: dict[str, str]
    coverage: str | None
    output: str
    repository: Path

    def log(self, job: str) -> str:
        """Return what a job printed."""
        lines = re.findall(rf"^{re.escape(job)} +[>$] ?(.*)$", self.output, re.MULTILINE)
        return "\n".join(lines)

    def artifact(self, job: str, path: str) -> Path:
        """Return the path that a job handed on as an artifact."""
        return self.repository / ".gitlab-ci-local" / "artifacts" / folder_of(job) / path

    def report(self, job: str, path: str) -> Path:
        """Return the report that a job wrote; gitlab-ci-local does not collect reports."""
        return self.repository / ".gitlab-ci-local" / "builds" / folder_of(job) / path


def folder_of(job: str) -> str:
    """Return gitlab-ci-local's name of a job's folder: what is no word is in Base64."""
    return re.sub(r"[^\w-]+", lambda odd: b64encode(odd[0].encode()).decode().rstrip("="), job)


def pythons_here(candidates: list[str]) -> dict[str, Path]:
    """Return the folder of each Python that this machine has, on PATH or under pyenv, by version."""
    found = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in candidates:
        folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
        folders += sorted(pyenv.glob(f"{version}.*/bin"))
        for folder in folders:
            python = folder / f"python{version}"
            # A shim of pyenv is there for every version that pyenv has, and works for some.
            if python.exists() and subprocess.run([python, "--version"], capture_output=True).returncode == 0:
                found[version] = folder
                break
    return found


def run_pipeline(program: str, repository: Path, template: Path, path: list[Path], event: str = "branch") -> Pipeline:
    """Run a committed project's whole pipeline for an event; a job that fails is a result, not an error.

    `program` is gitlab-ci-local, `template` the clone that answers for the components, and `path` the
    folders of programs that the runner has besides those on PATH.
    """
    env = as_on_gitlab(repository, template)
    env["PATH"] = os.pathsep.join([*map(str, path), env["PATH"]])
    for name in ("VIRTUAL_ENV", "PYTHONPATH"):
        env.pop(name, None)
    run("git", "update-ref", "refs/remotes/origin/main", "HEAD", cwd=repository)
    run("git", "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main", cwd=repository)
    # A runner with the shell executor ignores the image; gitlab-ci-local would run in a shell, but with
    # the project's path in a container.
    status, preview = ask(program, "--preview", cwd=repository, env=env)
    assert status == 0, preview
    pipeline = yaml.safe_load(preview)
    for job in pipeline.values():
        if isinstance(job, dict):
            job.pop("image", None)
    expanded = repository / ".gitlab-ci-local" / "shell.yml"
    expanded.write_text(yaml.safe_dump(pipeline, sort_keys=False, allow_unicode=True), encoding="utf-8")
    file = ("--file", str(expanded.relative_to(repository)))
    _, output = ask(
        program, *file, "--shell-isolation", "--no-artifacts-to-source", *EVENTS[event], cwd=repository, env=env
    )
    output = re.sub(r"\x1b\[[0-9;]*m", "", output)
    results = {
        name.strip(): word for word, name in re.findall(r"^ (PASS|FAIL|WARN)  (.+?)(?:  .*)?$", output, re.MULTILINE)
    }
    coverage = re.search(r"^ PASS +coverage +(\S+) coverage", output, re.MULTILINE)
    return Pipeline(results, coverage[1] if coverage else None, output, repository)
