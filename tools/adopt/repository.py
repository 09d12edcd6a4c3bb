"""A clone as its last commit has it: files are read from git, and a commit is made without touching the folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

# Metadata is smaller.
LONGEST = 1_000_000
PLAIN = ("100644", "100755")


class RefusedError(Exception):
    """Nothing is done: the name of the paragraph about it, and a line that says what to do."""

    def __init__(self, paragraph: str, message: str) -> None:
        super().__init__(message)
        self.paragraph = paragraph


class GitError(Exception):
    """What git said before it failed."""


def git(folder: Path, *words: str, given: str = "", **variables: str) -> str:
    """Return what git prints in a folder, without credentials that it would have to ask for on a terminal.

    No hook runs: what is done here is no work of a person that a hook would judge.
    """
    # Inside a hook of git these name another repository; and no token is needed.
    left_out = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GITLAB_TOKEN")
    ours = {k: v for k, v in os.environ.items() if k not in left_out}
    done = subprocess.run(
        ["git", "-c", f"core.hooksPath={os.devnull}", *words],
        cwd=folder,
        env={**ours, **variables},
        input=given.encode(),
        capture_output=True,
    )
    # Whatever ends a line stays as it is.
    if done.returncode:
        raise GitError((done.stderr or done.stdout).decode("utf-8", "replace").strip())
    return done.stdout.decode("utf-8", "surrogateescape")


class Repository:
    """The clone in a folder."""

    def __init__(self, folder: Path) -> None:
        try:
            self.folder = Path(git(folder, "rev-parse", "--show-toplevel").removesuffix("\n"))
            self._entries = self._listed()
            changed = git(self.folder, "status", "--porcelain", "--untracked-files=no")
        except (GitError, OSError):
            raise RefusedError(
                "adopt-repository", f"{folder} is no git repository with a commit: run this in a clone of the project."
            ) from None
        if changed:
            raise RefusedError("adopt-repository", "There are changes that are not committed: commit or stash them.")

    def _listed(self) -> dict[str, tuple[str, str]]:
        lines = git(self.folder, "ls-tree", "-r", "-z", "HEAD").split("\0")
        entries = (line.partition("\t") for line in lines if line)
        return {path: (about.split()[0], about.split()[2]) for about, _, path in entries}

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    @property
    def paths(self) -> list[str]:
        """What is in the commit."""
        return sorted(self._entries)

    def read(self, path: str) -> str | None:
        """Return the text of a plain file of the commit; None where there is none, a link, or no text."""
        mode, blob = self._entries.get(path, ("", ""))
        if mode not in PLAIN or int(git(self.folder, "cat-file", "-s", blob)) > LONGEST:
            return None
        text = git(self.folder, "cat-file", "blob", blob)
        return text if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text) else None

    def remote(self) -> str:
        """Return the address of the remote `origin`, or nothing."""
        return self.setting("remote.origin.url")

    def setting(self, name: str) -> str:
        """Return a setting of git, or nothing."""
        try:
            return git(self.folder, "config", "--get", name).strip()
        except GitError:
            return ""

    def refuse_to_overwrite(self, path: str) -> None:
        """Refuse where a new file would take the place of something, or go through a link."""
        parts = path.split("/")
        taken = next((part for n in range(1, len(parts) + 1) if (part := "/".join(parts[:n])) in self), None)
        if taken or any(each.startswith(f"{path}/") for each in self._entries):
            raise RefusedError(
                "adopt-files", f"The repository has {taken or path} already, which nothing here overwrites: rename it."
            )

    def commit(self, files: Mapping[str, str], message: str) -> str:
        """Make a commit on top of the last one with these files; return its name.

        The same change gives the same commit, so that it can be proposed again.
        """
        lines = []
        for path, text in files.items():
            mode = self._entries.get(path, ("100644", ""))[0]
            blob = git(self.folder, "hash-object", "-w", "--stdin", given=text).strip()
            lines.append(f"{mode} {blob}\t{path}")
        with TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            git(self.folder, "read-tree", "HEAD", **index)
            git(self.folder, "update-index", "--index-info", given="".join(f"{line}\n" for line in lines), **index)
            tree = git(self.folder, "write-tree", **index).strip()
        when = git(self.folder, "log", "-1", "--format=%cI").strip()
        dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        try:
            return git(self.folder, "commit-tree", tree, "-p", "HEAD", given=message, **dates).strip()
        except GitError as failed:
            raise RefusedError("adopt-branch", f"git made no commit: {str(failed).splitlines()[-1]}") from None

    def make_branch(self, name: str, commit: str) -> None:
        """Give the commit a branch; refuse where one of that name has another."""
        try:
            there = git(self.folder, "rev-parse", "--verify", "--quiet", f"refs/heads/{name}").strip()
        except GitError:
            git(self.folder, "branch", "--no-track", name, commit)
            return
        if there != commit:
            raise RefusedError("adopt-branch", f"There is a branch {name} with something else: delete or rename it.")

    def propose(self, name: str, title: str) -> str:
        """Push the branch, and have GitLab open a merge request where there is none; return what git said.

        https://docs.gitlab.com/topics/git/commit/#push-options-for-merge-requests
        """
        ref = f"refs/heads/{name}"
        unsent = f"The branch {name} is here, but was not pushed."
        try:
            there = git(self.folder, "ls-remote", "origin", ref).partition("\t")[0]
            # Where there is nothing to send, git writes the options to a reader that may have gone, and dies of it.
            if there == git(self.folder, "rev-parse", ref).strip():
                return ""
        except GitError as failed:
            raise RefusedError("adopt-branch", f"{failed}\n{unsent}") from None
        if there:
            raise RefusedError("adopt-branch", f"origin has a branch {name} with something else: delete or rename it.")
        options = ("merge_request.create", f"merge_request.title={title}")
        given = [word for option in options for word in ("--push-option", option)]
        done = subprocess.run(
            ["git", "push", *given, "origin", ref],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode:
            raise RefusedError("adopt-branch", f"{done.stderr.strip()}\n{unsent}")
        return done.stderr.strip()
