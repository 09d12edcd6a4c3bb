"""Merge requests: https://docs.gitlab.com/api/merge_requests/."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request, Response

from tools.stand_ins.gitlab_api import as_json, refuse
from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.handlers import PROJECT, Call, Path
from tools.stand_ins.gitlab_rest.pages import paged
from tools.stand_ins.gitlab_rest.pipelines import pipelines_of
from tools.stand_ins.gitlab_rest.projects import SharedProject, now

MERGE_REQUEST = f"{PROJECT}/merge_requests/<int:iid>"


def described(call: Call, project: SharedProject, record: dict[str, Any]) -> dict[str, Any]:
    """Return what the API says of a merge request now: its newest commit, its pipeline, and whether it conflicts."""
    opened = record["state"] == "opened"
    sha = project.git.resolve(f"refs/heads/{record['source_branch']}") if opened else None
    if sha:
        record["sha"] = sha
    conflicts = opened and project.git.merged_tree(record["target_branch"], record["sha"]) is None
    pipelines = [each for each in pipelines_of(project) if each["sha"] == record["sha"]]
    draft = record["title"].startswith("Draft:")
    status = "conflict" if conflicts else "draft_status" if draft else "mergeable" if opened else "not_open"
    return {
        **record,
        "draft": draft,
        "work_in_progress": draft,
        "has_conflicts": conflicts,
        "merge_status": "cannot_be_merged" if conflicts else "can_be_merged",
        "detailed_merge_status": status,
        "head_pipeline": pipelines[0] if pipelines else None,
        "web_url": f"{call.url}/{project.path}/-/merge_requests/{record['iid']}",
        "references": {"full": f"{project.path}!{record['iid']}"},
    }


def wanted(request: Request, call: Call, record: dict[str, Any]) -> bool:
    """Tell whether a query wants a merge request."""
    args = request.args
    return (
        args.get("state", "all") in ("all", record["state"])
        and args.get("source_branch", record["source_branch"]) == record["source_branch"]
        and args.get("target_branch", record["target_branch"]) == record["target_branch"]
        and (args.get("scope") != "created_by_me" or record["author"]["id"] == call.user.id)
        and args.get("author_username", record["author"]["username"]) == record["author"]["username"]
        and int(args.get("author_id", record["author"]["id"])) == record["author"]["id"]
        and record["updated_at"] >= args.get("updated_after", "")
        and set(filter(None, args.get("labels", "").split(","))) <= set(record["labels"])
    )


def list_of_project(call: Call) -> Response:
    """List those of a project, newest first."""
    records = [each for each in reversed(call.project.records["merge_requests"]) if wanted(call.request, call, each)]
    if call.request.args.get("order_by") == "updated_at":
        records.sort(key=lambda each: each["updated_at"], reverse=call.request.args.get("sort") != "asc")
    return paged(call.request, records, lambda each: described(call, call.project, each))


def list_of_group(call: Call, group: str) -> Response:
    """List those of all projects of a group and its subgroups: #list-group-merge-requests."""
    inside = [each for each in call.visible() if each.path.startswith(f"{group}/")]
    if not inside:
        refuse(404, "404 Group Not Found")
    found = [(each, record) for each in inside for record in each.records["merge_requests"]]
    found = [(each, record) for each, record in found if wanted(call.request, call, record)]
    return paged(call.request, found, lambda pair: described(call, *pair))


def find(call: Call, iid: int) -> dict[str, Any]:
    """Return a merge request by its number."""
    record = next((each for each in call.project.records["merge_requests"] if each["iid"] == iid), None)
    if record is None:
        refuse(404, "404 Not found")
    return record


def show(call: Call, iid: int) -> Response:
    """Show a merge request: #get-single-mr."""
    return as_json(200, described(call, call.project, find(call, iid)))


