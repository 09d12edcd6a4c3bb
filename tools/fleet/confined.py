"""Runs a program of Renovate's that runs code of the project, as uv does when it locks, where the bot's token is not.

Renovate alone would run it as the user of the job. What it makes is data: only files that git knows of are taken.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.fleet import stranger
from tools.fleet.data import plain
from tools.fleet.stranger import StrangerError
from tools.fleet.update import UpdateError, clone_project, git, tracked

HELP = "Run a program in a copy of the checkout, without tokens, and take the files that it has changed."
# Bytes of a file that is taken; a lock of hundreds of packages has about one million.
LARGEST = 50_000_000
# How to reach a package index, and what lets the program read there.
PASSED = re.compile(r"(HTTPS?|NO)_PROXY|UV_(DEFAULT_INDEX|EXTRA_INDEX_URL|INDEX|INDEX_\w+)", re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    parser.add_argument("program", help="its path")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="what it is given")


def main(arguments: argparse.Namespace) -> int:
    """Run the program; return its exit status."""
    try:
        return run(Path.cwd(), arguments.program, *arguments.words)
    except (StrangerError, UpdateError) as error:
        print("See docs/troubleshooting.md#fleet-run of py-ci-template", file=sys.stderr)
        print(f"{Path(arguments.program).name} was not run: {plain(str(error))}", file=sys.stderr)
        return 1


def run(folder: Path, *command: str) -> int:
    """Run a program in a copy of the checkout that a folder is in; return its exit status."""
    checkout = Path(git(folder, "rev-parse", "--show-toplevel").removesuffix("\n"))
    with TemporaryDirectory(prefix="py-ci-fleet-") as temporary:
        work, copy = Path(temporary), Path(temporary, "project")
        clone_project(checkout, copy)
        # Renovate has changed some, and not committed it.
        take_changed(checkout, copy)
        home, user = work / "home", stranger.new_user()
        home.mkdir()
        stranger.give(user, work)
        before = copy.lstat()
        env = {name: value for name, value in os.environ.items() if PASSED.fullmatch(name)}
        done = stranger.run(user, copy / folder.relative_to(checkout), home, command, env)
        for line in (done.stdout + done.stderr).splitlines():
            # In a comment of the bot GitLab would do what a line says that begins with a slash.
            print(f"{Path(command[0]).name}: {plain(line)}", file=sys.stderr)
        if done.returncode == 0 and os.path.samestat(before, copy.lstat()):
            take_changed(copy, checkout)
    return int(done.returncode)


def take_changed(source: Path, target: Path) -> None:
    """Write what is other in a source into the files of a checkout, nothing beyond a link, and nothing new."""
    for name in tracked(target):
        content, there = (stranger.read_plain(folder, name, LARGEST) for folder in (source, target))
        if content is not None and there is not None and content != there:
            (target / name).write_bytes(content)
