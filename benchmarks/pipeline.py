"""Measures the branch pipeline against the same jobs with venv and pip, and against GitLab's own tutorial.

`tox run -e benchmarks-pipeline` runs it. All have the same package, Pythons, runner and package index, and
are measured in turn, so that a busy machine slows all; the median of the turns' ratios is what counts. Each
run has a new copy of the project, so that every job starts with empty caches, as it does in CI.

A job is timed from the first line of its script to the last; what a runner needs to start it is the same for
all. One job runs at a time, so that none takes another's core; the critical path is what the pipeline would
take where no job waits for a runner.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.commands import commit_all
from tools.components import load
from tools.gitlab_ci_local import as_on_gitlab
from tools.options import DECLARED, ROOT
from tools.runner import Executor, Pipeline, expand, pythons_here, run_pipeline
from tools.stand_ins.gitlab import GitLab, package_index

TOOLS = {
    "git": "apt install git",
    "rsync": "apt install rsync",
    "uv": "run this with tox, which installs it",
    "gitlab-ci-local": "run this with tox, which installs it from npm",
}
# Touches a file when the first test begins.
CONFTEST = """from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _first_test() -> None:
    Path(".first-test").touch()
"""


@dataclass(frozen=True)
class Contender:
    """A pipeline: its file here, where it is not the baked one; whether its jobs find uv; and its limit.

    The limit is for the critical path, as a ratio to the reference.
    """

    file: str = ""
    uv: bool = False
    limit: float = math.inf


REFERENCE = "the same with venv and pip"
CONTENDERS = {
    "ours, uv is there": Contender(uv=True, limit=0.2),
    "ours, each job fetches uv": Contender(limit=0.5),
    REFERENCE: Contender("classic.yml"),
    "GitLab's tutorial, build only": Contender("tutorial.yml"),
}


@dataclass(frozen=True)
class Measured:
    """The seconds of a pipeline: of each job; from a job's start to its first test; and of the whole.

    `with_our_needs` is the whole if each job waited for no other than ours do.
    """

    jobs: dict[str, float]
    first_test: float
    critical_path: float
    with_our_needs: float


def link_programs(folder: Path, found: dict[str, Path]) -> None:
    """Make a folder with the programs of this machine and these Pythons, but without uv."""
    folder.mkdir()
    for path in map(Path, os.get_exec_path()):
        for program in path.glob("*"):
            link = folder / program.name
            if not program.name.startswith(("pip", "python", "uv")) and not link.is_symlink():
                link.symlink_to(program)
    for version, path in found.items():
        # That of a virtual environment, or a shim of pyenv, is not the one that an image has.
        code = "import sys; print(sys.base_prefix)"
        asked = subprocess.run([path / f"python{version}", "-c", code], check=True, capture_output=True, text=True)
        (folder / f"python{version}").symlink_to(Path(asked.stdout.strip()) / "bin" / f"python{version}")
    (folder / "python3").symlink_to(f"python{next(iter(found))}")


def bake(folder: Path, pythons: list[str], **options: str) -> Path:
    """Bake the project that all pipelines run in."""
    settings = {"cookiecutters_dir": f"{folder}/clones", "replay_dir": f"{folder}/replay"}
    answers = {"default_context": {"_python_versions": pythons}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings | answers), encoding="utf-8")
    env = {**os.environ, "COOKIECUTTER_CONFIG": f"{folder}/config.yaml", "TMPDIR": str(folder)}
    chosen = [f"{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "cookiecutter", "--no-input", f"--output-dir={folder}/baked", str(ROOT), *chosen]
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    (project,) = (folder / "baked").iterdir()
    (project / "tests" / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return project


def write_pipeline(project: Path, file: str, pythons: list[str]) -> dict[str, Any]:
    """Write a pipeline with these Pythons and a clock in each job; return the jobs by name."""
    if file:
        pipeline = load(Path(__file__).with_name(file))
    else:
        pipeline = expand("gitlab-ci-local", project, as_on_gitlab(project, ROOT), [])
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    if file:
        pipeline["variables"]["PYTHON_VERSION"] = pythons[0]
        for job in jobs.values():
            if "parallel" in job:
                job["parallel"]["matrix"] = [{"PYTHON_VERSION": pythons}]
    for job in jobs.values():
        job["before_script"] = ["touch .started", *job.get("before_script", [])]
        job["script"] = [*job["script"], "touch .finished"]
    (project / ".gitlab-ci.yml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    stages = [".pre", *pipeline["stages"]]
    for job in jobs.values():
        earlier = stages[: stages.index(job["stage"])]
        job.setdefault("needs", [name for name, other in jobs.items() if other["stage"] in earlier])
    return jobs


def touched(done: Pipeline, job: str, file: str) -> float:
    """Return when a job touched a file, in seconds."""
    return done.report(job, file).stat().st_mtime


def critical_path(jobs: dict[str, Any], took: dict[str, float]) -> float:
    """Return the seconds of the longest chain of jobs that wait for each other."""

    def end(name: str) -> float:
        # The jobs of a matrix, `test: [3.13]` and so on, start together; a job of tags took nothing.
        longest = max((seconds for job, seconds in took.items() if job.partition(":")[0] == name), default=0)
        needs = [need if isinstance(need, str) else need["job"] for need in jobs[name]["needs"]]
        return longest + max(map(end, needs), default=0)

    return max(map(end, jobs))


def measure(folder: Path, baked: Path, contender: Contender, pythons: list[str]) -> Measured:
    """Run a pipeline in a new copy of the project."""
    path = [f"{folder}/uv"] * contender.uv + [f"{folder}/programs"]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        project = Path(name, "my-service")
        shutil.copytree(baked, project)
        commit_all(project)
        jobs = ours = write_pipeline(project, "", pythons)
        if contender.file:
            jobs = write_pipeline(project, contender.file, pythons)
        commit_all(project)
        executor = Executor(arguments=("--concurrency", "1"), variables={"PATH": os.pathsep.join(path)})
        with GitLab(Path(name, "gitlab"), package_index()) as server:
            here = server.variables(server.add_project("your-group/my-service", project))
            done = run_pipeline("gitlab-ci-local", project, ROOT, executor, variables=here)
        if done.status != 0:
            sys.exit(f"{done.output}\n{contender.file or 'Our pipeline'} failed; its output is above.")
        starts = {job: touched(done, job, ".started") for job in done.jobs}
        ends = {job: touched(done, job, ".finished") for job in done.jobs}
        tests = [touched(done, job, ".first-test") - starts[job] for job in starts if job.startswith("test")]
    took = {job: ends[job] - start for job, start in starts.items()}
    first_test = statistics.median(tests or [math.nan])
    with_our_needs = critical_path(ours, took) if jobs.keys() <= ours.keys() else math.nan
    return Measured(took, first_test, critical_path(jobs, took), with_our_needs)


def measure_in_turn(rounds: int, found: dict[str, Path], *titles: str) -> dict[str, list[Measured]]:
    """Measure contenders in each turn, all of them or some, and print what their jobs took; return each one's turns."""
    contenders = {title: CONTENDERS[title] for title in titles or CONTENDERS}
    turns: dict[str, list[Measured]] = {title: [] for title in contenders}
    pythons = list(found)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        link_programs(folder / "programs", found)
        (folder / "uv").mkdir()
        (folder / "uv" / "uv").symlink_to(str(shutil.which("uv")))
        baked = bake(folder, pythons, kind="command")
        # The caches of the file system, and of an index near by, are warm for all.
        for contender in contenders.values():
            measure(folder, baked, contender, pythons)
        for turn in range(rounds):
            for title, contender in contenders.items():
                turns[title].append(measure(folder, baked, contender, pythons))
                jobs = ", ".join(f"{job} {seconds:.1f}" for job, seconds in turns[title][-1].jobs.items())
                print(f"turn {turn + 1}, {title}: {jobs}", flush=True)
    return turns


