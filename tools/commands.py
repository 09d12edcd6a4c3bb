"""Commands that must succeed, git's among them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tools.options import ROOT


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a command with standard input closed; return its output; fail with it where it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def commit_all(repository: Path, message: str = "Commit") -> None:
    """Commit everything in a repository, whoever the machine thinks we are."""
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com", "-c", "commit.gpgsign=false")
    run("git", "add", "--all", cwd=repository)
    run("git", *identity, "commit", "--quiet", "--allow-empty", "--message", message, cwd=repository)
