"""The command line: makes what is missing, one after the other, and says what became of each."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import requests
from gitlab import Gitlab
from gitlab.exceptions import GitlabError
from rich.console import Console

from tools.messages import explained_in
from tools.pipeline.progress import say
from tools.project import answers as link
from tools.project import first_pipeline
from tools.project.answers import Answers
from tools.project.faults import DONE, FAILED, INTERRUPTED, LEFT, UNUSABLE, UnusableError
from tools.project.gitlab_project import Finding, RemoteProject, State, create, find, there
from tools.project.repository import Repository
from tools.project.wanted import by_hand, settings

NAME = "py-ci-project"
VISIBILITIES = ("private", "internal", "public")
SECONDS = 60
EXIT_CODES = f"""exit codes: {DONE}, all is there and the pipeline passed; {FAILED}, the pipeline failed;
{UNUSABLE}, it could not go on; {LEFT}, something is missing, differs or is left to you; {INTERRUPTED}, interrupted"""


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Make the project of a folder on GitLab with the settings that its answers need, push it, and wait "
        "for its first pipeline. What is there already stays as it is. The environment variable GITLAB_TOKEN has a "
        "personal access token with the scope api, of somebody who may make projects in the group; --check needs "
        "read_api only.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("project", type=Path, nargs="?", default=Path(), help="its folder; without it, this one")
    parser.add_argument("--check", action="store_true", help="change nothing, and say what is missing")
    parser.add_argument("--visibility", choices=VISIBILITIES, default="private", help="of a new project: %(default)s")
    parser.add_argument(
        "--gitlab",
        metavar="URL",
        help="the address of GitLab; without it CI_SERVER_URL, or the host that the project was made for",
    )
    given = parser.parse_args(words)
    given.project = given.project.resolve()
    return given


def server_of(given: argparse.Namespace, answers: Answers) -> Gitlab:
    """Return the GitLab, with the token from the environment."""
    token = os.environ.get("GITLAB_TOKEN")
    if not token:
        raise UnusableError(
            "project-token",
            "GITLAB_TOKEN is not set: a personal access token with the scope api, or read_api to check.",
        )
    url = given.gitlab or os.environ.get("CI_SERVER_URL") or f"https://{answers.gitlab_host}"
    # As a bearer's, the token does not follow a redirect to another host.
    return Gitlab(url, oauth_token=token, timeout=SECONDS)


@dataclass
class Command:
    """One run: what it works with, and the project as soon as there is one; `commit` is what it has pushed."""

    given: argparse.Namespace
    answers: Answers
    gitlab: Gitlab
    repository: Repository
    project: RemoteProject | None = None
    commit: str = ""

    def steps(self) -> Iterator[Finding]:
        """Go from one setting to the next, and say what became of each."""
        given, answers, repository = self.given, self.answers, self.repository
        repository.check(self.gitlab.url, answers.path)
        project = find(self.gitlab, answers.path, given.check)
        if project is None and given.check:
            yield Finding(State.MISSING, f"project {answers.path}")
            return
        if project is None:
            project = create(self.gitlab, answers, given.visibility)
            yield Finding(State.MADE, f"project {answers.path}", project.page)
        else:
            yield there(f"project {answers.path}")
        self.project = project
        if not project.empty and not project.shares_history(repository):
            raise UnusableError(
                "project-foreign",
                f"{project.page} has another history: nothing was pushed. Clone it, or take another name.",
            )
        if answers.signing == "key":
            yield from project.key_pair(repository)
        if project.empty:
            yield self.push(project)
        # An empty project has the name that GitLab would give.
        branch = repository.branch if project.empty else project.said["default_branch"]
        for wanted in settings(answers, branch):
            yield project.settle(wanted)

    def push(self, project: RemoteProject) -> Finding:
        """Push the first commit."""
        what = f"branch {self.repository.branch}"
        if self.given.check:
            return Finding(State.MISSING, what)
        self.repository.commit()
        self.repository.push(self.gitlab.url, project.said["http_url_to_repo"])
        self.commit = self.repository.head
        return Finding(State.MADE, what)

    def watch(self, console: Console) -> int:
        """Say how the pipeline of the default branch goes; return the exit status."""
        project = self.project
        if project is None:
            return DONE
        commit = self.commit
        if not project.empty:
            branch = project.get(f"repository/branches/{quote(project.said['default_branch'], safe='')}")
            commit = branch["commit"]["id"] if branch else ""
        if not commit:
            return DONE
        if not self.given.check:
            return first_pipeline.follow(project, commit, lambda line: say(console, line))
        pipeline = first_pipeline.newest(project, commit)
        state = f"{pipeline['status']}, {pipeline['web_url']}" if pipeline else "none"
        say(console, f"{'pipeline':12}{state}")
        return DONE


def settle_all(given: argparse.Namespace, console: Console, errors: Console) -> int:
    """Do everything; return the exit status."""
    answers = link.read(given.project)
    command = Command(given, answers, server_of(given, answers), Repository(given.project))
    done = True
    for finding in command.steps():
        say(console, f"{finding.state:12}{finding.what}{f': {finding.why}' if finding.why else ''}")
        done = done and finding.done
    for line in by_hand(answers):
        say(console, f"{'by hand':12}{line}")
    status = command.watch(console)
    document = explained_in(given.project)
    if not done:
        say(errors, f"Something is missing, differs or is left to you.\nSee {document}#project-settings")
    if status:
        say(errors, f"See {document}#project-pipeline")
    return status if status == FAILED or done else LEFT


def interrupt(*_: object) -> None:
    """End as Ctrl+C does."""
    raise KeyboardInterrupt


def run(words: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = arguments(words)
    console, errors = Console(highlight=False), Console(highlight=False, stderr=True)
    # Inside a hook of git these name another repository.
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return settle_all(given, console, errors)
    except UnusableError as problem:
        fault = problem
    except GitlabError as problem:
        fault = refused(problem)
    except (requests.RequestException, OSError) as problem:
        fault = UnusableError("project-server", f"GitLab does not answer: {problem}. Run this again.")
    except KeyboardInterrupt:
        say(errors, "Interrupted: run this again, and it goes on.")
        return INTERRUPTED
    say(errors, f"{fault}\nSee {explained_in(given.project)}#{fault.paragraph}")
    return UNUSABLE


def refused(problem: GitlabError) -> UnusableError:
    """Return what to do where GitLab refuses to say anything."""
    if problem.response_code == 401:
        return UnusableError("project-token", "GitLab does not know GITLAB_TOKEN (401): make a new one.")
    if problem.response_code == 403:
        return UnusableError("project-token", f"GITLAB_TOKEN may not read the project: {problem}. It needs read_api.")
    return UnusableError("project-server", f"GitLab said {problem}. Run this again.")
