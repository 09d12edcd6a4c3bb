"""Runs the pipeline of a project, or of a new one, on this machine: `python -m tests.e2e ../my-service`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cookiecutter.exceptions import CookiecutterException
from cookiecutter.main import cookiecutter

from tests.baked import commit_all, run
from tests.e2e.gitlab import GitLab, package_index
from tests.e2e.runner import pythons_here, run_pipeline, shell_executor
from tests.options import DECLARED, ROOT
from tests.pipeline import EVENTS, bare_clone, copy_working_tree, tagged_copy

TOOLS = {
    "git": "install it first",
    "gitlab-ci-local": "run `tox run -e pipeline -- PROJECT`, which gets it from npm",
    "rsync": "install it first; gitlab-ci-local copies the project with it",
}
# They need a container registry, and rights that not every machine gives.
IMAGE_JOBS = ["build-image", "sbom-image", "sign-image", "verify-image", "publish-image"]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.e2e",
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
    context = {"_python_versions": pythons, **dict(answer.split("=", 1) for answer in answers)}
    made = cookiecutter(str(ROOT), no_input=True, extra_context=context, output_dir=str(folder), default_config=True)
    return Path(made)


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
    lacking = [f"{tool} is missing: {remedy}." for tool, remedy in TOOLS.items() if not shutil.which(tool)]
    if given.project and not all((given.project / name).exists() for name in (".git", ".gitlab-ci.yml")):
        lacking.append(f"{given.project} is no git repository with a .gitlab-ci.yml.")
    if lacking:
        print(*lacking, sep="\n", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="pipeline-"))
    pythons = pythons_here(DECLARED["_python_versions"])
    wanted = DECLARED["_python_versions"] if given.download_pythons else list(pythons)
    try:
        project = given.project or bake(given.answer, wanted, folder / "new")
    except (CookiecutterException, ValueError) as refused:
        print(f"The answers were refused: {refused}", file=sys.stderr)
        return 2
    with GitLab(folder / "gitlab", package_index()) as gitlab:
        variables = gitlab.variables(gitlab.add_project(f"your-group/{project.resolve().name}"))
        if given.download_pythons:
            variables["UV_PYTHON_DOWNLOADS"] = "automatic"
        try:
            done = run_pipeline(
                str(shutil.which("gitlab-ci-local")),
                copy_of(project, folder),
                bare_clone(tagged_copy(folder / "template"), folder / "template.git"),
                shell_executor(list(pythons.values())),
                given.event,
                variables,
                given.jobs,
                live=True,
                left_out=IMAGE_JOBS,
            )
        except ValueError as refused:
            print(f"GitLab would refuse this pipeline:\n{refused}", file=sys.stderr)
            return 2
    if not done.jobs:
        print(f"No job runs for this event: {given.event}.")
        return 0
    if (project / "Dockerfile").exists():
        print(f"\nLeft out, for want of a container registry: {', '.join(IMAGE_JOBS)}.")
    print(f"\n{done.table}\n\nReports and artifacts: {done.repository / '.gitlab-ci-local'}")
    return 0 if done.status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
