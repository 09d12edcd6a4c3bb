"""A runner with the shell executor that has next to nothing: a user without rights, Python, git and coreutils."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.runner import Executor

# A user ID that owns nothing; each worker has its own.
USER = 60_000 + os.getpid() % 5_000

COREUTILS = (
    "basename cat chmod cp cut date dirname echo env expr false head id ln ls mkdir mktemp mv printf pwd readlink"
    " realpath rm rmdir sha256sum sleep sort stat tail tee test touch tr true uname uniq wc"
)

# What a runner calls bash is no bash, and gives up all rights before it runs a job.
SHELL = """#!/bin/sh
if [ "$({busybox} id -u)" = 0 ]; then
  {busybox} mkdir -p .gitlab-ci-local/tmp
  {busybox} chown -R {user}:{user} .gitlab-ci-local/builds .gitlab-ci-local/tmp
  export HOME=/nonexistent TMPDIR="$PWD/.gitlab-ci-local/tmp"
  exec {setpriv} --reuid={user} --regid={user} --clear-groups --no-new-privs {busybox} ash "$@"
fi
exec {busybox} ash "$@"
"""


def version_of(python: Path) -> str:
    """Return a Python's version as the project names it: 3.11."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, encoding="utf-8").stdout.strip()


def bare_executor(folder: Path, python: Path, busybox: str, setpriv: str) -> Executor:
    """Make a folder with the only programs that jobs find; return a runner whose jobs run as nobody in particular.

    The user must be able to reach the folder, and the project: see `make_traversable`.
    """
    programs = folder / "programs"
    programs.mkdir(parents=True)
    for name in ["git", *COREUTILS.split()]:
        (programs / name).symlink_to(str(shutil.which(name)))
    for name in ("python3", f"python{version_of(python)}"):
        (programs / name).symlink_to(python)
    shell = programs / "bash"
    shell.write_text(SHELL.format(user=USER, setpriv=setpriv, busybox=busybox), encoding="utf-8")
    shell.chmod(0o755)
    return Executor(variables={"PATH": str(programs)})


def make_traversable(top: Path, folder: Path) -> None:
    """Let any user pass through from one folder of ours to another below it."""
    for parent in [folder, *folder.parents]:
        if parent.is_relative_to(top):
            parent.chmod(parent.stat().st_mode | 0o011)


def owned_outside(project: Path) -> set[str]:
    """Return what the user owns outside a project, in the places where everybody may write."""
    found: set[str] = set()
    for place in filter(Path.exists, map(Path, ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"))):  # noqa: S108
        command = ["find", str(place), "-path", str(project), "-prune", "-o", "-user", str(USER), "-print"]
        found |= set(subprocess.run(command, capture_output=True, encoding="utf-8").stdout.splitlines())
    return found
