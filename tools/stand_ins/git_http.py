"""The repositories of a GitLab over HTTP."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from werkzeug.wrappers import Request, Response

from tools.stand_ins.gitlab_api import Caller
from tools.stand_ins.gitlab_project import Project

ASKED = re.compile(r"/(?P<project>.+)\.git(?P<service>/info/refs|/git-upload-pack|/git-receive-pack)")


def respond(request: Request, asked: re.Match[str], caller: Caller, projects: Sequence[Project]) -> Response:
    """Let git itself answer, if the caller's job may read the project; a job's token pushes nothing.

    https://docs.gitlab.com/ci/jobs/ci_job_token/#to-git-clone-a-private-projects-repository
    """
    if caller.project is None or pushes(request, asked):
        return denied()
    project = next((project for project in projects if project.path == asked["project"]), None)
    if project is None or not project.repository or caller.project not in (project, *project.allowed):
        return absent()
    return serve(request, asked, project.repository)


def pushes(request: Request, asked: re.Match[str]) -> bool:
    """Tell whether a request is part of a push."""
    return asked["service"] == "/git-receive-pack" or request.args.get("service") == "git-receive-pack"


def denied() -> Response:
    """Return the answer to who does not say who it is, or wrongly."""
    return Response("HTTP Basic: Access denied\n", 401, {"WWW-Authenticate": 'Basic realm="GitLab"'})


def absent() -> Response:
    """Return the answer to who may not see a project."""
    text = "The project you were looking for could not be found or you don't have permission to view it.\n"
    return Response(text, 404, content_type="text/plain")


def serve(request: Request, asked: re.Match[str], repository: Path, *, user: str = "") -> Response:
    """Return what git answers for a repository; a `user` has its name in the log of what was pushed.

    https://git-scm.com/docs/git-http-backend
    """
    done = subprocess.run(
        ("git", "http-backend"),
        input=request.get_data(),
        stdout=subprocess.PIPE,
        check=True,
        env={
            "GIT_PROJECT_ROOT": str(repository / ".git"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "PATH_INFO": asked["service"],
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.query_string.decode(),
            "CONTENT_TYPE": request.content_type or "",
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            # Who may push says so: git lets nobody in who has no name.
            **({"REMOTE_USER": user} if user else {}),
        },
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
    return Response(body, headers.pop("Status", "200 OK"), headers)
