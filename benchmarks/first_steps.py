"""Measures the first steps of a developer: the commands of a project's README, to the last line of its checks.

`tox run -e benchmarks` runs it. The package index is warm: each way has been gone once before it is timed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.pipeline import bake
from tools.documents import commands_of
from tools.options import DECLARED, DEFAULTS
from tools.samples.baked import BakedProject
from tools.samples.developer import outside

# The code blocks below the heading, in their order, and the seconds that each may take on 2 cores.
WAYS = {"uv": 15, "pip": 40}


def first_steps(way: str) -> float:
    """Make a project and do its first steps; return the seconds of the steps."""
    with tempfile.TemporaryDirectory() as folder:
        project = BakedProject(bake(Path(folder), DECLARED["_python_versions"]), DEFAULTS)
        commands = commands_of(project.read("README.md"), "Develop", list(WAYS).index(way))
        start = time.monotonic()
        project.run("sh", "-e", "-c", commands, env=outside(project))
        return time.monotonic() - start


def measure(rounds: int) -> None:
    """Go each way in turn, and print a table."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        for way, took in seconds.items():
            passed = first_steps(way)
            if number:
                took.append(passed)
    print(f"{'first steps with':20}{'seconds':>10}{'limit':>8}{'ratio':>8}")
    usual = statistics.median(seconds["pip"])
    for way, limit in WAYS.items():
        middle = statistics.median(seconds[way])
        print(f"{way:20}{middle:10.1f}{limit:8}{middle / usual:8.2f}")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="first_steps", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is gone (%(default)s)")
    measure(parser.parse_args().rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
