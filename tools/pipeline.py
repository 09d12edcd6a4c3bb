"""Runs the pipeline of a project, or of a new one, on this machine: `python -m tools.pipeline ../my-service`."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cookiecutter.exceptions import CookiecutterException
from cookiecutter.main import cookiecutter

from tools.commands import commit_all, run
from tools.components import load
from tools.gitlab_ci_local import EVENTS
from tools.options import COMPONENT_PROJECT, DECLARED, ROOT
from tools.runner import Executor, Pipeline, Variable, pythons_here, run_pipeline, shell_executor
from tools.stand_ins.gitlab import GitLab, package_index
from tools.template import bare_clone, copy_working_tree, tagged_copy

TOOLS = {
    "git": "install it first",
    "gitlab-ci-local": "run `tox run -e pipeline -- PROJECT`, which gets it from npm",
    "rsync": "install it first; gitlab-ci-local copies the project with it",
}
# They need a container registry, and rights that not every machine gives.
IMAGE_JOBS = ["build-image", "sbom-image", "digests-image", "sign-image", "verify-image", "publish-image"]
# A folder that has it was written by an earlier run, and may be written anew.
TABLE = "jobs.txt"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.pipeline",
        description="Run the GitLab pipeline of a project here, with a GitLab on loopback that has its registries. "
        "The project itself stays as it is: a copy of its files as they are now is run.",
    )
    parser.add_argument(
        "project", type=Path, nargs="?", help="the folder of the project, a git repository; without it, a new one"
    )
    parser.add_argument("jobs", nargs="*", help="the jobs to run with what they need; without any, all")
    parser.add_argument("--event", choices=EVENTS, default="branch", help="what starts the pipeline: %(default)s")
    parser.add_argument(
        "--answer", action="append", default=[], metavar="NAME=VALUE", help="what a new project is made with"
    )
    parser.add_argument(
        "--download-pythons", action="store_true", help="let uv download the Pythons that this machine lacks"
    )
    parser.add_argument(
        "--containers",
        choices=["docker", "podman"],
        help="give each job a container of its image; without it, jobs run in a shell",
    )
    parser.add_argument(
        "--variables",
        type=Path,
        metavar="FOLDER",
        help="CI/CD variables of the project: each file of the folder is one, of its name and with its content; "
        "those in a folder within it are protected, and for the environment of its name",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help=f"keep artifacts and reports there, in a folder for each job, with log.txt and {TABLE}",
    )
    given = parser.parse_args()
    if given.project and given.answer:
        parser.error("--answer is for a new project")
    for answer in given.answer:
        name, equals, _ = answer.partition("=")
        # Cookiecutter says nothing about a name that it does not know.
        if not equals or name.startswith("_") or name not in DECLARED:
            parser.error(f"--answer {answer}: give it as NAME=VALUE, with a name of docs/options.md")
    return given


def bake(answers: Sequence[str], pythons: list[str], folder: Path) -> Path:
    """Make a project for these Pythons, with the answers that differ from the defaults."""
    context = {
        "_python_versions": pythons,
        "_component_project": COMPONENT_PROJECT,
        **dict(answer.split("=", 1) for answer in answers),
    }
    made = cookiecutter(str(ROOT), no_input=True, extra_context=context, output_dir=str(folder), default_config=True)
    return Path(made)


def problems(given: argparse.Namespace) -> list[str]:
    """Return a line for each thing that stands in the way."""
    needed = {**TOOLS, **({given.containers: "install it first"} if given.containers else {})}
    found = [f"{tool} is missing: {remedy}." for tool, remedy in needed.items() if not shutil.which(tool)]
    if given.project and not all((given.project / name).exists() for name in (".git", ".gitlab-ci.yml")):
        found.append(f"{given.project} is no git repository with a .gitlab-ci.yml.")
    if given.variables and not given.variables.is_dir():
        found.append(f"{given.variables} is no folder with a file for each variable.")
    if given.output:
        if given.project and given.output.resolve().is_relative_to(given.project.resolve()):
            found.append(f"{given.output} is in the project, which would then have it as a file: name one outside.")
        elif given.output.exists() and not (given.output / TABLE).exists() and list(given.output.iterdir()):
            found.append(f"{given.output} has other files, which are kept: name an empty folder, or one that is new.")
    return found


def read_variables(folder: Path) -> dict[str, Variable]:
    """Return the variables of a folder, and those of environments, protected, from folders in it with their names.

    An editor ends a file with a new line, which the value does not have.
    """
    found = {}
    for file in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if file.is_file() and re.fullmatch(r"[A-Za-z_]\w*", file.name):
            scoped = file.parent != folder
            value = file.read_text(encoding="utf-8").rstrip("\n")
            found[file.name] = Variable(value, protected=scoped, environment=file.parent.name if scoped else "*")
    return found


def executor(containers: str | None, pythons: dict[str, Path]) -> Executor:
    """Return a runner that gives jobs containers, or a shell with the Pythons of this machine."""
    if containers:
        # With the network of the machine, which has GitLab on loopback.
        return Executor(containers=True, arguments=("--container-executable", containers, "--network", "host"))
    return shell_executor(list(pythons.values()))


def keep(done: Pipeline, containers: str | None, folder: Path) -> None:
    """Write what GitLab would keep: the artifacts and reports of each job, all output and the table of jobs.

    A report of a job in a container is there if it is an artifact too.
    """
    folder.mkdir(parents=True)
    pipeline = load(done.repository / ".gitlab-ci-local" / ("pipeline.yml" if containers else "shell.yml"))
    for name in done.jobs:
        # One that is easy to type: test-3.13 for test: [3.13].
        kept = folder / re.sub(r"[^\w.]+", "-", name).strip("-")
        artifacts, built = done.artifact(name, "."), done.report(name, ".")
        if artifacts.exists():
            shutil.copytree(artifacts, kept)
        reports = pipeline[name.partition(": [")[0]].get("artifacts", {}).get("reports", {})
        for value in reports.values():
            paths = value["path"] if isinstance(value, dict) else value
            for path in [paths] if isinstance(paths, str) else paths:
                for report in built.glob(path):
                    target = kept / report.relative_to(built)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(report, target)
    (folder / "log.txt").write_text(done.output, encoding="utf-8")
    (folder / TABLE).write_text(f"{done.table}\n", encoding="utf-8")


def copy_of(project: Path, folder: Path) -> Path:
    """Make a clone of a project, and commit its files as they are now in it."""
    copy = folder / project.resolve().name
    run("git", "clone", "--quiet", "--no-hardlinks", project, copy)
    for name in filter(None, run("git", "ls-files", "-z", cwd=copy).split("\0")):
        (copy / name).unlink()
    copy_working_tree(project, copy)
    commit_all(copy, "As it is now")
    return copy


def main() -> int:
    """Run the pipeline; return 0 where it passed, 1 where a job failed, 2 where it could not run."""
    given = arguments()
    faults = problems(given)
    if faults:
        print(*faults, sep="\n", file=sys.stderr)
        return 2
    if given.output and given.output.exists():
        shutil.rmtree(given.output)
    folder = Path(tempfile.mkdtemp(prefix="pipeline-"))
    pythons = pythons_here(DECLARED["_python_versions"])
    wanted = DECLARED["_python_versions"] if given.download_pythons else list(pythons)
    try:
        project = given.project or bake(given.answer, wanted, folder / "new")
    except (CookiecutterException, ValueError) as refused:
        print(f"The answers were refused: {refused}", file=sys.stderr)
        return 2
    except SystemExit as refused:
        # The template's own rules end the program with a line for each answer.
        print(refused, file=sys.stderr)
        return 2
    with GitLab(folder / "gitlab", package_index()) as gitlab:
        copy = copy_of(project, folder)
        variables: dict[str, str | Variable] = {}
        variables |= gitlab.variables(gitlab.add_project(f"your-group/{copy.name}", copy))
        if given.download_pythons:
            variables["UV_PYTHON_DOWNLOADS"] = "automatic"
        if given.variables:
            variables |= read_variables(given.variables)
        try:
            done = run_pipeline(
                str(shutil.which("gitlab-ci-local")),
                copy,
                bare_clone(tagged_copy(folder / "template"), folder / "template.git"),
                executor(given.containers, pythons),
                given.event,
                variables,
                given.jobs,
                live=True,
                left_out=IMAGE_JOBS,
            )
        except ValueError as refused:
            print(f"GitLab would refuse this pipeline:\n{refused}", file=sys.stderr)
            return 2
        finally:
            # It has their values, and a token.
            (copy / ".gitlab-ci-local" / "variables.yml").unlink(missing_ok=True)
    unknown = [job for job in given.jobs if not any(job in (name, name.partition(": [")[0]) for name in done.jobs)]
    if unknown:
        pipeline = load(done.repository / ".gitlab-ci-local" / ("pipeline.yml" if given.containers else "shell.yml"))
        names = [name for name, job in pipeline.items() if isinstance(job, dict) and "script" in job]
        print(f"There is no job {', '.join(unknown)}. The jobs are {', '.join(names)}.", file=sys.stderr)
        return 2
    if not done.jobs:
        print(f"No job runs for this event: {given.event}.")
        return 0
    if (project / "Dockerfile").exists():
        print(f"\nLeft out, for want of a container registry: {', '.join(IMAGE_JOBS)}.")
    kept = given.output or done.repository / ".gitlab-ci-local"
    if given.output:
        keep(done, given.containers, given.output)
        # What a container wrote may be root's.
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{done.table}\n\nReports and artifacts: {kept}")
    return 0 if done.status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
