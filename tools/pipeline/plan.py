"""What of a pipeline runs on this machine: its jobs, what each waits for, and what is left out, with the reason."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.gitlab_ci_local import combinations
from tools.runner import without_jobs

# They need a container registry, and rights that not every machine gives.
IMAGE_JOBS = ("build-image", "sbom-image", "digests-image", "sign-image", "verify-image", "publish-image")
# The variable with the Python of a job, and what needs this Python in a shell.
PYTHON = "PY_CI_PYTHON"
NEEDS_PYTHON = re.compile(rf'--python "\${PYTHON}"')
FIRST, LAST = ".pre", ".post"
AFTER = "comes after"


@dataclass(frozen=True)
class Plan:
    """The jobs that will run, by name, with their stages; and those that are left out, with the reasons.

    `pipeline` is the expanded pipeline without the latter, `stages` are in their order. `before` are the jobs that each
    waits for, `needs` those that it names.
    """

    pipeline: dict[str, Any]
    stages: list[str]
    jobs: dict[str, str]
    left_out: dict[str, str]
    before: dict[str, list[str]] = field(default_factory=dict)
    needs: dict[str, list[str]] = field(default_factory=dict)


class UnknownJobError(Exception):
    """A person asked for a job that there is not, or not now; the message says which there are."""


def base(name: str) -> str:
    """Return the name of a job without the values of its matrix."""
    return name.partition(": [")[0]


def scripts(pipeline: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the jobs of an expanded pipeline."""
    return {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}


def stage_of(job: Mapping[str, Any]) -> str:
    """Return the stage of a job: https://docs.gitlab.com/ci/yaml/#stage"""
    return str(job.get("stage", "test"))


def named(job: Mapping[str, Any], key: str) -> list[str]:
    """Return the jobs that a job names under `needs` or `dependencies`, but those that it can do without."""
    listed = [each if isinstance(each, dict) else {"job": each} for each in job.get(key) or []]
    return [each["job"] for each in listed if not each.get("optional")]


def wanted_pythons(pipeline: Mapping[str, Any]) -> dict[str, str]:
    """Return the Python that each job needs in a shell, by the name of the job."""
    found = {}
    for name, job in scripts(pipeline).items():
        text = "\n".join(map(str, [*job.get("before_script", []), *job["script"]]))
        if not NEEDS_PYTHON.search(text):
            continue
        common = job.get("variables", {}).get(PYTHON)
        for each, values in (combinations(job, name) or {name: {}}).items():
            if python := values.get(PYTHON, common):
                found[each] = str(python)
    return found


def stages_of(pipeline: Mapping[str, Any]) -> list[str]:
    """Return the stages of an expanded pipeline, in their order."""
    named = [stage for stage in pipeline.get("stages", []) if stage not in (FIRST, LAST)]
    return [FIRST, *named, LAST]


def reasons(pipeline: Mapping[str, Any], running: Sequence[str], missing: Collection[str]) -> dict[str, str]:
    """Return why each of the jobs that would run is left out in a shell, where these Pythons are missing."""
    jobs, order, pythons = scripts(pipeline), stages_of(pipeline), wanted_pythons(pipeline)
    found = {name: "no container registry on this machine" for name in running if name in IMAGE_JOBS}
    # The first job that lacks a token, and the place of its stage.
    unsigned, stage = "", len(order)
    for name in running:
        if name in found:
            continue
        job = jobs[base(name)]
        if job.get("id_tokens"):
            found[name] = "no identity token, which GitLab gives"
            if order.index(stage_of(job)) < stage:
                unsigned, stage = name, order.index(stage_of(job))
        elif pythons.get(name) in missing:
            found[name] = f"no Python {pythons[name]} on this machine (--pythons download)"
    gone = {name for name in running if name in IMAGE_JOBS}
    for name in sorted(running, key=lambda name: order.index(stage_of(jobs[base(name)]))):
        if name in found:
            continue
        job = jobs[base(name)]
        kept = {base(other) for other in running if other not in found}
        lacking = [
            other
            for other in {*named(job, "needs"), *named(job, "dependencies")} - kept - gone
            if other in map(base, found)
        ]
        if lacking:
            other = next(other for other in found if base(other) in lacking)
            found[name] = found[other] if found[other].startswith(AFTER) else f"{AFTER} {other}"
        elif job.get("needs") is None and order.index(stage_of(job)) > stage:
            # Nothing is published that was not signed.
            found[name] = f"{AFTER} {unsigned}"
    return found


