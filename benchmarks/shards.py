"""Measures tests in shards on GitLab's own runner: how much sooner they end, and what that costs.

Suites of 200, 1,000 and 5,000 tests, with a long tail of durations, run in one job, and with the durations of that run
in 2, 4 and 8 shards. As on a fleet, where each job has a core, no more jobs run at a time than there are cores here;
the critical path is the longest of them, as if all had begun together on as many runners.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pipeline import bake
from tools.commands import ROOT, commit_all
from tools.expander import Expander
from tools.gitlab_runner.pipeline import run_pipeline
from tools.gitlab_runner.program import find_gitlab_runner
from tools.gitlab_runner.runner import Runner
from tools.options import DECLARED
from tools.requirements import find_program
from tools.runner import pythons_here, shell_executor
from tools.schema import fetch_oldest
from tools.stand_ins.gitlab import GitLab, package_index

SHARDS = (1, 2, 4, 8)
# The goals: what four shards take of one job, and by how much the longest may exceed the mean.
OF_ONE_JOB, IMBALANCE = 0.30, 0.10
MODULE = """import time

import pytest

from my_service import app


@pytest.mark.parametrize("seconds", {seconds})
def test_waits(seconds: float) -> None:
    assert app.main
    time.sleep(seconds)
"""


@dataclass(frozen=True)
class Measured:
    """What the jobs of a run took, in seconds: each with all that it does, and its tests."""

    jobs: list[float]
    tests: list[float]

    @property
    def path(self) -> float:
        """The seconds of the longest job."""
        return max(self.jobs)

    @property
    def imbalance(self) -> float:
        """By how much the tests of the longest shard exceed the mean."""
        return max(self.tests) * len(self.tests) / sum(self.tests) - 1

    @property
    def setup(self) -> float:
        """The seconds of a job beside its tests, on average."""
        return (sum(self.jobs) - sum(self.tests)) / len(self.jobs)


def write_suite(project: Path, count: int, total: float) -> None:
    """Write tests that together wait so many seconds."""
    chance = random.Random(count)  # noqa: S311
    drawn = [chance.lognormvariate(0, 1.5) for _ in range(count)]
    waits = [f"{seconds * total / sum(drawn):.6f}" for seconds in drawn]
    for old in (project / "tests").glob("*.py"):
        old.unlink()
    (project / "tests" / "__init__.py").touch()
    for number, first in enumerate(range(0, count, 50)):
        text = MODULE.format(seconds=f"[{', '.join(waits[first : first + 50])}]")
        (project / "tests" / f"test_{number:03}.py").write_text(text, encoding="utf-8")


def measure(project: Path, shards: int, gitlab: GitLab, expander: Expander, runner: Runner, cache: Path) -> Measured:
    """Run the tests of a project in so many shards; bring the durations of this run into it."""
    file = project / ".gitlab-ci.yml"
    text = file.read_text(encoding="utf-8")
    python = next(iter(PYTHONS))
    given = f'inputs: {{python_versions: ["{python}"], shards: {shards}}}'
    lines = text.splitlines()
    place = next(number for number, line in enumerate(lines) if line.endswith("/test.yml"))
    lines[place + 1] = f"    {given}"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    commit_all(project)
    here = gitlab.add_project(f"group/run-{gitlab.runner_api.new_pipeline()}", project)
    jobs = [name for name in expander.jobs("\n".join(lines) + "\n", "branch") if name.startswith(("test", "coverage"))]
    variables = {"UV_CACHE_DIR": str(cache), "PY_CI_COVERAGE_THRESHOLD": "1"}
    done = run_pipeline([runner], here, expander, "branch", variables, jobs=jobs)
    if set(done.results.values()) != {"passed"}:
        sys.exit(f"{done.output}\nThe pipeline failed; its output is above.")
    builds = [build for name, build in done.builds.items() if name.startswith("test")]
    (project / ".test-durations.json").write_bytes(done.builds["coverage"].files[".test-durations.json"])
    marks = re.findall(r", shard .+ tests, ([\d.]+) s$", done.log("coverage"), re.MULTILINE)
    return Measured([build.ended - build.began for build in builds], [float(mark) for mark in marks] or [TOTAL])


PYTHONS = dict(list(pythons_here(DECLARED["_python_versions"]).items())[:1])
TOTAL = 80.0


def main() -> int:
    """Measure all; return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, nargs="+", default=[200, 1000, 5000], help="sizes of the suites")
    sizes = parser.parse_args().tests
    cache = ROOT / ".pytest_cache" / "d"
    for name in ("gitlab-runner", "schema"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    program = find_gitlab_runner(cache / "gitlab-runner")
    ci_local = find_program("gitlab-ci-local", "run it with tox, which installs it from npm")
    shell = shell_executor(list(PYTHONS.values()))
    missed = []
    print("tests  shards  critical path  of one job  sum of job seconds  set-up of a job  imbalance", flush=True)
    for size in sizes:
        with (
            tempfile.TemporaryDirectory() as name,
            GitLab(Path(name, "gitlab"), package_index()) as gitlab,
            Runner(program, Path(name, "runner"), gitlab, shell, concurrent=os.cpu_count() or 1) as runner,
        ):
            os.environ["TMPDIR"] = name
            Path(name, "expanded").mkdir()
            expander = Expander(ci_local, ROOT, Path(name, "expanded"), fetch_oldest(cache / "schema"))
            project = bake(Path(name), list(PYTHONS), kind="command", signing="none", publish="none")
            (project / "tests" / "conftest.py").unlink()
            # The packages are in the cache of uv then.
            write_suite(project, 8, 1)
            measure(project, 1, gitlab, expander, runner, Path(name, "uv"))
            write_suite(project, size, TOTAL)
            one = 0.0
            for shards in SHARDS:
                done = measure(project, shards, gitlab, expander, runner, Path(name, "uv"))
                one = one or done.path
                print(
                    f"{size:5}  {shards:6}  {done.path:13.1f}  {done.path / one:10.2f}  {sum(done.jobs):18.1f}"
                    f"  {done.setup:15.1f}  {100 * done.imbalance:8.1f}%",
                    flush=True,
                )
                if shards > 1 and done.imbalance > IMBALANCE:
                    missed.append(f"{size} tests in {shards} shards: imbalance {done.imbalance:.1%}")
                if shards == 4 and done.path > OF_ONE_JOB * one:
                    missed.append(f"{size} tests in 4 shards take {done.path / one:.2f} of one job")
    print(*missed or ["All goals are kept."], sep="\n")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
