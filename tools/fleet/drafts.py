"""Marks the merge requests of the bot that a person has to finish as drafts, and takes the mark back.

Renovate says at the commit whether the update could be made: by the state `renovate/artifacts`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import gitlab

from tools.fleet.collect import BRANCH, FAILURES, is_of_the_bot, said
from tools.fleet.data import FleetError, plain

HELP = "Mark merge requests of the bot that have conflicts as drafts."
LABEL = "py-ci-template"
# Who has it was made a draft here; what a person has made a draft stays one.
CONFLICT = "template-conflict"
STATE = "renovate/artifacts"
DRAFT = "Draft: "
EXPLAINED = "See docs/troubleshooting.md#fleet-drafts of py-ci-template"
# What a project may have for other reasons, and what says nothing more.
EXPECTED = ("Package lookup failures", "Configuration Warning")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    parser.add_argument("reports", type=Path, nargs="*", metavar="REPORT", help="what Renovate has written of its run")
    parser.add_argument("--plan", type=Path, default=Path("plan.json"), help="the projects: %(default)s")
    parser.add_argument("--gitlab", default=os.environ.get("CI_SERVER_URL"), metavar="URL", help="address of GitLab")


def main(arguments: argparse.Namespace) -> int:
    """Mark the merge requests of all projects; return the exit status, 1 where something is wrong with a project."""
    token = os.environ.get("GITLAB_TOKEN")
    if not (token and arguments.gitlab):
        print(f"{EXPLAINED}\nSet GITLAB_TOKEN, and CI_SERVER_URL or --gitlab.", file=sys.stderr)
        return 1
    try:
        projects = json.loads(arguments.plan.read_text(encoding="utf-8"))["projects"]
    except (OSError, ValueError):
        raise FleetError("fleet-drafts", f"{arguments.plan} is not there: the log of the job plan says why.") from None
    seen: dict[str, Any] = {}
    for report in arguments.reports:
        # Where Renovate was stopped, there is none, or half of one.
        with suppress(OSError, ValueError):
            seen |= json.loads(report.read_text(encoding="utf-8"))["repositories"]
    wrong = []
    if arguments.reports:
        for project in projects:
            if project["version"] is not None:
                wrong += [f"{project['path']}: {line}" for line in troubles(seen.get(project["path"]))]
    # As a header that no other server gets where this one sends there.
    server = gitlab.Gitlab(arguments.gitlab, oauth_token=token, retry_transient_errors=True, timeout=60)
    bot = user_of(server) if projects else ""
    for project in projects:
        try:
            for line in mark(server.projects.get(project["path"], lazy=True), bot):
                print(f"{project['path']}{line}")
        except FAILURES as error:
            wrong.append(f"{project['path']}: not marked: {said(error)}")
    if wrong:
        print("\n".join([EXPLAINED, *wrong]), file=sys.stderr)
    return int(bool(wrong))


def user_of(server: gitlab.Gitlab) -> str:
    """Return the name of the user whose token a server is asked with."""
    try:
        return str(server.http_get("/user")["username"])  # type: ignore[index]
    except FAILURES as error:
        raise FleetError("fleet-drafts", f"GitLab does not say whose token it is: {said(error)}") from None


def troubles(seen: dict[str, Any] | None) -> list[str]:
    """Return what went wrong in a project, by Renovate's report of it; a conflict is no trouble of the bot's."""
    if seen is None:
        return [
            "not looked at: it is archived, empty or gone, its renovate.json turns Renovate off, or the bot is no"
            " member; the log of renovate says which"
        ]
    found = [dep for files in seen["packageFiles"].values() for file in files for dep in file["deps"]]
    links = [dep for dep in found if dep.get("depName") == LABEL]
    lines = [plain(warning["message"]) for dep in links for warning in dep.get("warnings", [])]
    if not links:
        lines.append(".cruft.json is missing, or not as cruft writes it, or renovate.json is wrong or leaves it out")
    for problem in seen["problems"]:
        error = problem.get("err", {})
        # What is wrong with renovate.json is beside the message.
        said = next(
            (error[name] for name in ("validationMessage", "validationError", "message") if error.get(name)), ""
        )
        errors = problem.get("artifactErrors") or [{"stderr": said}]
        for error in errors:
            said = (error["stderr"].strip().splitlines() or [""])[-1]
            if not said.startswith("Conflict: ") and problem["msg"] not in EXPECTED:
                lines.append(plain(f"{problem['msg']}: {said}".removesuffix(": ")))
    return lines


def mark(project: Any, bot: str) -> list[str]:
    """Mark those of a project; return what was changed."""
    changed = []
    for request in project.mergerequests.list(state="opened", author_username=bot, source_branch=BRANCH, iterator=True):
        if not is_of_the_bot(request.attributes, bot):
            continue
        states = project.commits.get(request.sha, lazy=True).statuses.list(all=True, name=STATE, iterator=True)
        conflict = any(state.name == STATE and state.status == "failed" for state in states)
        if conflict == (CONFLICT in request.labels):
            continue
        title = request.title.removeprefix(DRAFT)
        request.title = f"{DRAFT}{title}" if conflict else title
        labels = [label for label in request.labels if label != CONFLICT]
        request.labels = [*labels, CONFLICT] if conflict else labels
        request.save()
        changed.append(f"!{request.iid}: {'a draft' if conflict else 'ready'}")
    return changed
