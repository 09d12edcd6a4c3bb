"""Pipelines and the states of commits: https://docs.gitlab.com/api/pipelines/, https://docs.gitlab.com/api/commits/."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from tools.stand_ins.gitlab_api import as_json, refuse
from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.handlers import PROJECT, Call, Path
from tools.stand_ins.gitlab_rest.pages import paged
from tools.stand_ins.gitlab_rest.projects import SharedProject, now


def add_pipeline(
    project: SharedProject, ref: str, sha: str, status: str, source: str = "push", user: str = "bot"
) -> dict[str, Any]:
    """Let a project have one more pipeline, which a user has started; whoever calls this decides how it goes."""
    records = project.records["pipelines"]
    record = {
        "id": project.id * 100_000 + len(records) + 1,
        "iid": len(records) + 1,
        "project_id": project.id,
        "ref": ref,
        "sha": sha,
        "status": status,
        "source": source,
        "user": {"username": user},
        "created_at": now(),
        "updated_at": now(),
        "web_url": f"/{project.path}/-/pipelines/{len(records) + 1}",
    }
    records.append(record)
    return record


def pipelines_of(project: SharedProject) -> list[dict[str, Any]]:
    """Return the pipelines of a project, newest first; a failed state of its commit by another service fails one.

    https://docs.gitlab.com/ci/ci_cd_for_external_repos/external_commit_statuses/
    """
    failed = {each["sha"] for each in project.records["statuses"] if each["status"] == "failed"}
    found = reversed(project.records["pipelines"])
    return [{**each, "status": "failed"} if each["sha"] in failed else each for each in found]


def list_pipelines(call: Call) -> Response:
    """List pipelines: #list-project-pipelines."""
    args = call.request.args
    chosen = [
        each
        for each in pipelines_of(call.project)
        if all(args.get(name, each[name]) == each[name] for name in ("ref", "sha", "status", "source"))
        and each["updated_at"] >= args.get("updated_after", "")
    ]
    return paged(call.request, chosen)


def show_latest(call: Call) -> Response:
    """Show the newest pipeline of a branch: #get-the-latest-pipeline."""
    ref = call.request.args.get("ref", call.project.default_branch)
    found = next((each for each in pipelines_of(call.project) if each["ref"] == ref), None)
    if found is None:
        refuse(404, "404 Not found")
    return as_json(200, found)


def show_pipeline(call: Call, pipeline_id: int) -> Response:
    """Show a pipeline: #get-a-single-pipeline."""
    found = next((each for each in pipelines_of(call.project) if each["id"] == pipeline_id), None)
    if found is None:
        refuse(404, "404 Not found")
    return as_json(200, found)


def list_statuses(call: Call, sha: str) -> Response:
    """List the states of a commit, those of jobs too: #list-the-statuses-of-a-commit.

    Each pipeline has one job.
    """
    given = [each for each in call.project.records["statuses"] if each["sha"] == sha]
    jobs = [
        {"id": each["id"], "sha": sha, "name": "test", "status": each["status"], "allow_failure": False}
        for each in call.project.records["pipelines"]
        if each["sha"] == sha
    ]
    name = call.request.args.get("name")
    return paged(call.request, [each for each in [*given, *jobs] if name in (None, each["name"])])


def set_status(call: Call, sha: str) -> Response:
    """Set the state of a commit, one by each name: #set-the-pipeline-status-of-a-commit."""
    given = call.given
    if call.project.git.resolve(sha) is None:
        refuse(404, "404 Commit Not Found")
    name = given.get("name") or given.get("context") or "default"
    records = call.project.records["statuses"]
    record = next((each for each in records if (each["sha"], each["name"]) == (sha, name)), None)
    if record is None:
        record = {"id": len(records) + 1, "sha": sha, "name": name, "created_at": now()}
        records.append(record)
    record.update(status=given["state"], description=given.get("description"), target_url=given.get("target_url"))
    return as_json(201, record)


def show_commit(call: Call, sha: str) -> Response:
    """Show a commit with its newest pipeline: https://docs.gitlab.com/api/commits/#get-a-single-commit."""
    commit = call.project.content.resolve(sha) if call.project.content else None
    if commit is None:
        refuse(404, "404 Commit Not Found")
    last = next((each for each in pipelines_of(call.project) if each["sha"] == commit), None)
    return as_json(200, {"id": commit, "last_pipeline": last})


TABLE = [
    Path("GET", f"{PROJECT}/pipelines", Level.REPORTER, list_pipelines),
    Path("GET", f"{PROJECT}/pipelines/latest", Level.REPORTER, show_latest),
    Path("GET", f"{PROJECT}/pipelines/<int:pipeline_id>", Level.REPORTER, show_pipeline),
    Path("GET", f"{PROJECT}/repository/commits/<sha>", Level.REPORTER, show_commit),
    Path("GET", f"{PROJECT}/repository/commits/<sha>/statuses", Level.REPORTER, list_statuses),
    Path("POST", f"{PROJECT}/statuses/<sha>", Level.DEVELOPER, set_status),
]
