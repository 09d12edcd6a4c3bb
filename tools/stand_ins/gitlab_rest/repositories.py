"""What is in the repositories of projects: in git, or of projects that are many and never pushed to, in memory."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "GitLab"), ("EMAIL", "gitlab@example.org"))
}


class Entry(NamedTuple):
    """A file or folder of a tree, as `git ls-tree` says it."""

    mode: str
    kind: str
    id: str
    path: str


@dataclass(frozen=True)
class Snapshot:
    """The files of the default branch of a project, whose only commit has a number that follows from them."""

    files: Mapping[str, bytes]

    @property
    def commit(self) -> str:
        """The number of the commit."""
        return hashlib.sha1(repr(sorted(self.files.items())).encode(), usedforsecurity=False).hexdigest()

    def resolve(self, ref: str) -> str | None:
        """Return the commit of a name; all of them name the one."""
        return self.commit

    def read(self, ref: str, path: str) -> bytes | None:
        """Return the content of a file."""
        return self.files.get(path)

    def tree(self, ref: str) -> list[Entry]:
        """Return all files."""
        return [Entry("100644", "blob", blob(content), path) for path, content in sorted(self.files.items())]


@dataclass(frozen=True)
class GitRepository:
    """A repository of git, in the folder that has its `.git`."""

    folder: Path

    def git(self, *arguments: str, text: bytes = b"", check: bool = True) -> bytes:
        """Return what git prints; empty where it fails and need not succeed."""
        command = ("git", f"--git-dir={self.folder / '.git'}", *arguments)
        done = subprocess.run(command, input=text, capture_output=True, env={"PATH": "/usr/bin:/bin", **IDENTITY})
        assert done.returncode == 0 or not check, (command, done.stderr)
        return done.stdout if done.returncode == 0 else b""

    def resolve(self, ref: str) -> str | None:
        """Return the commit of a branch, a tag or a number."""
        return self.git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False).decode().strip() or None

    def read(self, ref: str, path: str) -> bytes | None:
        """Return the content of a file."""
        kind = self.git("cat-file", "-t", f"{ref}:{path}", check=False).strip()
        return self.git("cat-file", "blob", f"{ref}:{path}") if kind == b"blob" else None

    def tree(self, ref: str) -> list[Entry]:
        """Return all files and folders."""
        lines = self.git("ls-tree", "-r", "-t", "-z", "--full-tree", ref).decode().split("\0")
        parts = [re.fullmatch(r"(\d+) (\w+) (\w+)\t(.+)", line, re.DOTALL) for line in lines if line]
        return [Entry(*part.groups()) for part in parts if part]

    def branches(self) -> dict[str, str]:
        """Return the commits of all branches."""
        return self._refs("refs/heads")

    def tags(self) -> dict[str, str]:
        """Return the commits of all tags."""
        return self._refs("refs/tags")

    def _refs(self, kind: str) -> dict[str, str]:
        """Return the commits of references of a kind, by their names."""
        names = self.git("for-each-ref", "--format=%(refname:lstrip=2)", kind).decode().split()
        return {name: str(self.resolve(f"{kind}/{name}")) for name in names}

    def merged_tree(self, ours: str, theirs: str) -> str | None:
        """Return the tree of a merge; None where it conflicts."""
        return self.git("merge-tree", "--write-tree", ours, theirs, check=False).decode().strip() or None

    def merge(self, branch: str, source: str, message: str) -> str | None:
        """Merge a branch into another; return the new commit, or None where they conflict."""
        tree = self.merged_tree(branch, source)
        if tree is None:
            return None
        parents = ("-p", str(self.resolve(branch)), "-p", str(self.resolve(source)))
        commit = self.git("commit-tree", tree, *parents, "-m", message).decode().strip()
        self.git("update-ref", f"refs/heads/{branch}", commit)
        return commit


def blob(content: bytes) -> str:
    """Return the number that git gives to the content of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def new_repository(folder: Path, branch: str) -> GitRepository:
    """Make an empty repository that is pushed to."""
    command = ("git", "init", "--quiet", "--bare", f"--initial-branch={branch}", folder / ".git")
    subprocess.run(command, check=True)
    # https://docs.gitlab.com/topics/git/clone/#partial-clone
    subprocess.run(("git", "-C", folder / ".git", "config", "uploadpack.allowFilter", "true"), check=True)
    return GitRepository(folder)
