"""GitLab's side of the API of runners: it hands out jobs, and takes their logs, their artifacts and how they ended.

The paths and answers are those of `lib/api/ci/runner.rb` in GitLab's source, what a runner is told of a job those of
`lib/api/entities/ci/job_request/`, and the runner's side is `network/gitlab.go` in that of GitLab Runner.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import secrets
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from tools.stand_ins.gitlab_project import Project, new_token

# What stands before each line of a log: a time, a stream, and a plus where the line goes on with the one before.
# https://docs.gitlab.com/ci/jobs/job_logs/#job-log-timestamps
STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [0-9a-f]{2}[EO]([+ ])", re.MULTILINE)
# Colours, and marks of sections: https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections
DECORATION = re.compile(r"section_(?:start|end):\d+:\S*?\r\x1b\[0K|\x1b\[[0-9;]*[mK]")


@dataclass
class Build:
    """One run of a job, as GitLab's source calls it: what a runner is told, and what it has sent.

    The token of the job is taken while it runs, and only the runner with the token `runner` gets it. `watch` is called
    whenever its log grows.
    """

    project: Project
    described: dict[str, Any]
    number: int
    runner: str = field(default="", repr=False)
    watch: Callable[[Build], None] | None = None
    token: str = field(default_factory=new_token, repr=False)
    status: str = "pending"
    failure_reason: str | None = None
    exit_code: int | None = None
    trace: bytearray = field(default_factory=bytearray, repr=False)
    artifacts: dict[str, bytes] = field(default_factory=dict, repr=False)
    reports: list[bytes] = field(default_factory=list, repr=False)
    began: float = 0
    ended: float = 0

    def start(self) -> None:
        """Begin to run."""
        self.status, self.began = "running", time.monotonic()
        self.project.tokens.add(self.token)

    def cancel(self) -> None:
        """Let the runner end it, which hears of that with the next answer."""
        if self.status == "running":
            self.status = "canceling"
        elif self.status == "pending":
            self.status, self.ended = "canceled", time.monotonic()

    def end(self, state: str, reason: str | None) -> None:
        """End as the runner says, or as canceled where somebody asked for that."""
        self.failure_reason = reason
        self.project.tokens.remove(self.token)
        self.status, self.ended = "canceled" if self.status == "canceling" else state, time.monotonic()

    @property
    def name(self) -> str:
        """The name of the job."""
        return str(self.described["job_info"]["name"])

    @property
    def pipeline(self) -> int:
        """The number of its pipeline."""
        return int(self.described["job_info"]["pipeline_id"])

    @property
    def may_fail(self) -> bool:
        """Whether the pipeline goes on without it."""
        return bool(self.described["allow_failure"])

    @property
    def archive(self) -> bytes | None:
        """What it has handed on."""
        return self.artifacts.get("archive")

    @property
    def log(self) -> str:
        """What people read."""
        text = self.trace.decode("utf-8", "replace").replace("\r\n", "\n")
        joined = re.sub(rf"\n{STAMP.pattern[1:].replace('([+ ])', '[+]')}", "", text)
        return DECORATION.sub("", STAMP.sub("", joined))

    @property
    def coverage(self) -> float | None:
        """The number that GitLab finds: the last one of the last line that fits.

        `extract_coverage` in `lib/gitlab/ci/trace/stream.rb`; https://docs.gitlab.com/ci/yaml/#coverage
        """
        if not self.described["coverage"]:
            return None
        pattern = re.compile(self.described["coverage"].strip("/"))
        for line in reversed(self.trace.decode("utf-8", "replace").splitlines()):
            found = list(pattern.finditer(STAMP.sub("", line)))
            number = re.search(r"\d+(\.\d+)?", found[-1][pattern.groups]) if found else None
            if number:
                return float(number[0])
        return None

    @property
    def files(self) -> dict[str, bytes]:
        """The files that it handed on, by path."""
        if "archive" not in self.artifacts:
            return {}
        with zipfile.ZipFile(io.BytesIO(self.artifacts["archive"])) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}

    def report(self, kind: str) -> str:
        """Return the text of a report."""
        return gzip.decompress(self.artifacts[kind]).decode()

    @property
    def dotenv(self) -> dict[str, str]:
        """The variables that it handed on: of all reports, also one that was refused.

        `app/services/ci/job_artifacts/create_service.rb` in GitLab
        """
        lines = [line for report in self.reports for line in gzip.decompress(report).decode().splitlines()]
        return dict(line.split("=", 1) for line in lines if line)


class RunnerAPI:
    """The queue of jobs, for runners that are known by their tokens; several of them take jobs in turn."""

    def __init__(self) -> None:
        self.runners: list[str] = []
        self.builds: list[Build] = []
        self.pipelines = 0

    def register(self) -> str:
        """Return the token of one more runner."""
        self.runners.append(f"glrt-{secrets.token_urlsafe(15)}")
        return self.runners[-1]

    def new_pipeline(self) -> int:
        """Return the number of one more pipeline."""
        self.pipelines += 1
        return self.pipelines

    def enqueue(
        self,
        project: Project,
        describe: Callable[[int, str], dict[str, Any]],
        watch: Callable[[Build], None] | None = None,
    ) -> Build:
        """Offer a job to a runner; `describe` says what it is told, given the number and the token of the job."""
        number = len(self.builds)
        build = Build(project, {}, number + 1, self.runners[number % len(self.runners)], watch)
        build.described = describe(build.number, build.token)
        self.builds.append(build)
        project.jobs.append(build)
        return build

    def respond(self, request: Request, path: str) -> Response | None:
        """Return the answer to a request, if a runner may make it."""
        try:
            handle, names = ROUTES.bind("").match(path, request.method)
        except (MethodNotAllowed, NotFound):
            return None
        if not names:
            known = request.get_json()["token"] in self.runners
            return handle(self, request) if known else Response(status=403)
        build = next((build for build in self.builds if build.number == names["number"]), None)
        if not build:
            return None
        if build.token != request.headers.get("JOB-TOKEN") or build.token not in build.project.tokens:
            return Response(status=403)
        answer: Response = handle(build, request)
        answer.headers["Job-Status"] = build.status
        return answer

    def request_job(self, request: Request) -> Response:
        """Hand out the next job, if there is one."""
        token = request.get_json()["token"]
        build = next((build for build in self.builds if (build.status, build.runner) == ("pending", token)), None)
        if not build:
            return Response(status=204)
        build.start()
        return as_json(201, build.described)

    def verify(self, request: Request) -> Response:
        """Say who the runner is, when it starts."""
        token = request.get_json()["token"]
        return as_json(200, {"id": self.runners.index(token) + 1, "token": token, "token_expires_at": None})


def append_trace(build: Build, request: Request) -> Response:
    """Take the next piece of a log, which begins where the last one ended."""
    begin = int(request.headers["Content-Range"].partition("-")[0])
    fits = begin == len(build.trace)
    if fits:
        build.trace += request.get_data()
    if build.watch:
        build.watch(build)
    # The shortest time between two pieces: where people watch a log, GitLab says 3.
    headers = {"Range": f"0-{len(build.trace)}", "X-GitLab-Trace-Update-Interval": "1"}
    return Response(status=202 if fits else 416, headers=headers)


def upload_artifacts(build: Build, request: Request) -> Response:
    """Take an archive or a report, each once; whether the job declares it, GitLab does not ask."""
    kind, content = request.args["artifact_type"], request.files["file"].read()
    if kind == "dotenv":
        build.reports.append(content)
    if build.artifacts.setdefault(kind, content) != content:
        return as_json(400, {"message": "another artifact of the same type already exists"})
    return as_json(201, {"message": "201 Created"})


def update(build: Build, request: Request) -> Response:
    """Take that a job still runs, or how it ended."""
    told = request.get_json()
    if told["state"] != "running":
        build.exit_code = told.get("exit_code")
        build.end(told["state"], told.get("failure_reason"))
    return Response("200")


def as_json(status: int, content: Any) -> Response:
    """Return an answer in JSON."""
    return Response(json.dumps(content), status, content_type="application/json")


JOB = "/api/v4/jobs/<int:number>"
ROUTES = Map(
    [
        Rule("/api/v4/runners/verify", methods=["POST"], endpoint=RunnerAPI.verify),
        Rule("/api/v4/jobs/request", methods=["POST"], endpoint=RunnerAPI.request_job),
        Rule(JOB, methods=["PUT"], endpoint=update),
        Rule(f"{JOB}/trace", methods=["PATCH"], endpoint=append_trace),
        Rule(f"{JOB}/artifacts", methods=["POST"], endpoint=upload_artifacts),
    ]
)
