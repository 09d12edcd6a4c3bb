"""Says what a push costs on hosted runners, which count every second of every job, its clone and its image too.

`tox run -e benchmarks-pipeline` runs it. The seconds of each job are measured by `benchmarks.pipeline`, with uv at
hand for ours; each job of a default project is then counted as GitLab starts it, with a price for its start.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Mapping

from benchmarks.pipeline import REFERENCE, Measured, measure_in_turn
from project import pipeline
from tools.options import DECLARED, DEFAULTS
from tools.runner import pythons_here

# A job that sleeps for 10 seconds took 60 on gitlab.com: https://gitlab.com/gitlab-org/gitlab/-/issues/8813
START = 50
# What `benchmarks.image` measured; there is no engine here that all machines have.
IMAGE = 2.5
OURS = "ours, uv is there"


def seconds(turns: Iterable[Measured]) -> dict[str, float]:
    """Return the median of the seconds of each job; those of a matrix are one."""
    found: dict[str, list[float]] = {"build-image": [IMAGE]}
    for turn in turns:
        for name, took in turn.jobs.items():
            found.setdefault(name.partition(":")[0], []).append(took)
    return {name: statistics.median(each) for name, each in found.items()}


def cost(jobs: Iterable[str], took: Mapping[str, float]) -> float:
    """Return the seconds that are counted for some jobs."""
    return sum(START + took[name] for name in jobs)


def main() -> int:
    """Print a table."""
    turns = measure_in_turn(1, pythons_here(DECLARED["_python_versions"]), OURS, REFERENCE)
    ours, classic = seconds(turns[OURS]), seconds(turns[REFERENCE])
    (test,) = (job for job in pipeline({**DECLARED, **DEFAULTS}) if job.component == "test")
    every, ends = (["test"] * len(given["python_versions"]) for given in (test.inputs, test.in_merge_request))
    rows = {
        "all jobs of a branch": (["preflight", "lint", *every, "coverage", "build", "sbom", "build-image"], ours),
        "a merge request that changes code": (["lint", *ends, "coverage", "build"], ours),
        "a merge request that changes `pyproject.toml` too": (
            ["lint", *ends, "coverage", "build", "sbom", "build-image"],
            ours,
        ),
        "all Pythons in a merge request": (["lint", *every, "coverage", "build"], ours),
        "the same jobs with venv and pip": (["lint", *every, "coverage", "build"], classic),
    }
    whole = cost(*rows["all jobs of a branch"])
    for title, (jobs, took) in rows.items():
        work = sum(took[name] for name in jobs)
        print(f"| {title} | {len(jobs)} | {work:.0f} | {cost(jobs, took):.0f} ({cost(jobs, took) / whole:.2f}) |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
