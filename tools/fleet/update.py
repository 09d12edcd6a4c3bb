"""Brings a release of the template into a checkout, for Renovate, which then commits what has changed.

cruft renders both versions, and code of the template runs then: in clones without credentials, and as a stranger. What
it made is data: files are taken from there when nothing of it runs any more, and no git is asked in a repository that
it could change.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.addresses import place, text_without_secrets, without_secrets
from tools.fleet import stranger
from tools.fleet.data import plain
from tools.fleet.stranger import StrangerError

HELP = "Bring a release of the template into the checkout in the current folder."
LINK = ".cruft.json"


class UpdateError(Exception):
    """The checkout could not be updated; the message says why, in a line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    parser.add_argument("--to", required=True, metavar="VERSION", help="the tag of the release")
    template = os.environ.get("PY_CI_TEMPLATE")
    said = "the only template whose code may run; without it, PY_CI_TEMPLATE says it"
    parser.add_argument("--template", default=template, required=template is None, metavar="ADDRESS", help=said)


def main(arguments: argparse.Namespace) -> int:
    """Update the checkout; return the exit status, 1 where people have to look at files."""
    try:
        conflicts = update(Path.cwd(), arguments.template, arguments.to)
    except UpdateError as error:
        print("See docs/troubleshooting.md#fleet-update of py-ci-template", file=sys.stderr)
        print(f"The update to {arguments.to} could not be made: {plain(str(error))}", file=sys.stderr)
        return 1
    for name in conflicts:
        # In a comment of the bot GitLab would do what a line says that begins with a slash.
        print(f"Conflict: both the template and the project have changed {plain(name)}", file=sys.stderr)
    return 1 if conflicts else 0


def update(checkout: Path, template: str, version: str) -> list[str]:
    """Bring the release into the files of the checkout, none of it staged; return the files with conflicts."""
    # Renovate has written the version there already.
    git(checkout, "checkout", "--quiet", "HEAD", "--", LINK)
    link = read_link(checkout)
    linked = str(link["template"])
    origin = without_secrets(linked)
    if origin is None or place(linked) != place(template):
        raise UpdateError(f"{LINK} names another template, {text_without_secrets(linked)}")
    with TemporaryDirectory(prefix="py-ci-fleet-") as folder:
        work = Path(folder)
        clone_project(checkout, work / "project")
        for name in tracked(checkout):
            if not alike(checkout / name, work / "project" / name):
                raise UpdateError(f"{name} has changes that are not committed")
        clone_template(template, work / "template")
        if not has_commit(work / "template", str(link["commit"])):
            raise UpdateError(f"the template has no commit {link['commit']}, which {LINK} names")
        # The project was made with this address in its files.
        git(work / "template", "remote", "add", "--", "origin", origin)
        home, user = work / "home", stranger.new_user()
        home.mkdir()
        stranger.give(user, work)
        project = (work / "project").lstat()
        renders = (sys.executable, "-P", "-m", "cruft", "update", "--skip-apply-ask", "--checkout", version)
        ask_stranger(user, work / "project", home, *renders, "--template-path", str(work / "template"))
        unmerged = ask_stranger(user, work / "project", home, "git", "diff", "--name-only", "--diff-filter=U", "-z")
        if not os.path.samestat(project, (work / "project").lstat()):
            raise UpdateError("the template has put another folder in the place of the project")
        take_files(work / "project", checkout)
        rejected = [f"{path.relative_to(work / 'project')}"[:-4] for path in sorted((work / "project").rglob("*.rej"))]
    mend_link(checkout, version)
    return sorted({*filter(None, unmerged.split("\0")), *rejected})


def git(folder: Path, *arguments: str, text: str = "") -> str:
    """Return what git prints; raise UpdateError where it fails."""
    done = subprocess.run(
        ("git", *arguments), cwd=folder, input=text, capture_output=True, encoding="utf-8", errors="surrogateescape"
    )
    if done.returncode:
        raise UpdateError(f"git {arguments[0]} failed: {last_line(done.stderr)}")
    return done.stdout


