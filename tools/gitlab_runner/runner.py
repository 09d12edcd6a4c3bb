"""Runs GitLab's own runner: with the shell executor, or with that of Docker."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w

from tools.gitlab_runner.engine import HELPER, Engine
from tools.runner import Executor
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.images import CAPABILITIES, passed_on, trusted_paths

# How a stub ends the program.
REACHED = "a stub was reached"


@dataclass(frozen=True)
class User:
    """Who runs the runner and its jobs: a number, which may have no name, and a home, which may not be there."""

    number: int
    home: Path


class Runner:
    """GitLab's own runner for a GitLab, within a `with` block; it runs `concurrent` jobs at once.

    Its jobs use the same folder, one after the other. They find what `executor` says: its variables, and in a shell
    its PATH. With an `engine` each has a container of its image, where `volumes` are too, and what is
    `writable`; without, they run as `user`, or as who runs this.
    """

    def __init__(
        self,
        program: Path,
        folder: Path,
        gitlab: GitLab,
        executor: Executor,
        *,
        engine: Engine | None = None,
        volumes: tuple[Path, ...] = (),
        writable: tuple[Path, ...] = (),
        user: User | None = None,
        concurrent: int = 1,
    ) -> None:
        self.program = program
        self.folder = folder
        self.gitlab = gitlab
        self.executor = executor
        self.engine = engine
        self.volumes = volumes
        self.writable = writable
        self.user = user
        self.concurrent = concurrent
        self.token = gitlab.runner_api.register()
        self._log = folder / "runner.log"

    def __enter__(self) -> Self:
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True)
        configuration = self.folder / "config.toml"
        configuration.write_text(tomli_w.dumps(self._configuration()), encoding="utf-8")
        # What the tests run in is none of the jobs' business, nor is a job that runs the tests.
        ours = ("CI_", "GITLAB_", "GIT_", "PYTEST_", "PYTHON", "TOX_", "VIRTUAL_ENV")
        env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        env |= self.executor.environment
        # A login shell reads what is in the home, such as a person's `.bashrc`.
        env["HOME"] = str(self.user.home if self.user else self.folder)
        # A pytest in a job takes away everybody's right to pass `pytest-of-root` of the folder that it finds here.
        env["TMPDIR"] = str(temporary)
        who: dict[str, Any] = {}
        if self.user:
            who = {"user": self.user.number, "group": self.user.number, "extra_groups": []}
            for path in (self.folder, temporary, configuration):
                os.chown(path, self.user.number, self.user.number)
        command = [str(self.program), "run", f"--config={configuration}", f"--working-directory={self.folder}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **who
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def _configuration(self) -> dict[str, Any]:
        """Return its settings: https://docs.gitlab.com/runner/configuration/advanced-configuration/"""
        variables = dict(self.executor.variables)
        how: dict[str, Any]
        if self.engine:
            variables |= passed_on()
            docker = {
                "host": self.engine.address,
                # None of the jobs of ours is without one.
                "image": "none",
                "helper_image": HELPER,
                "pull_policy": "if-not-present",
                # Reaches the servers of the tests.
                "network_mode": "host",
                "volumes": [
                    "/cache",
                    *(f"{path}:{path}:ro" for path in (*trusted_paths(), *self.volumes)),
                    *(f"{path}:{path}" for path in self.writable),
                ],
                # What docs/image.md says that a job needs which builds an image; others need less.
                "cap_drop": ["ALL"],
                "cap_add": CAPABILITIES,
                "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
            }
            how = {"executor": "docker", "docker": docker}
        else:
            # A login shell sets PATH anew, and the runner sets it again.
            variables = {"PATH": self.executor.environment["PATH"], **variables}
            how = {"executor": "shell", "shell": "bash", "builds_dir": str(self.folder / "builds")}
        runner = {
            "name": self.folder.name,
            "id": 1,
            "url": self.gitlab.url,
            "token": self.token,
            "environment": [f"{name}={value}" for name, value in variables.items()],
            **how,
        }
        return {"concurrent": self.concurrent, "check_interval": 1, "runners": [runner]}

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """What the runner says of itself."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """Fail if the runner has ended, or a job has reached what is not there."""
        for log in (self.log, *(build.log for build in self.gitlab.runner_api.builds)):
            assert REACHED not in log, log
        assert self.is_alive, self.log


NewRunner = Callable[..., Runner]
