"""Runs code of others as a user of its own, without tokens and within limits, until nothing of it is left.

Where this is root, each run has another user: two runs share no process, no file and no right. Without root there is no
second user, and only what the code has left running is ended, as far as it did not hide.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Numbers that images and machines give to nobody, and that a container has without root on its machine too.
USERS = range(20_000, 60_000)
# Seconds for a program; Renovate ends what runs it after 15 minutes.
LONGEST = 600
# Seconds in which what was killed is gone.
PATIENCE = 20
# Bytes that a program may print, that one file may have, and that it may take of a disk; and how many files, and
# processes.
PRINTED, FILE, DISK, FILES, PROCESSES = 20_000_000, 2 * 2**30, 4 * 2**30, 500_000, 500
# Where everybody may write, beside what a run is given.
SHARED = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108
# What a program needs to run, and nothing else of what this one knows.
PASSED = ("LANG", "LC_ALL", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE")
# https://man7.org/linux/man-pages/man2/prctl.2.html
SET_CHILD_SUBREAPER = 36
# Becomes a user, where this is root. All is imported before: the user may not be able to read this Python.
BECOMES = """
import ast, ctypes, os, resource, signal, sys, warnings
user = int(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
"""
# Then runs a program with limits, to which no other gives more rights: PR_SET_NO_NEW_PRIVS.
LIMITED = """
for name, most in ast.literal_eval(sys.argv[2]).items():
    try:
        resource.setrlimit(getattr(resource, name), (most, most))
    except ValueError:
        pass
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
try:
    os.execvp(sys.argv[3], sys.argv[3:])
except OSError as error:
    print(f"a user without rights may not run {sys.argv[3]} ({error.strerror})", file=sys.stderr)
    sys.exit(126)
"""
# Or ends all that the user runs at once, so that none of it sees another one go.
ENDS = """
if user and os.getuid() == user:
    os.kill(-1, signal.SIGKILL)
"""


class StrangerError(Exception):
    """The code of others was stopped, or could not be; the message says why, in a line."""


class Done(NamedTuple):
    """What a program has printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


def new_user() -> int:
    """Return the number of a user who has nothing yet; that of this one where it is not root."""
    if os.geteuid():
        return os.geteuid()
    while True:
        user = USERS[secrets.randbelow(len(USERS))]
        with suppress(KeyError):
            pwd.getpwuid(user)
            continue
        if not processes_of(user):
            return user


def give(user: int, *folders: Path) -> None:
    """Give folders with all that is in them to a user, where this is root."""
    if os.geteuid() == 0:
        for folder in folders:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user, user, follow_symlinks=False)


