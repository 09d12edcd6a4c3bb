"""The repository of a project on this machine: its first commit, and the first push."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from tools.addresses import text_without_secrets
from tools.project.faults import UnusableError

PUBLIC_KEY = "cosign.pub"
# The variable that has it; no program that this one starts does.
TOKEN = "GITLAB_TOKEN"  # noqa: S105
# git asks it for a login. What git runs later, such as a hook, finds the token no more.
HELPER = '!f() {{ test "$1" != get || {{ echo username=oauth2; printf password=; cat {0}; rm -f {0}; }}; }}; f'
# Scheme or none, login, host, port and path of what git pushes to.
REMOTE = re.compile(r"(?:\w+://)?(?:[^/@]*@)?(?P<host>[^/:@]+)(?::\d+(?=/))?[:/]/*(?P<path>.+?)/*")


def tidy(text: str) -> str:
    """Return what git said, without a token or a login."""
    token = os.environ.get(TOKEN)
    return text_without_secrets(text.replace(token, "[MASKED]") if token else text).strip()


@dataclass(frozen=True)
class Repository:
    """The repository in the folder of a project."""

    folder: Path

    def ask(self, *question: str) -> str:
        """Return what git says, or nothing where it fails."""
        done = self._git(*question)
        return done.stdout.strip() if done.returncode == 0 else ""

    def run(self, *command: str) -> None:
        """Let git change something; raise UnusableError with what it said where it fails."""
        done = self._git(*command)
        if done.returncode:
            verb = next(word for word in command if word in ("init", "add", "commit", "remote", "push"))
            raise UnusableError("project-git", f"git {verb} failed:\n{tidy(done.stdout + done.stderr)}")

    def _git(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run git."""
        if not shutil.which("git"):
            raise UnusableError("project-git", "git is missing: install it first.")
        return subprocess.run(
            ("git", *words),
            cwd=self.folder,
            env={**{k: v for k, v in os.environ.items() if k != TOKEN}, "GIT_TERMINAL_PROMPT": "0"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )

    def check(self, server: str, path: str) -> None:
        """Raise UnusableError where the repository cannot be pushed to a project of a GitLab."""
        if self.ask("rev-parse", "--show-prefix") or not (self.folder / ".git").exists():
            raise UnusableError(
                "project-folder",
                f"{self.folder} is no repository of its own: run git init --initial-branch main in it.",
            )
        if not self.branch:
            raise UnusableError("project-git", "No branch is checked out: git switch main.")
        origin = self.ask("config", "--get", "remote.origin.url")
        found = REMOTE.fullmatch(origin.removesuffix(".git"))
        there = (found["host"], found["path"].lower()) if found else ("", "")
        host, below = str(urlsplit(server).hostname), urlsplit(server).path.strip("/")
        # Over HTTP an address has the path below which GitLab is, if there is one.
        paths = [each.strip("/").lower() for each in (path, f"{below}/{path}")]
        if origin and (there[1] not in paths or not f".{there[0]}".endswith(f".{host}")):
            raise UnusableError(
                "project-remote", f"origin is {tidy(origin)}, not {path} on {host}: git remote rename origin upstream."
            )

    @property
    def branch(self) -> str:
        """The branch that is checked out."""
        return self.ask("symbolic-ref", "--quiet", "--short", "HEAD")

    @property
    def head(self) -> str:
        """The commit that is checked out, or nothing."""
        return self.ask("rev-parse", "--quiet", "--verify", "HEAD")

    @property
    def roots(self) -> list[str]:
        """The first commits."""
        return self.ask("rev-list", "--max-parents=0", "HEAD").split()

    def has_public_key(self) -> bool:
        """Tell whether the public key is committed."""
        return bool(self.ask("rev-parse", "--quiet", "--verify", f"HEAD:./{PUBLIC_KEY}"))

    def commit(self) -> None:
        """Commit all where nothing ever was; else only a public key that is new."""
        if not self.head:
            self.run("add", "--all")
            self.run("commit", "--quiet", "--message", "Create the project")
        elif (self.folder / PUBLIC_KEY).exists() and not self.has_public_key():
            self.run("add", PUBLIC_KEY)
            message = "Add the public key of releases"
            self.run("commit", "--quiet", "--message", message, "--only", "--", PUBLIC_KEY)

    def push(self, server: str, address: str) -> None:
        """Push the branch for the first time, with the token where that is over HTTP; never by force."""
        if not self.ask("config", "--get", "remote.origin.url"):
            self.run("remote", "add", "origin", address)
        setting = f"credential.{server}.helper"
        with TemporaryDirectory() as folder:
            token = Path(folder, "token")
            helpers = ("-c", f"{setting}=", "-c", f"{setting}={HELPER.format(shlex.quote(token.as_posix()))}")
            # Over SSH nobody would ask for it.
            if self.ask("remote", "get-url", "--push", "origin").startswith(f"{server}/"):
                token.touch(mode=0o600)
                token.write_text(f"{os.environ[TOKEN]}\n", encoding="utf-8")
            self.run(*helpers, "push", "--quiet", "--set-upstream", "origin", f"HEAD:refs/heads/{self.branch}")