def last_line(text: str) -> str:
    """Return the last line of what a program has said."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def read_link(checkout: Path) -> dict[str, object]:
    """Return the link to the template."""
    if (checkout / LINK).is_symlink():
        raise UpdateError(f"{LINK} is a symbolic link; take it back from an earlier commit")
    try:
        link = json.loads((checkout / LINK).read_text(encoding="utf-8"))
        if isinstance(link["template"], str) and isinstance(link["commit"], str):
            return dict(link)
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise UpdateError(f"{LINK} is not as cruft writes it; take it back from an earlier commit")


def clone_project(checkout: Path, folder: Path) -> None:
    """Make a clone of the checkout that has no credentials, and all files of the past: git merges with them.

    Renovate clones without them, and git fetches one when it is needed.
    """
    lines = git(checkout, "rev-list", "--objects", "--missing=print", "HEAD").splitlines()
    missing = "".join(f"{line[1:]}\n" for line in lines if line.startswith("?"))
    if missing:
        git(checkout, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--stdin", "origin", text=missing)
    git(checkout, "clone", "--quiet", "--no-local", "--no-checkout", ".", str(folder))
    git(folder, "remote", "remove", "origin")
    git(folder, "checkout", "--quiet", "--detach", git(checkout, "rev-parse", "HEAD").strip())


def tracked(checkout: Path) -> list[str]:
    """Return the files that git knows of."""
    return [name for name in git(checkout, "ls-files", "-z").split("\0") if name]


def alike(one: Path, other: Path) -> bool:
    """Tell whether two files are the same, or two links; what a folder holds is not looked at."""
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    if one.is_file() and other.is_file():
        return one.read_bytes() == other.read_bytes()
    return one.is_dir() == other.is_dir() and one.exists() == other.exists()


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def clone_template(address: str, folder: Path) -> None:
    """Clone the default branch and the tags of the template: who may push other branches gets no code to run here."""
    git(folder.parent, "clone", "--quiet", "--single-branch", "--", address, str(folder))
    git(folder, "fetch", "--quiet", "--tags", "origin")
    # Its address may hold a token, which code of the template could read there.
    git(folder, "remote", "remove", "origin")


def has_commit(folder: Path, commit: str) -> bool:
    """Tell whether a commit is in a clone."""
    command = ("git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    return not subprocess.run(command, cwd=folder, capture_output=True).returncode


def ask_stranger(user: int, folder: Path, home: Path, *command: str) -> str:
    """Return what a program prints that runs code of the template; raise UpdateError where it fails."""
    try:
        done = stranger.run(user, folder, home, command)
    except StrangerError as error:
        raise UpdateError(f"{' '.join(command[-6:])}: {error}") from None
    if done.returncode:
        raise UpdateError(f"{' '.join(command[-6:])}: {last_line(done.stderr)}")
    return done.stdout


def take_files(made: Path, checkout: Path) -> None:
    """Make the files of the checkout those of another folder; what was tracked and is not there is deleted.

    Links must be those that the checkout has: Renovate would commit what a link leads to, such as the environment of a
    process. Nothing is written beyond one. Git would run what a repository within the checkout says.
    """
    paths = [path for path in sorted(made.rglob("*")) if path.relative_to(made).parts[0] != ".git"]
    known = {*tracked(checkout)}
    for path in paths:
        name, target = path.relative_to(made), checkout / path.relative_to(made)
        if path.is_symlink() and not (target.is_symlink() and target.readlink() == path.readlink()):
            raise UpdateError(f"the template makes {name} a symbolic link, which the bot does not take")
        if is_folder(path) and target.is_symlink():
            raise UpdateError(f"the template makes {name} a folder, which is a symbolic link in the project")
        if ".git" in name.parts:
            raise UpdateError(f"the template makes {name}, which is for git alone")
        for each in target.rglob("*") if path.is_file() and is_folder(target) else [target]:
            own = f"{each.relative_to(checkout)}" not in known and (each.is_file() or each.is_symlink())
            if own and not alike(each, path):
                raise UpdateError(f"the template makes {name}, and what is there is not committed")
    for old in known:
        if not (made / old).is_file() and not (made / old).is_symlink() and not (checkout / old).is_dir():
            (checkout / old).unlink(missing_ok=True)
    for path in paths:
        target = checkout / path.relative_to(made)
        if path.is_symlink() or not path.is_file():
            continue
        if target.is_symlink() or not alike(target, path):
            # A folder whose files are gone by now, or a file.
            shutil.rmtree(target) if is_folder(target) else target.unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        # All that git keeps of it.
        target.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def mend_link(checkout: Path, version: str) -> None:
    """Let the link name the release also where there was nothing to do, as Renovate has written it."""
    link = read_link(checkout)
    if link.get("checkout") != version:
        link["checkout"] = version
        (checkout / LINK).write_text(json.dumps(link, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
