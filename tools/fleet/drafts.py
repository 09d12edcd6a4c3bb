"""Marks the merge requests of the bot that a person has to finish as drafts, and takes the mark back.

Renovate says at the commit whether the update could be made: by the state `renovate/artifacts`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import gitlab

HELP = "Mark merge requests of the bot that have conflicts as drafts."
LABEL = "py-ci-template"
# Who has it was made a draft here; what a person has made a draft stays one.
CONFLICT = "template-conflict"
STATE = "renovate/artifacts"
DRAFT = "Draft: "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    parser.add_argument("--plan", type=Path, default=Path("plan.json"), help="the projects: %(default)s")
    parser.add_argument("--gitlab", default=os.environ.get("CI_SERVER_URL"), metavar="URL", help="address of GitLab")


def main(arguments: argparse.Namespace) -> int:
    """Mark the merge requests of all projects; return the exit status, 1 where a project could not be asked."""
    plan = json.loads(arguments.plan.read_text(encoding="utf-8"))
    server = gitlab.Gitlab(arguments.gitlab, private_token=os.environ["GITLAB_TOKEN"], retry_transient_errors=True)
    failed = False
    for project in plan["projects"]:
        try:
            for line in mark(server.projects.get(project["path"], lazy=True)):
                print(f"{project['path']}{line}")
        except gitlab.GitlabError as error:
            print(f"{project['path']}: {error}", file=sys.stderr)
            failed = True
    return int(failed)


def mark(project: Any) -> list[str]:
    """Mark those of a project; return what was changed."""
    changed = []
    for request in project.mergerequests.list(state="opened", labels=LABEL, iterator=True):
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