def create(call: Call) -> Response:
    """Open a merge request, of a branch that has none: #create-mr."""
    given = call.required("source_branch", "target_branch", "title")
    project, records = call.project, call.project.records["merge_requests"]
    source, target = given["source_branch"], given["target_branch"]
    sha = project.git.resolve(f"refs/heads/{source}")
    if sha is None:
        refuse(400, ["Source branch does not exist"])
    same = [each for each in records if (each["source_branch"], each["target_branch"]) == (source, target)]
    already = next((each for each in same if each["state"] == "opened"), None)
    if already:
        refuse(409, [f"Another open merge request already exists for this source branch: !{already['iid']}"])
    labels = given.get("labels", "")
    record = {
        "id": project.id * 100_000 + len(records) + 1,
        "iid": len(records) + 1,
        "project_id": project.id,
        "source_project_id": project.id,
        "target_project_id": project.id,
        "title": given["title"],
        "description": given.get("description", ""),
        "labels": labels if isinstance(labels, list) else list(filter(None, labels.split(","))),
        "state": "opened",
        "source_branch": source,
        "target_branch": target,
        "author": call.user.described,
        "assignees": [],
        "reviewers": [],
        "created_at": now(),
        "updated_at": now(),
        "merged_at": None,
        "sha": sha,
        "diff_refs": {"head_sha": sha},
    }
    records.append(record)
    project.last_activity_at = now()
    return as_json(201, described(call, project, record))


def edit(call: Call, iid: int) -> Response:
    """Change a merge request, close it or open it again: #update-mr."""
    record, given = find(call, iid), call.given
    event = given.pop("state_event", None)
    if event:
        record["state"] = {"close": "closed", "reopen": "opened"}[event]
    labels = given.pop("labels", None)
    if labels is not None:
        record["labels"] = labels if isinstance(labels, list) else list(filter(None, labels.split(",")))
    added = [label for label in str(given.pop("add_labels", "")).split(",") if label]
    record["labels"] = list(dict.fromkeys([*record["labels"], *added]))
    record.update({name: value for name, value in given.items() if name in ("title", "description", "target_branch")})
    record["updated_at"] = now()
    return as_json(200, described(call, call.project, record))


def merge(call: Call, iid: int) -> Response:
    """Merge one, or let GitLab do so when its pipeline passes: #merge-a-merge-request."""
    project, record = call.project, find(call, iid)
    state = described(call, project, record)
    if state["detailed_merge_status"] != "mergeable":
        refuse(405, "405 Method Not Allowed")
    pipeline, given = state["head_pipeline"], call.given
    later = any(str(given.get(name)).lower() == "true" for name in ("merge_when_pipeline_succeeds", "auto_merge"))
    passed = pipeline is not None and pipeline["status"] == "success"
    if project.settings.get("only_allow_merge_if_pipeline_succeeds") and not passed and not later:
        refuse(405, "405 Method Not Allowed")
    if later and pipeline and not passed:
        record["merge_when_pipeline_succeeds"] = True
    else:
        merge_now(project, record)
    return as_json(200, described(call, project, record))


def merge_now(project: SharedProject, record: dict[str, Any]) -> None:
    """Merge a merge request, as somebody with the right to do so does."""
    commit = project.git.merge(record["target_branch"], record["source_branch"], f"Merge '{record['title']}'")
    assert commit, "it conflicts"
    record.update(state="merged", merge_commit_sha=commit, merged_at=now(), updated_at=now())
    project.last_activity_at = now()


TABLE = [
    Path("GET", "/groups/<group>/merge_requests", Level.NONE, list_of_group),
    Path("GET", f"{PROJECT}/merge_requests", Level.REPORTER, list_of_project),
    Path("POST", f"{PROJECT}/merge_requests", Level.DEVELOPER, create),
    Path("GET", MERGE_REQUEST, Level.REPORTER, show),
    Path("PUT", MERGE_REQUEST, Level.DEVELOPER, edit),
    Path("PUT", f"{MERGE_REQUEST}/merge", Level.DEVELOPER, merge),
]
