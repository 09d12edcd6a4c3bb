"""The template: its releases, and what it makes of answers, to be compared with the files of a project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.addresses import text_without_secrets
from tools.fleet import stranger
from tools.fleet.data import VERSION, FleetError, Release, order, plain
from tools.fleet.stranger import StrangerError

RENDERER = Path(__file__).with_name("rendering.py")
# Seconds that a project may take to be rendered.
LONGEST = 20


class Template:
    """A clone of the template, without its files."""

    def __init__(self, address: str, folder: Path) -> None:
        # It is shown to people, and git has it with what may be a token.
        self.address = text_without_secrets(address)
        self.folder = folder
        env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh"}
        # Who may push other branches gets no code to run here; a tag may be of one that mends an older release.
        for command in (
            ("clone", "--quiet", "--bare", "--single-branch", "--", address, str(folder)),
            (f"--git-dir={folder}", "fetch", "--quiet", "--tags", "origin"),
        ):
            done = subprocess.run(
                ("git", *access(), *command),
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
            )
            if done.returncode:
                said = plain(text_without_secrets((done.stderr.strip().splitlines() or ["git failed"])[-1]))
                raise FleetError("fleet-template", f"The template cannot be cloned from {self.address}: {said}")
        self.releases = self._releases()
        self._versions = {each["commit"]: each["version"] for each in self.releases}

    def git(self, *arguments: str) -> str:
        """Return what git prints; nothing where it fails."""
        command = ("git", f"--git-dir={self.folder}", *arguments)
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        ).stdout

    def _releases(self) -> list[Release]:
        """Return the releases, oldest first."""
        wanted = "--format=%(refname:lstrip=2) %(creatordate:iso-strict) %(objectname) %(*objectname)"
        found = []
        for line in self.git("for-each-ref", wanted, "refs/tags").splitlines():
            name, at, own, commit = line.split(" ")
            if VERSION.fullmatch(name):
                found.append(Release(version=name, commit=commit or own, at=at))
        return sorted(found, key=lambda each: order(each["version"]))

    @cache  # noqa: B019
    def version_at(self, commit: str) -> str | None:
        """Return the newest release that a commit holds; None where it holds none, or is not the template's."""
        if commit in self._versions:
            return self._versions[commit]
        names = self.git("tag", "--merged", commit).split()
        return max((name for name in names if VERSION.fullmatch(name)), key=order, default=None)

    @cache  # noqa: B019
    def has(self, commit: str) -> bool:
        """Tell whether a commit is the template's."""
        return bool(self.git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"))

    def render(self, commit: str, answers: Sequence[dict[str, Any]], python: str = sys.executable) -> list[Any]:
        """Return for each set of answers the files of its project with their numbers in git, or why there are none.

        Code of the template runs then, as a user without rights: one with the rights of this program could read its
        token.
        """
        if os.geteuid():
            return ["not compared: only root can let the template run as another user"] * len(answers)
        with TemporaryDirectory(prefix="py-ci-fleet-") as folder:
            work = Path(folder)
            clone = ("git", "clone", "--quiet", "--no-local", "--no-checkout", self.folder, work / "template")
            subprocess.run(clone, check=True, stdin=subprocess.DEVNULL)
            subprocess.run(("git", "checkout", "--quiet", "--detach", commit), cwd=work / "template", check=True)
            # Files of projects have its address.
            subprocess.run(
                ("git", "remote", "set-url", "--", "origin", self.address), cwd=work / "template", check=True
            )
            home, user = work / "home", stranger.new_user()
            home.mkdir()
            (work / "rendering.py").write_bytes(RENDERER.read_bytes())
            stranger.give(user, work)
            longest = 60 + LONGEST * len(answers)
            try:
                command = (python, "-P", work / "rendering.py")
                done = stranger.run(user, work / "template", home, command, text=json.dumps(answers), longest=longest)
                return checked(done.stdout, len(answers))
            except (StrangerError, ValueError, LookupError, TypeError, RecursionError):
                return ["not compared: the template could not be rendered by a user without rights"] * len(answers)


def checked(printed: str, wanted: int) -> list[Any]:
    """Return what the renderer has printed last; raise an error where code of the template has spoiled it."""
    found = json.loads(printed.splitlines()[-1])
    if not (isinstance(found, list) and len(found) == wanted):
        raise ValueError
    for each in found:
        if isinstance(each, dict):
            if not all(isinstance(value, str) and re.fullmatch("[0-9a-f]{40}", value) for value in each.values()):
                raise ValueError
        elif not isinstance(each, str):
            raise TypeError
    return [each if isinstance(each, dict) else plain(each)[:200] for each in found]


def access() -> list[str]:
    """Return the options with which git gives the job's token to this GitLab, when it asks, and to no other server.

    The job drift has the same, in a file of its own.
    """
    server = os.environ.get("CI_SERVER_URL")
    if not server or "CI_JOB_TOKEN" not in os.environ:
        return []
    helpers = ["", '!f() { echo username=gitlab-ci-token; echo "password=$CI_JOB_TOKEN"; }; f']
    return [word for helper in helpers for word in ("-c", f"credential.{server}.helper={helper}")]
