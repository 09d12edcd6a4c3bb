"""Commands that must succeed, git's among them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


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
    """Commit everything in a repository, whoever the machine thinks we are, and whatever their hooks want."""
    settings = ("user.name=Tester", "user.email=tester@example.com", "commit.gpgsign=false", "core.hooksPath=/dev/null")
    given = [word for setting in settings for word in ("-c", setting)]
    run("git", "add", "--all", cwd=repository)
    run("git", *given, "commit", "--quiet", "--allow-empty", "--message", message, cwd=repository)


def copy_working_tree(source: Path, folder: Path) -> None:
    """Copy the files of a repository as they are now, without those that git ignores."""
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=source).split("\0")
    for name in filter(None, names):
        if (source / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, folder / name)
