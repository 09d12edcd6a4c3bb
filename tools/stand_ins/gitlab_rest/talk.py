"""What people and bots say: notes at merge requests, and issues.

https://docs.gitlab.com/api/notes/, https://docs.gitlab.com/api/issues/
"""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from tools.stand_ins.gitlab_api import as_json, refuse
from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.handlers import PROJECT, Call, Path
from tools.stand_ins.gitlab_rest.merge_requests import MERGE_REQUEST, find
from tools.stand_ins.gitlab_rest.pages import paged
from tools.stand_ins.gitlab_rest.projects import now


def list_notes(call: Call, iid: int) -> Response:
    """List the notes at a merge request: #list-all-merge-request-notes."""
    number = find(call, iid)["iid"]
    return paged(call.request, [each for each in call.project.records["notes"] if each["noteable_iid"] == number])


def add_note(call: Call, iid: int) -> Response:
    """Write a note at a merge request: #create-new-merge-request-note."""
    record = {
        "id": len(call.project.records["notes"]) + 1,
        "noteable_iid": find(call, iid)["iid"],
        "body": call.required("body")["body"],
        "author": call.user.described,
        "system": False,
        "created_at": now(),
    }
    call.project.records["notes"].append(record)
    return as_json(201, record)


def note_of(call: Call, iid: int, note: int) -> dict[str, Any]:
    """Return a note by its number."""
    notes = call.project.records["notes"]
    record = next((each for each in notes if (each["noteable_iid"], each["id"]) == (iid, note)), None)
    if record is None:
        refuse(404, "404 Note Not Found")
    return record


def edit_note(call: Call, iid: int, note: int) -> Response:
    """Change a note: #modify-existing-merge-request-note."""
    record = note_of(call, iid, note)
    record.update(call.required("body"))
    return as_json(200, record)


def delete_note(call: Call, iid: int, note: int) -> Response:
    """Delete a note: #delete-a-merge-request-note."""
    # Its number is not given to another.
    note_of(call, iid, note)["noteable_iid"] = None
    return Response(status=204)


def list_issues(call: Call) -> Response:
    """List the issues of a project: #list-project-issues."""
    state = call.request.args.get("state", "all")
    mine = call.request.args.get("scope") == "created_by_me"
    found = [
        each
        for each in call.project.records["issues"]
        if state in ("all", each["state"]) and (not mine or each["author"]["id"] == call.user.id)
    ]
    return paged(call.request, found)


def show_issue(call: Call, iid: int) -> Response:
    """Show an issue: #single-project-issue."""
    record = next((each for each in call.project.records["issues"] if each["iid"] == iid), None)
    return as_json(200, record) if record else refuse(404, "404 Not found")


def add_issue(call: Call) -> Response:
    """Open an issue: #new-issue."""
    given = call.required("title")
    number = len(call.project.records["issues"]) + 1
    record = {
        "id": call.project.id * 100_000 + number,
        "iid": number,
        "title": given["title"],
        "description": given.get("description", ""),
        "labels": list(filter(None, given.get("labels", "").split(","))),
        "state": "opened",
        "author": call.user.described,
        "web_url": f"{call.url}/{call.project.path}/-/issues/{number}",
    }
    call.project.records["issues"].append(record)
    return as_json(201, record)


def edit_issue(call: Call, iid: int) -> Response:
    """Change an issue, close it or open it again: #edit-an-issue."""
    record = next((each for each in call.project.records["issues"] if each["iid"] == iid), None)
    if record is None:
        refuse(404, "404 Not found")
    given = call.given
    record.update({name: given[name] for name in ("title", "description") if name in given})
    if "state_event" in given:
        record["state"] = {"close": "closed", "reopen": "opened"}[given["state_event"]]
    return as_json(200, record)


TABLE = [
    Path("GET", f"{MERGE_REQUEST}/notes", Level.REPORTER, list_notes),
    Path("POST", f"{MERGE_REQUEST}/notes", Level.REPORTER, add_note),
    Path("PUT", f"{MERGE_REQUEST}/notes/<int:note>", Level.REPORTER, edit_note),
    Path("DELETE", f"{MERGE_REQUEST}/notes/<int:note>", Level.REPORTER, delete_note),
    Path("GET", f"{PROJECT}/issues", Level.GUEST, list_issues),
    Path("POST", f"{PROJECT}/issues", Level.GUEST, add_issue),
    Path("GET", f"{PROJECT}/issues/<int:iid>", Level.GUEST, show_issue),
    Path("PUT", f"{PROJECT}/issues/<int:iid>", Level.REPORTER, edit_issue),
]
