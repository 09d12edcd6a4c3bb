"""Builds GitLab's own runner."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from tools.commands import run
from tools.requirements import MissingRequirementError, find_program

SOURCES = Path(__file__).parent / "program"
# What its file VERSION says at the commit that go.mod pins; the linker writes it into the program.
# renovate: datasource=gitlab-releases depName=gitlab-org/gitlab-runner
VERSION = "19.4.0"


def find_gitlab_runner(cache: Path) -> Path:
    """Return the runner, which Go builds into a folder that outlives the tests, once for each text of its sources."""
    sources = sorted(path for path in SOURCES.rglob("*") if path.is_file())
    key = sha256(b"\0".join(b"%b\0%b" % (bytes(path.relative_to(SOURCES)), path.read_bytes()) for path in sources))
    program = cache / key.hexdigest()[:16] / "gitlab-runner"
    with FileLock(cache / "lock"):
        if not program.exists():
            new = program.with_suffix(".new")
            version = f"-X gitlab.com/gitlab-org/gitlab-runner/common.VERSION={VERSION}"
            command = (find_go(), "build", "-trimpath", f"-ldflags=-s -w {version}", "-o", new)
            # It needs no library, and so runs in any container.
            run(*command, cwd=SOURCES, env={**os.environ, "CGO_ENABLED": "0"})
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
