"""Runs an expanded pipeline on GitLab's own runner, and does what GitLab does: says which job is next."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from tools.expander import Expander
from tools.gitlab_runner.plan import Plan, seconds
from tools.gitlab_runner.runner import Runner
from tools.runner import Variable
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.runner_api import Build

# After which a job runs, by its `when`, where it has no `needs`: `app/services/ci/process_build_service.rb` in GitLab.
STARTS = {
    "on_success": {"success", "skipped"},
    "on_failure": {"failed"},
    "always": {"success", "failed", "skipped"},
}

# How long a runner may take to start a job, and to end one that has run out of time.
PATIENCE = 30


@dataclass(frozen=True)
class Pipeline:
    """What one run of a pipeline did: the last run of each job that ran, and how each job ended, by name."""

    number: int
    builds: dict[str, Build]
    results: dict[str, str]

    @property
    def coverage(self) -> float | None:
        """The percentage of the pipeline: https://docs.gitlab.com/ci/testing/code_coverage/"""
        found = [build.coverage for build in self.builds.values() if build.coverage is not None]
        return sum(found) / len(found) if found else None

    @property
    def output(self) -> str:
        """All logs."""
        return "".join(f"{name}: {self.results[name]}\n{build.log}\n" for name, build in self.builds.items())

    def log(self, job: str) -> str:
        """Return what a job and the runner printed."""
        return self.builds[job].log


def run_pipeline(
    runners: Sequence[Runner],
    project: Project,
    expander: Expander,
    event: str = "branch",
    variables: Mapping[str, str | Variable] | None = None,
    jobs: Sequence[str] = (),
    earlier: Pipeline | None = None,
    cancel_at: Mapping[str, str] | None = None,
    supersede_at: Mapping[str, str] | None = None,
) -> Pipeline:
    """Run the pipeline of a committed project for an event on runners of one GitLab; a job that fails is a result.

    `variables` are those of the project's settings, `jobs` those to run, where not all; with an `earlier` run they run
    again, and take its artifacts. `cancel_at` has, for each job that somebody cancels, the text in its log at which,
    and `supersede_at` the text at which a newer commit comes, which ends all jobs that are interruptible.
    """
    # Only jobs that run have a token that GitLab takes.
    project.tokens.clear()
    gitlab = runners[0].gitlab
    number = earlier.number if earlier else gitlab.runner_api.new_pipeline()
    plan = Plan(gitlab, project, expander, event, variables or {}, number, dict(earlier.builds) if earlier else {})
    course = Course(plan, jobs or plan.jobs, dict(earlier.results) if earlier else {})
    watches = {name: course.canceler(text) for name, text in (cancel_at or {}).items()}
    watches |= {name: course.superseder(text) for name, text in (supersede_at or {}).items()}
    since = time.monotonic()
    while True:
        with course.lock:
            if course.take_what_has_ended():
                since = time.monotonic()
            while course.start_what_is_ready(watches):
                pass
            if not course.running:
                break
        for runner in runners:
            runner.check()
        for name, build in course.running.items():
            waited = time.monotonic() - max(build.began, since)
            if build.status == "pending":
                late = waited > PATIENCE and all(other.status == "pending" for other in course.running.values())
            else:
                late = waited > PATIENCE + seconds(plan.job(name).get("timeout"))
            assert not late, f"{name} is {build.status}:\n{''.join(runner.log for runner in runners)}"
        time.sleep(0.05)
    ran = {name: plan.builds[name] for name in course.ran}
    ended = {name: result for name, result in course.results.items() if name in course.wanted and result != "skipped"}
    return Pipeline(number, ran, ended)


@dataclass
class Course:
    """A pipeline that runs: which of the jobs that are `wanted` run, have run and have ended, and how.

    What is watched is called by the server, in another thread.
    """

    plan: Plan
    wanted: Sequence[str]
    results: dict[str, str]
    running: dict[str, Build] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.left = [name for name in self.plan.jobs if name in self.wanted]
        for name in self.left:
            self.results.pop(name, None)

    def start_what_is_ready(self, watches: Mapping[str, Callable[[Build], None]]) -> bool:
        """Offer to the runners each job that may run now, and skip those that may not any more; tell of the latter.

        Of a group of jobs that share a resource, one runs at a time: https://docs.gitlab.com/ci/yaml/#resource_group
        """
        skipped = False
        for name in list(self.left):
            state, when = self.state_before(name), self.plan.job(name).get("when", "on_success")
            starts = STARTS[when] - ({"skipped"} if when == "on_success" and "needs" in self.plan.job(name) else set())
            if state and state not in starts:
                self.left.remove(name)
                self.results[name] = "skipped"
                skipped = True
            groups = {self.plan.resource_group(other) for other in self.running} - {None}
            if state in starts and self.plan.resource_group(name) not in groups:
                self.left.remove(name)
                self.attempts[name] = self.attempts.get(name, 0) + 1
                api = self.plan.gitlab.runner_api
                self.running[name] = api.enqueue(self.plan.project, self.plan.described(name), watches.get(name))
        return skipped

    def state_before(self, name: str) -> str:
        """Return how those of the jobs before one ended that are to run or have run; nothing where one has not ended.

        `lib/gitlab/ci/status/composite.rb` in GitLab
        """
        before = [other for other in self.plan.before(name) if other in self.wanted or other in self.results]
        ended = {self.results.get(other, "") for other in before}
        if "" in ended:
            return ""
        if "skipped" in ended and ("needs" in self.plan.job(name) or ended == {"skipped"}):
            return "skipped"
        if ended <= {"passed", "failed, allowed", "skipped"}:
            return "success"
        return "failed" if "failed" in ended else "canceled"

    def take_what_has_ended(self) -> bool:
        """Take the result of each job that has ended, or run it once more; tell whether there is one."""
        ended = [(name, build) for name, build in self.running.items() if build.ended]
        for name, build in ended:
            del self.running[name]
            job = self.plan.job(name)
            retry = job.get("retry", {})
            if build.failure_reason in retry.get("when", []) and self.attempts[name] <= retry["max"]:
                self.left.insert(0, name)
                continue
            self.plan.builds[name] = build
            self.results[name] = {"success": "passed"}.get(build.status, build.status)
            if build.status == "failed" and self.plan.allows_failure(name, build):
                self.results[name] = "failed, allowed"
            if build.began:
                self.ran.append(name)
        return bool(ended)

    def canceler(self, text: str) -> Callable[[Build], None]:
        """Return what cancels a job as soon as its log has a text."""

        def watch(build: Build) -> None:
            if text in build.log:
                build.cancel()

        return watch

    def superseder(self, text: str) -> Callable[[Build], None]:
        """Return what ends the jobs that are interruptible as soon as a log has a text, and lets no more of them begin.

        https://docs.gitlab.com/ci/yaml/#workflowauto_cancelon_new_commit
        """

        def watch(build: Build) -> None:
            if text not in build.log:
                return
            with self.lock:
                for name in [name for name in self.left if self.plan.job(name).get("interruptible")]:
                    self.left.remove(name)
                    self.results[name] = "canceled"
                for name, other in self.running.items():
                    if self.plan.job(name).get("interruptible"):
                        other.cancel()

        return watch
