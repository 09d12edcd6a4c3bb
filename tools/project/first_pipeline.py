"""Waits for a pipeline, and says how its jobs go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tools.project.faults import DONE, FAILED, LEFT
from tools.project.gitlab_project import RemoteProject

ENDED = ("success", "failed", "canceled", "skipped", "manual")
# Seconds until GitLab has made the pipeline of a push, until its jobs have ended, and between two looks.
APPEARS, ENDS, PAUSE = 120.0, 3600.0, 5.0


def newest(project: RemoteProject, commit: str) -> dict[str, Any] | None:
    """Return the newest pipeline of a commit."""
    return next(iter(project.list("pipelines", sha=commit)), None)


def follow(project: RemoteProject, commit: str, say: Callable[[str], None]) -> int:
    """Wait until the newest pipeline of a commit has ended, and say its state; return the exit status."""
    pipeline = newest(project, commit)
    end = time.monotonic() + APPEARS
    while pipeline is None and time.monotonic() < end:
        time.sleep(PAUSE)
        pipeline = newest(project, commit)
    if pipeline is None:
        say(f"No pipeline began for {commit[:8]}: see whether CI/CD is on, {project.page}/edit")
        return LEFT
    seen: dict[int, str] = {}
    end = time.monotonic() + ENDS
    address = pipeline["web_url"]
    say(f"pipeline    {address}")
    while True:
        for job in project.list(f"pipelines/{pipeline['id']}/jobs", per_page=100):
            if seen.get(job["id"]) != job["status"] and job["status"] not in ("created", "pending"):
                say(f"  {job['name']}: {job['status']}")
            seen[job["id"]] = job["status"]
        if pipeline["status"] in ENDED:
            break
        if time.monotonic() > end:
            say(f"The pipeline is still {pipeline['status']}: {address}")
            return LEFT
        time.sleep(PAUSE)
        pipeline = project.get(f"pipelines/{pipeline['id']}") or pipeline
    say(f"The pipeline ended: {pipeline['status']}. {address}")
    return DONE if pipeline["status"] == "success" else FAILED
