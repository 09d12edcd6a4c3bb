"""Simulates a fleet of runners on paper: how long developers wait with shards, and which limit comes first.

50 projects make 500 merge requests a day, each with five pipelines, most in eight hours. The parameters of a job are
those that benchmarks/shards.py has measured; the tests of a project take 10 minutes at the median, with a long tail.
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
# The jobs beside the tests, in seconds, without their set-up.
OTHERS = (5.0, 20.0, 10.0, 10.0)
# What a job loads without a cache, in MB: the image and the packages.
IMAGE, PACKAGES = 60, 40


def simulate(runners: int, shards: int, setup: float, *, interruptible: bool = True) -> tuple[float, float, float]:
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
        for seconds in [tests[project] / shards] * shards + list(OTHERS):
            start = max(began, free[0])
            end = start + setup + seconds
            if interruptible:
                end = min(end, max(start, superseded))
            heapq.heapreplace(free, max(end, free[0]))
            busy += end - start
            ends.append(end)
        if superseded > max(ends):
            waited.append(max(ends) - began)
    ordered = sorted(waited)
    return statistics.median(ordered) / 60, ordered[len(ordered) * 95 // 100] / 60, busy / runners / SECONDS_A_DAY


def main() -> None:
    """Print the tables."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("runners  shards  set-up  interruptible  median  95 of 100  busy")
    cases = [(runners, shards, 15, True) for runners in (20, 50, 100, 200) for shards in (1, 4, 8)]
    cases += [(50, 4, 60, True), (50, 4, 15, False), (100, 4, 60, True), (100, 4, 15, False)]
    for runners, shards, setup, interruptible in cases:
        median, late, busy = simulate(runners, shards, setup, interruptible=interruptible)
        said = "yes" if interruptible else "no"
        print(f"{runners:7}  {shards:6}  {setup:6}  {said:>13}  {median:6.1f}  {late:9.1f}  {busy:4.0%}")
    for shards in (1, 4, 8):
        jobs = REQUESTS * PUSHES * (shards + len(OTHERS))
        print(f"{shards} shards: {jobs} jobs a day, {jobs / SECONDS_A_DAY:.2f} a second,", end=" ")
        print(f"{jobs * IMAGE / 1000:.0f} GB of images and {jobs * PACKAGES / 1000:.0f} GB of packages without a cache")


if __name__ == "__main__":
    main()
