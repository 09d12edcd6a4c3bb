"""Builds GitLab's own runner, and runs it with the shell executor."""

from __future__ import annotations

import json
import os
import re
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Self

from filelock import FileLock

from tools.commands import run
from tools.requirements import MissingRequirementError, find_program
from tools.runner import Executor
from tools.stand_ins.gitlab import GitLab

SOURCES = Path(__file__).parent / "program"
# What its file VERSION says at the commit that go.mod pins; the linker writes it into the program.
VERSION = "19.4.0"
# How a stub ends the program.
REACHED = "a stub was reached"

# https://docs.gitlab.com/runner/configuration/advanced-configuration/
CONFIGURATION = """
concurrent = 1
check_interval = 1
[[runners]]
name = "shell"
id = 1
url = {url}
token = {token}
executor = "shell"
shell = "bash"
builds_dir = {builds}
cache_dir = {cache}
environment = {environment}
"""


def find_gitlab_runner(cache: Path) -> Path:
    """Return the runner, which Go builds into a folder that outlives the tests, once for each text of its sources."""
    sources = sorted(path for path in SOURCES.rglob("*") if path.is_file())
    key = sha256(b"\0".join(b"%b\0%b" % (bytes(path.relative_to(SOURCES)), path.read_bytes()) for path in sources))
    program = cache / key.hexdigest()[:16] / "gitlab-runner"
    with FileLock(cache / "lock"):
        if not program.exists():
            new = program.with_suffix(".new")
            version = f"-X gitlab.com/gitlab-org/gitlab-runner/common.VERSION={VERSION}"
            run(find_go(), "build", "-trimpath", f"-ldflags=-s -w {version}", "-o", new, cwd=SOURCES)
            new.rename(program)
    return program


def find_go() -> str:
    """Return a Go that is new enough; from 1.21 on, it fetches the one that is asked for, unless told not to."""
    go = find_program("go", "install Go, which builds GitLab's own runner")
    declared = re.search(r"^go (\S+)$", (SOURCES / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    said = run(go, "env", "GOVERSION", cwd=SOURCES).strip()
    found = re.match(r"go([\d.]+)", said)
    assert declared
    if not found or numbers(found[1]) < numbers(declared[1]):
        raise MissingRequirementError(f"{said} is too old: install Go {declared[1]}, which builds GitLab's own runner")
    return go


def numbers(version: str) -> list[int]:
    """Return the numbers of a version."""
    return [int(number) for number in version.split(".")]


class Runner:
    """GitLab's own runner for a GitLab, within a `with` block; its jobs use the same folder, one after the other.

    They find what `executor` says: its PATH, and its variables, which the runner sets for each job.
    """

    def __init__(self, program: Path, folder: Path, gitlab: GitLab, executor: Executor) -> None:
        self.program = program
        self.folder = folder
        self.gitlab = gitlab
        self.executor = executor
        self._log = folder / "runner.log"

    def __enter__(self) -> Self:
        self.folder.mkdir()
        # A login shell sets PATH anew, and the runner sets it again.
        variables = {"PATH": self.executor.environment["PATH"], **self.executor.variables}
        configuration = self.folder / "config.toml"
        configuration.write_text(
            CONFIGURATION.format(
                # A string in JSON is one in TOML.
                url=json.dumps(self.gitlab.url),
                token=json.dumps(self.gitlab.runner_api.token),
                builds=json.dumps(str(self.folder / "builds")),
                cache=json.dumps(str(self.folder / "cache")),
                environment=json.dumps([f"{name}={value}" for name, value in variables.items()]),
            ),
            encoding="utf-8",
        )
        # What the tests run in is none of the jobs' business, nor is a job that runs the tests.
        ours = ("CI_", "GITLAB_", "GIT_", "PYTEST_", "PYTHON", "TOX_", "VIRTUAL_ENV")
        env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        command = [str(self.program), "run", f"--config={configuration}", f"--working-directory={self.folder}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**env, **self.executor.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def log(self) -> str:
        """What the runner says of itself."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """Fail if the runner has ended, or a job has reached what is not there."""
        for log in (self.log, *(build.log for build in self.gitlab.runner_api.builds)):
            assert REACHED not in log, log
        assert self._process.poll() is None, self.log
