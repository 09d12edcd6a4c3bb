"""Simulates a fleet of runners on paper: how long developers wait with shards, and which limit comes first.

50 projects make 500 merge requests a day, each with five pipelines, most in eight hours. The tests of a project take 10
minutes at the median, with a long tail. What jobs do themselves is measured; how long one takes to start is not.
Prints minutes from a push to the last result, and how busy the runners are.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from itertools import pairwise

SECONDS_A_DAY = 8 * 3600
REQUESTS, PUSHES, PROJECTS = 500, 5, 50
# Between two pushes to a merge request, in seconds, on average.
PAUSE = 1200
# What a job of tests does before and after them, as benchmarks/shards.py measures, and what the jobs beside it do, as
# benchmarks/cost.py does: lint, coverage, build and preflight; in seconds.
SETUP, OTHERS = 3.0, (3.0, 1.0, 2.5, 0.5)
# What a runner needs to start a job, in seconds: with the image and uv's cache in a volume of its own, a guess; with
# nothing, as published: https://gitlab.com/gitlab-org/gitlab/-/issues/8813
WARM, COLD = 10.0, 50.0
# What a job loads without a cache, in MB: the image and the packages; guesses for a service of middle size.
IMAGE, PACKAGES = 60, 40


def simulate(runners: int, shards: int, start: float, *, interruptible: bool = True) -> tuple[float, float, float]:
    """Return the median and the 95th percentile of minutes until the last pipeline of a push, and how busy they are.

    A job that is interruptible ends, or never begins, when the next push to its merge request comes.
    """
    chance = random.Random(1)  # noqa: S311
    tests = [600 * chance.lognormvariate(0, 0.8) for _ in range(PROJECTS)]
    pushes = []
    for _ in range(REQUESTS):
        project, moment = chance.randrange(PROJECTS), chance.uniform(0, SECONDS_A_DAY)
        moments = [moment, *(moment := moment + chance.expovariate(1 / PAUSE) for _ in range(PUSHES - 1))]
        pushes += [(*pair, project) for pair in pairwise([*moments, math.inf])]
    free = [0.0] * runners
    waited, busy = [], 0.0
    for began, superseded, project in sorted(pushes):
        ends = []
        for seconds in [SETUP + tests[project] / shards] * shards + list(OTHERS):
            taken = max(began, free[0])
            end = taken + start + seconds
            if interruptible:
                end = min(end, max(taken, superseded))
            heapq.heapreplace(free, max(end, free[0]))
            busy += end - taken
            ends.append(end)
        if superseded > max(ends):
            waited.append(max(ends) - began)
    ordered = sorted(waited)
    return statistics.median(ordered) / 60, ordered[len(ordered) * 95 // 100] / 60, busy / runners / SECONDS_A_DAY


def main() -> None:
    """Print the tables."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("runners  shards  start  interruptible  median  95 of 100  busy")
    cases = [(runners, shards, WARM, True) for runners in (20, 50, 100, 200) for shards in (1, 4, 8)]
    cases += [(runners, 4, *case) for runners in (50, 100) for case in ((COLD, True), (WARM, False))]
    for runners, shards, start, interruptible in cases:
        median, late, busy = simulate(runners, shards, start, interruptible=interruptible)
        said = "yes" if interruptible else "no"
        print(f"{runners:7}  {shards:6}  {start:5.0f}  {said:>13}  {median:6.1f}  {late:9.1f}  {100 * busy:3.0f}%")
    for shards in (1, 4, 8):
        jobs = REQUESTS * PUSHES * (shards + len(OTHERS))
        print(f"{shards} shards: {jobs} jobs a day, {jobs / SECONDS_A_DAY:.2f} a second,", end=" ")
        print(f"{jobs * IMAGE / 1000:.0f} GB of images and {jobs * PACKAGES / 1000:.0f} GB of packages without a cache")


if __name__ == "__main__":
    main()
