"""Decides which project may get which release of the template, from what is known of the canaries.

Projects with the topic `canary` get a release at once. The others get it after days in which no pipeline of a canary
broke, and those with the topic `critical` after more of them. A release that breaks a pipeline of a canary that passed
before stops there, until the pipeline passes again or a newer release takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tools.fleet.data import Fleet, Project, Release, Run, days_between, order

# What a release is for a canary.
BROKEN, PASSED, SILENT = "broken", "passed", "silent"
BAD, GOOD = ("failed",), ("success",)


@dataclass
class Progress:
    """How far a release is.

    `state` is one of `new`, `skipped` by all canaries, `canaries`, `held`, `released` to all but critical projects, and
    `everywhere`; `reason` is a line for people, and `broken` are the canaries that hold it, with their pipelines.
    """

    release: Release
    state: str
    reason: str
    broken: list[tuple[str, str]] = field(default_factory=list)

    @property
    def version(self) -> str:
        """Its version."""
        return self.release["version"]


@dataclass(frozen=True)
class Days:
    """For how many days canaries have a release alone, and then all but critical projects."""

    normal: float = 3
    critical: float = 3


def wave_of(project: Project) -> str:
    """Return the wave of a project; where it has both topics, the later one."""
    topics = project.get("topics", [])
    return "critical" if "critical" in topics else "canary" if "canary" in topics else "normal"


def run_with(project: Project, version: str) -> Run | None:
    """Return how the newest pipeline with a release went: of the default branch, or of the merge request before it."""
    return project.get("runs", {}).get(version) or project.get("trials", {}).get(version)


def passed_before(project: Project, version: str) -> bool:
    """Tell whether a canary passed with the release before this one, or failed with it because of that release."""
    earlier = [each for each in project.get("runs", {}) if order(each) < order(version)]
    last = max(earlier, key=order, default=None)
    if last is None:
        return False
    return project["runs"][last]["status"] in GOOD or verdict(project, last) == BROKEN


def verdict(project: Project, version: str) -> str:
    """Return what a canary says of a release."""
    run = run_with(project, version)
    if run is None:
        return SILENT
    if run["status"] in GOOD:
        return PASSED
    # Who failed before says nothing; who passed with this very release has seen it work, and yet it may wait.
    tried = [each[version] for each in (project.get("runs", {}), project.get("trials", {})) if version in each]
    was_good = any(each["since"] for each in tried) or passed_before(project, version)
    return BROKEN if run["status"] in BAD and was_good else SILENT


def progress_of(release: Release, canaries: Sequence[Project], days: Days, now: datetime) -> Progress:
    """Return how far a release is."""
    version = release["version"]
    if not canaries:
        why = "no project has the topic canary, so all wait; tagged"
        return soaked(Progress(release, "new", why), release["at"], days, now)
    said = {each["path"]: verdict(each, version) for each in canaries}
    broken = [each for each in canaries if said[each["path"]] == BROKEN]
    if broken:
        links = [(each["path"], (run_with(each, version) or {"url": ""})["url"]) for each in broken]
        return Progress(release, "held", f"broke the pipeline of {', '.join(path for path, _ in links)}", links)
    runs = [run for each in canaries if (run := run_with(each, version))]
    if not runs:
        newer = all(order(each.get("version") or "") > order(version) for each in canaries)
        return Progress(release, "skipped" if newer else "new", "no canary has run with it")
    good = [run["since"] for each in canaries if said[each["path"]] == PASSED and (run := run_with(each, version))]
    since = [each for each in good if each]
    if not since:
        return Progress(release, "canaries", "no canary has passed with it")
    # A pipeline that broke and passes again begins the days anew.
    ends = [run["since"] for run in runs if run["broke"] and run["since"] and run["since"] > run["broke"]]
    why = f"{len(since)} of {len(canaries)} canaries passed; since"
    return soaked(Progress(release, "canaries", why), max([min(since), *ends]), days, now)


def soaked(waiting: Progress, begin: str, days: Days, now: datetime) -> Progress:
    """Return how far a release is of which nothing bad is known since a time."""
    passed = max(days_between(begin, now), 0)
    state, reason = waiting.state, f"{waiting.reason} {begin[:10]}"
    if passed >= days.normal + days.critical:
        state = "everywhere"
    elif passed >= days.normal:
        state, reason = "released", f"{reason}, critical projects in {left(days.normal + days.critical - passed)}"
    else:
        reason = f"{reason}, all in {left(days.normal - passed)}"
    return Progress(waiting.release, state, reason)


def left(days: float) -> str:
    """Say how long it takes."""
    return f"{days:.1f} days"


def progress(fleet: Fleet, days: Days, now: datetime) -> list[Progress]:
    """Return how far each release is, oldest first."""
    canaries = canaries_of(fleet)
    return [progress_of(release, canaries, days, now) for release in sorted(fleet["releases"], key=version_of)]


def canaries_of(fleet: Fleet) -> list[Project]:
    """Return the canaries; one that cannot be read says what was last known of it, or a release would go past it."""
    ours = [each for each in fleet["projects"] if each["state"] in ("ok", "broken", "forbidden")]
    return [each for each in ours if wave_of(each) == "canary"]


def version_of(release: Release) -> tuple[int, ...]:
    """Return what a release is sorted by."""
    return order(release["version"])


def allowed(project: Project, releases: Sequence[Progress]) -> str | None:
    """Return the newest release that a project may get now; None where there is none that is newer than its own."""
    if project["state"] != "ok":
        return None
    wave, current = wave_of(project), order(project.get("version") or "")
    request = project.get("merge_request")
    tried = request["version"] if request and request["state"] == "opened" else None
    states = {"normal": ("released", "everywhere"), "critical": ("everywhere",)}
    for each in sorted(releases, key=lambda each: order(each.version), reverse=True):
        if order(each.version) <= current:
            return None
        if wave == "canary":
            # One that tries a release goes on with it, so that people can look at it.
            if each.state != "held" or tried == each.version:
                return each.version
        elif each.state in states[wave]:
            return each.version
    return None