def run(
    user: int,
    folder: Path,
    home: Path,
    command: Sequence[str | Path],
    more: Mapping[str, str] | None = None,
    *,
    text: str = "",
    longest: float = LONGEST,
) -> Done:
    """Run a program in a folder, with more in its environment and a text on its standard input, and end all it started.

    Raises StrangerError where it reached a limit, or something of it goes on.
    """
    env = {name: value for name, value in os.environ.items() if name in PASSED}
    # The last line of an error is said: it is not to be broken.
    env |= {"HOME": str(home), "TMPDIR": str(home), "GIT_CONFIG_NOSYSTEM": "1", "COLUMNS": "1000", **(more or {})}
    # What it leaves running become children of this one.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Only who has a user of its own is counted alone.
    limits = {"RLIMIT_FSIZE": FILE, "RLIMIT_CORE": 0, **({} if os.geteuid() else {"RLIMIT_NPROC": PROCESSES})}
    process = subprocess.Popen(
        (sys.executable, "-I", "-S", "-c", BECOMES + LIMITED, str(user), repr(limits), *map(str, command)),
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        done = listen(process, folder, text.encode(), longest)
    finally:
        end(user, process)
        forget(user)
    if done.returncode == 126 and done.stderr.startswith("a user without rights may not run "):
        raise StrangerError(f"{done.stderr.strip()}; install it where everybody may read")
    return done


def listen(process: subprocess.Popen[bytes], folder: Path, text: bytes, longest: float) -> Done:
    """Return what a program prints until it ends; raise StrangerError as soon as it reaches a limit."""
    stdin, stdout, stderr = (pipe.fileno() for pipe in (process.stdin, process.stdout, process.stderr) if pipe)
    os.set_blocking(stdin, False)
    printed = {stdout: b"", stderr: b""}
    before, give_up = os.statvfs(folder), time.monotonic() + longest
    with selectors.DefaultSelector() as selector:
        for pipe in printed:
            selector.register(pipe, selectors.EVENT_READ)
        if text:
            selector.register(stdin, selectors.EVENT_WRITE)
        elif process.stdin:
            process.stdin.close()
        while process.poll() is None or selector.get_map():
            for key, _ in selector.select(0.2):
                if key.fd == stdin:
                    with suppress(BlockingIOError, BrokenPipeError):
                        text = text[os.write(stdin, text) :]
                        if text:
                            continue
                    selector.unregister(stdin)
                    if process.stdin:
                        process.stdin.close()
                    continue
                part = os.read(key.fd, 65536)
                printed[key.fd] += part
                if not part:
                    selector.unregister(key.fd)
            now = os.statvfs(folder)
            taken = (before.f_bfree - now.f_bfree) * now.f_frsize
            if sum(map(len, printed.values())) > PRINTED:
                raise StrangerError(f"it printed more than {PRINTED} bytes")
            if taken > DISK or before.f_ffree - now.f_ffree > FILES:
                raise StrangerError(f"it wrote more than {DISK} bytes or {FILES} files")
            if time.monotonic() > give_up:
                raise StrangerError(f"it did not end in {longest:.0f} seconds, as code of others went on")
            # What it has left running may hold the pipes.
            if process.poll() is not None and not selector.select(0):
                break
    out, err = (content.decode("utf-8", "surrogateescape") for content in printed.values())
    return Done(process.returncode, out, err)


def processes_of(user: int) -> list[int]:
    """Return the processes that have a user in any way, those that have ended and are still listed too."""
    found = []
    for told in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            lines = told.read_text(encoding="utf-8", errors="replace").splitlines()
            users = next((line.split()[1:] for line in lines if line.startswith("Uid:")), [])
            if str(user) in users:
                found.append(int(told.parent.name))
    return found


def children() -> list[int]:
    """Return the processes whose parent is this one."""
    found = []
    for told in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of a process, in parentheses, may hold any.
            if int(told.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(told.parent.name))
    return found


def end(user: int, process: subprocess.Popen[bytes]) -> None:
    """Kill all that a user runs; raise StrangerError where something is left, which would read what comes next.

    One that another traces goes when that has gone: so nothing is waited for by itself.
    """
    give_up = time.monotonic() + PATIENCE
    alone = os.geteuid() == 0
    if alone:
        kill_as(user)
    while True:
        left = processes_of(user) if alone else [number for number in children() if number != process.pid]
        if process.poll() is None and process.pid not in left:
            left.append(process.pid)
        if not left:
            break
        if time.monotonic() > give_up:
            raise StrangerError(f"{len(left)} of its processes cannot be ended: stop this job")
        if alone:
            kill_as(user)
        for number in left:
            with suppress(OSError):
                os.kill(number, signal.SIGKILL)
            if number != process.pid:
                with suppress(ChildProcessError):
                    os.waitpid(number, os.WNOHANG)
        time.sleep(0.02)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with suppress(OSError):
                pipe.close()


def kill_as(user: int) -> None:
    """Kill all processes of a user at once, so that none sees another one go: https://man7.org/linux/man-pages/man2/kill.2.html"""
    subprocess.run((sys.executable, "-I", "-S", "-c", BECOMES + ENDS, str(user)), check=False)


def forget(user: int) -> None:
    """Remove what a user has left where everybody may write."""
    if os.geteuid():
        return
    for place in map(Path, SHARED):
        for path in [*place.glob("*"), *place.glob(".*")]:
            with suppress(OSError):
                if path.lstat().st_uid == user:
                    (shutil.rmtree if stat.S_ISDIR(path.lstat().st_mode) else os.unlink)(path)


def read_plain(folder: Path, name: str, most: int) -> bytes | None:
    """Return what is in a file below a folder, which is opened once, and never through a link.

    Nothing is returned of anything else than a file of its own, without another name, of at most so many bytes.
    """
    opened = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)]
    try:
        *parents, last = name.split("/")
        for part in parents:
            opened.append(os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
        # A pipe would keep who opens it waiting.
        opened.append(os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened[-1]))
        told = os.fstat(opened[-1])
        if not stat.S_ISREG(told.st_mode) or told.st_nlink != 1 or told.st_size > most:
            return None
        content = b""
        while len(content) <= most and (part_read := os.read(opened[-1], 1_000_000)):
            content += part_read
        return content if len(content) <= most else None
    except OSError:
        return None
    finally:
        for descriptor in opened:
            os.close(descriptor)