def report(turns: dict[str, list[Measured]]) -> bool:
    """Print the medians as a table, with ratios to the reference; return whether the limits are kept."""
    columns = ("first_test", "critical_path", "with_our_needs")
    missed = []
    print(f"\n{'seconds (ratio)':30}", *(f"{column.replace('_', ' '):>16}" for column in columns))
    for title, mine in turns.items():
        cells = []
        for column in columns:
            seconds = [getattr(turn, column) for turn in mine]
            references = [getattr(turn, column) for turn in turns[REFERENCE]]
            ratio = statistics.median(mine / its for mine, its in zip(seconds, references, strict=True))
            cells.append("-" if math.isnan(ratio) else f"{statistics.median(seconds):.1f} ({ratio:.2f})")
            limit = CONTENDERS[title].limit
            if column == "critical_path" and ratio > limit:
                missed.append(f"{title}: the critical path takes {ratio:.3f} of the reference, more than {limit}.")
        print(f"{title:30}", *(f"{cell:>16}" for cell in cells))
    print(*missed or ["All limits are kept."], sep="\n")
    return not missed


def main() -> int:
    """Measure all; return 1 where a limit is missed, 2 where the machine lacks something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each pipeline is measured (%(default)s)")
    rounds = parser.parse_args().rounds
    found = pythons_here(DECLARED["_python_versions"])
    lacking = [f"{tool} is missing: {remedy}" for tool, remedy in TOOLS.items() if not shutil.which(tool)]
    if not found:
        lacking.append(f"No Python {' or '.join(DECLARED['_python_versions'])} is on PATH or under pyenv.")
    if lacking:
        print(*lacking, sep="\n", file=sys.stderr)
        return 2
    return 0 if report(measure_in_turn(rounds, found)) else 1


if __name__ == "__main__":
    sys.exit(main())