def choose(pipeline: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return an expanded pipeline with just these of its jobs, each as it is called where it runs."""
    jobs = scripts(pipeline)
    kept = without_jobs(pipeline, [name for name in jobs if name not in map(base, names)])
    for name, job in jobs.items():
        if name not in kept:
            continue
        if matrix := [values for each, values in combinations(job, name).items() if each in names]:
            job = {**job, "parallel": {"matrix": [{key: [value] for key, value in each.items()} for each in matrix]}}
        if job.get("needs"):
            needs = [each for each in job["needs"] if (each["job"] if isinstance(each, dict) else each) in kept]
            job = {**job, "needs": needs}
        kept[name] = job
    return kept


def order_of(pipeline: Mapping[str, Any], running: Sequence[str], key: str = "") -> dict[str, list[str]]:
    """Return the jobs that each job waits for; with a key, `needs`, those that it names there."""
    jobs, order = scripts(pipeline), stages_of(pipeline)
    found = {}
    for name in running:
        job = jobs[base(name)]
        if job.get("needs") is not None:
            wanted = named(job, "needs")
            found[name] = [other for other in running if base(other) in wanted]
        else:
            stage = order.index(stage_of(job))
            earlier = [other for other in running if order.index(stage_of(jobs[base(other)])) < stage]
            found[name] = [] if key else earlier
    return found


def asked_for(pipeline: Mapping[str, Any], running: Sequence[str], wanted: Sequence[str], event: str) -> list[str]:
    """Return the jobs that a person asked for, with what they need; raise UnknownJobError where there is none."""
    jobs = scripts(pipeline)
    for name in wanted:
        if not any(name in (each, base(each)) for each in running):
            if name in jobs:
                raise UnknownJobError(f"The job {name} does not run for this event: {event}.")
            raise UnknownJobError(f"There is no job {name}. The jobs are {', '.join(running)}.")
    before = order_of(pipeline, running)
    chosen: set[str] = set()
    left = [each for each in running if each in wanted or base(each) in wanted]
    while left:
        name = left.pop()
        if name not in chosen:
            chosen.add(name)
            left += before[name]
    return [name for name in running if name in chosen]


def make_plan(
    pipeline: dict[str, Any], running: Sequence[str], missing: Collection[str], wanted: Sequence[str], event: str
) -> Plan:
    """Plan an expanded pipeline, of which these jobs would run for an event.

    `missing` are the Pythons that this machine lacks, `wanted` the jobs that a person asked for, where not all. Raises
    UnknownJobError.
    """
    order, jobs = stages_of(pipeline), scripts(pipeline)
    places = {name: (order.index(stage_of(job)), place) for place, (name, job) in enumerate(jobs.items())}
    running = sorted(running, key=lambda name: places[base(name)])
    asked = asked_for(pipeline, running, wanted, event) if wanted else running
    found = {name: why for name, why in reasons(pipeline, running, missing).items() if name in asked}
    chosen = [name for name in asked if name not in found]
    return Plan(
        choose(pipeline, chosen),
        [stage for stage in order if any(stage_of(jobs[base(name)]) == stage for name in chosen)],
        {name: stage_of(jobs[base(name)]) for name in chosen},
        found,
        order_of(pipeline, chosen),
        order_of(pipeline, chosen, "needs"),
    )


def critical_path(times: Mapping[str, tuple[float, float]], before: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the jobs that the end of the pipeline waited for, first to last: each began when the one before it ended.

    `times` are when each job that ran began and ended.
    """
    found: list[str] = []
    left = list(times)
    while left:
        name = max(left, key=lambda each: times[each][1])
        found.insert(0, name)
        left = [each for each in before.get(name, ()) if each in times]
    return found


def drawing(plan: Plan) -> str:
    """Return the graph as text: each stage with its jobs, and the jobs that these need."""
    width = max(map(len, plan.jobs), default=0)
    lines = []
    for stage in plan.stages:
        lines.append(stage)
        inside = [name for name, its in plan.jobs.items() if its == stage]
        for name in inside:
            arm = "└─" if name == inside[-1] else "├─"
            needs = plan.needs[name]
            if needs:
                after = f"after {', '.join(needs)}"
            elif plan.before[name]:
                after = "after all earlier stages"
            else:
                after = "at once"
            lines.append(f"{arm} {name:{width}}  {after}")
    return "\n".join(lines)
