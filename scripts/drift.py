"""Says how far a project is behind its template, with the changelog of the releases that it lacks.

To be run in the project's folder. Ends with 0 where the project is up to date, with 3 where it is behind, and with 1
where that cannot be told. The template is data here: it is cloned without a checkout, nothing of it is rendered or run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

BEHIND = 3
CLONE = ".drift/template"
IN_CLONE = f"--git-dir={CLONE}/.git"
RELEASE = re.compile(r"v?([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})")
HEADING = re.compile(r"## \W*v?([0-9]+\.[0-9]+\.[0-9]+)(?![\w.])")
# By `git clone`, over a network or from a folder; an address such as ext::... would be a command.
ADDRESS = re.compile(r"((https?|ssh|git|file)://|/|(\w[\w.-]*@)?\w[\w.-]*:(?!:)).+")
# What each value in .cruft.json has to be.
FIELDS = {
    "template": (ADDRESS, "an address for git clone"),
    "commit": (re.compile(r"[0-9a-f]{7,64}"), "the hexadecimal name of a commit"),
    "directory": (re.compile(r".*"), "the name of a folder"),
}
REPAIR = "Take the file back from an earlier commit, or delete it and let 'cruft link' make it again."


class Link(NamedTuple):
    """What a project knows of its template; `directory` is where that stands in its repository."""

    template: str
    commit: str
    directory: str


def read_link() -> Link:
    """Return the link in .cruft.json, or end the program where it is not as cruft writes it."""
    try:
        found = json.loads(Path(".cruft.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        sys.exit(f".cruft.json is not JSON. {REPAIR}")
    if not isinstance(found, dict):
        sys.exit(f".cruft.json is not an object of JSON. {REPAIR}")
    link = Link(*(found.get(name) or "" for name in Link._fields))
    for name, (pattern, meaning) in FIELDS.items():
        value = getattr(link, name)
        if not (isinstance(value, str) and value.isprintable() and pattern.fullmatch(value)):
            sys.exit(f'"{name}" in .cruft.json is not {meaning}. {REPAIR}')
    return link


def plain(text: str) -> str:
    """Return a text in which nothing is left that a terminal, or the log of GitLab, would act on."""
    return "".join(character if character == "\n" or character.isprintable() else " " for character in text)


def ask_git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git, which asks nobody for a password and takes no address for a command."""
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh"}
    command = ["git", *arguments]
    return subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
    )


def git(*arguments: str) -> str:
    """Return what git prints, or end the program with what it says where it fails."""
    done = ask_git(*arguments)
    if done.returncode:
        sys.exit(plain(done.stderr).strip() or "git failed.")
    return done.stdout


def access() -> list[str]:
    """Return the options with which git gives the job's token to this GitLab, when it asks, and to no other server."""
    server = os.environ.get("CI_SERVER_URL")
    if not server:
        return []
    # The empty one takes away those of the runner's own git, which might store the token.
    helpers = ["", '!f() { echo username=gitlab-ci-token; echo "password=$CI_JOB_TOKEN"; }; f']
    options = [f"credential.{server}.helper={helper}" for helper in helpers]
    options.append(f"url.{server}/.insteadOf=git@{os.environ.get('CI_SERVER_HOST')}:")
    return [word for option in options for word in ("-c", option)]


def clone(link: Link) -> None:
    """Clone the template, or end the program where git cannot, or where the commit is not there."""
    git(*access(), "clone", "--quiet", "--no-checkout", "--", link.template, CLONE)
    if ask_git(IN_CLONE, "cat-file", "-e", link.commit + "^{commit}").returncode:
        sys.exit(f"The template has no commit {link.commit}, which .cruft.json names.")


def number(tag: str) -> list[int]:
    """Return the numbers of a release, by which releases are ordered."""
    return [int(part) for part in tag.lstrip("v").split(".")]


def releases(*choice: str) -> list[str]:
    """Return the tags of releases, oldest first; a pre-release is none."""
    tags = git(IN_CLONE, "for-each-ref", "--format=%(refname:strip=2)", *choice, "refs/tags").split("\n")
    return sorted((tag for tag in tags if RELEASE.fullmatch(tag)), key=number)


def changes(tags: list[str], directory: str) -> str:
    """Return what the changelog of the last of these releases says about each, newest first."""
    name = f"{directory}/CHANGELOG.md" if directory else "CHANGELOG.md"
    # Empty where there is none.
    changelog = ask_git(IN_CLONE, "cat-file", "blob", f"refs/tags/{tags[-1]}:{name}").stdout
    parts: dict[str, list[str]] = {}
    part: list[str] = []
    for line in changelog.split("\n"):
        if line.startswith("## "):
            heading = HEADING.match(line)
            part = parts.setdefault(heading[1], []) if heading else []
        part.append(line)
    found = [parts.get(tag.lstrip("v"), [f"## {tag}", "", "Not in the changelog."]) for tag in reversed(tags)]
    return plain("\n\n".join("\n".join(lines).strip() for lines in found))


def main() -> int:
    """Say how far the project is behind; return the exit status."""
    link = read_link()
    clone(link)
    has = releases(f"--merged={link.commit}")
    missing = [tag for tag in releases() if not has or number(tag) > number(has[-1])]
    here = has[-1] if has else link.commit[:8]
    if not missing:
        print(f"The project is up to date with its template: {here}.")
        return 0
    count = "1 release" if len(missing) == 1 else f"{len(missing)} releases"
    report = f"""The project is {count} behind its template: from {here} to {missing[-1]}.

{changes(missing, link.directory)}

To update: cruft update --checkout {missing[-1]}
"""
    page = os.environ.get("CI_PROJECT_URL")
    if page:
        # A job's token may not ask whether there is one.
        report += f"Of a bot: {page}/-/merge_requests?state=opened&label_name[]=py-ci-template\n"
    # Whatever the locale of the job is.
    sys.stdout.buffer.write(report.encode())
    return BEHIND


if __name__ == "__main__":
    sys.exit(main())
