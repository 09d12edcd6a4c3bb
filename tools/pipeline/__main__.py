"""Runs the pipeline of a project on this machine: `py-ci-pipeline ../my-service`."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import platformdirs
import yaml
from rich.console import Console

from tools.commands import commit_all, copy_working_tree, run
from tools.components import TEMPLATES, component
from tools.gitlab_ci_local import INCLUDED, NOT_READ, PROBE, arguments_of, as_on_gitlab, ask, names_of, probes
from tools.messages import explained_in
from tools.pipeline import containers, npm
from tools.pipeline.key import KEY, PASSWORD, make_key_pair
from tools.pipeline.page import Run, render
from tools.pipeline.plan import Plan, UnknownJobError, drawing, make_plan, scripts, wanted_pythons
from tools.pipeline.progress import Progress, print_end, say, shown
from tools.pipeline.results import folder_of, keep, read, with_reports_as_artifacts
from tools.runner import TARGET, Executor, Variable, expand, pythons_here, run_pipeline, set_refs, shell_executor
from tools.stand_ins.gitlab import GitLab, package_index

NAME = "py-ci-pipeline"
EVENTS = {"branch": "branch", "merge-request": "merge request", "schedule": "schedule", "tag": "tag"}
# A folder that has it was written by an earlier run, and may be written anew.
TABLE = "jobs.txt"
PAGE = "index.html"
LOG = "log.txt"
# How people get what is missing; gitlab-ci-local copies the project with rsync.
TOOLS = {"git": "apt install git, or brew install git", "rsync": "apt install rsync, or brew install rsync"}
PASSED, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = f"""exit codes: {PASSED}, all jobs passed; {FAILED}, a job failed; {UNUSABLE}, the pipeline could not run;
{INTERRUPTED}, it was interrupted, and all jobs were ended"""
# GitLab masks no value that is shorter: https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable
SHORTEST_SECRET = 8


class UnusableError(Exception):
    """The pipeline cannot run: for each thing in its way, the name of the paragraph about it, and what to do."""

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__(*(message for _, message in faults))
        self.faults = faults


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Run the GitLab pipeline of a project here, with a GitLab on loopback that has its registries. "
        "The project itself stays as it is: a copy of its files as they are now is run.",
        epilog=EXIT_CODES,
    )
    parser.add_argument(
        "project", type=Path, nargs="?", default=Path(), help="its folder, a git repository; without it, this one"
    )
    parser.add_argument(
        "--job", action="append", default=[], metavar="NAME", help="run this job and what it needs; can be repeated"
    )
    parser.add_argument("--event", choices=EVENTS, default="branch", help="what starts the pipeline: %(default)s")
    parser.add_argument("--list", action="store_true", help="list the jobs, and run none")
    parser.add_argument("--graph", action="store_true", help="draw the stages and what jobs wait for, and run none")
    parser.add_argument(
        "--pythons",
        choices=["here", "download"],
        default="here",
        help="leave out the jobs whose Python this machine lacks, or let uv download it: %(default)s",
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
        help=f"where artifacts, reports, logs, {TABLE} and {PAGE} go; without it, a folder of the user's cache",
    )
    parser.add_argument("--plain", action="store_true", help="print a line where a job starts or ends, and no table")
    parser.add_argument("--open", action="store_true", help="show the page in the browser at the end")
    given = parser.parse_args(words)
    given.project = given.project.resolve()
    return given


def problems(given: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the name of a paragraph and a line for each thing that stands in the way."""
    needed = {**TOOLS, **({given.containers: f"install {given.containers} first"} if given.containers else {})}
    found = [
        ("tool-missing", f"{tool} is missing: {remedy}.") for tool, remedy in needed.items() if not shutil.which(tool)
    ]
    if not all((given.project / name).exists() for name in (".git", ".gitlab-ci.yml")):
        found.append(
            ("tool-project", f"{given.project} is no git repository with a .gitlab-ci.yml: name the folder of one.")
        )
    if given.variables and not given.variables.is_dir():
        found.append(("tool-variables", f"{given.variables} is no folder with a file for each variable."))
    if given.output:
        fault = ""
        if given.output.resolve().is_relative_to(given.project):
            fault = "is in the project, which would then have it as a file: name one outside."
        elif given.output.exists() and not given.output.is_dir():
            fault = "is no folder: name an empty one, or one that is new."
        elif given.output.exists() and not (given.output / TABLE).exists() and list(given.output.iterdir()):
            fault = "has other files, which are kept: name an empty folder, or one that is new."
        found += [("tool-output", f"{given.output} {fault}")] if fault else []
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


def masking(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that hides the lines of these values in a text, as GitLab hides them in a log."""
    lines = {line.strip() for secret in secrets for line in secret.splitlines()}
    # One may be a part of another.
    hidden = sorted((line for line in lines if len(line) >= SHORTEST_SECRET), key=len, reverse=True)
    if not hidden:
        return str
    pattern = re.compile("|".join(map(re.escape, hidden)))
    return lambda text: pattern.sub("[MASKED]", text)


def find_programs(folder: Path) -> None:
    """Take this tool's environment out of PATH, where jobs would find its Python; leave them uv, which is quick."""
    uv = shutil.which("uv") or os.environ.get("UV")
    if sys.prefix != sys.base_prefix:
        ours = Path(sys.prefix, "bin")
        path = [str(each) for each in map(Path, os.get_exec_path()) if each != ours]
        os.environ["PATH"] = os.pathsep.join(path)
    if uv and not shutil.which("uv"):
        folder.mkdir()
        (folder / "uv").symlink_to(uv)
        os.environ["PATH"] = os.pathsep.join([str(folder), os.environ["PATH"]])


def find_pythons(pipeline: dict[str, Any]) -> tuple[set[str], list[Path]]:
    """Return the Pythons that jobs need and neither PATH, pyenv nor uv has here, and the folders of all it names."""
    wanted = set(wanted_pythons(pipeline).values())
    named = {*wanted, *re.findall(r"(?<![\w.])3\.\d+(?![\w.])", str(pipeline))}
    found = pythons_here(sorted(named, key=lambda version: int(version.partition(".")[2])))
    missing = wanted - found.keys()
    if shutil.which("uv"):
        for version in list(missing):
            command = ("uv", "python", "find", "--no-python-downloads", "--no-project", "--no-config", version)
            if subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
                missing.remove(version)
    return missing, list(found.values())


def copy_of(project: Path, folder: Path) -> Path:
    """Make a clone of a project, and commit its files as they are now in it."""
    copy = folder / project.name
    run("git", "clone", "--quiet", "--no-hardlinks", project, copy)
    for name in filter(None, run("git", "ls-files", "-z", cwd=copy).split("\0")):
        (copy / name).unlink()
    copy_working_tree(project, copy)
    if in_git(project, "rev-parse", "--verify", "--quiet", "origin/HEAD"):
        # With which a merge request is compared.
        run("git", "fetch", "--quiet", project, f"+origin/HEAD:{TARGET}", cwd=copy)
    # Settings of gitlab-ci-local, which could name another pipeline; GitLab knows none of them.
    for settings in copy.glob(".gitlab-ci-local*"):
        (shutil.rmtree if settings.is_dir() else Path.unlink)(settings)
    return copy


def in_git(project: Path, *asked: str) -> str:
    """Return what git says of a project; nothing where it fails."""
    done = subprocess.run(["git", *asked], cwd=project, capture_output=True, encoding="utf-8")
    return "" if done.returncode else done.stdout.strip()


def commit_of(project: Path) -> str:
    """Say which commit a project is at, and whether its files differ from it."""
    commit = in_git(project, "rev-parse", "--short", "HEAD")
    if not commit:
        return "files that were never committed"
    changed = in_git(project, "status", "--porcelain")
    return f"commit {commit}{', with changes that are not committed' if changed else ''}"


def template_of(copy: Path, folder: Path) -> tuple[Path, list[str]]:
    """Make a repository that answers for the components that a project includes; say where it pins another version."""
    included = INCLUDED.findall((copy / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    versions = sorted({version for *_, version in included})
    if not versions:
        return folder, []
    (folder / "templates").mkdir(parents=True)
    for file in TEMPLATES.glob("*.yml"):
        shutil.copy2(file, folder / "templates")
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    commit_all(folder)
    for version in versions:
        run("git", "tag", version, cwd=folder)
    (ours,) = re.findall(r"PY_CI_TEMPLATE_VERSION: (\S+)", component("cosign"))
    others = [version for version in versions if version != ours]
    note = f"The components are those of {ours}, which this tool has, where the project includes {', '.join(others)}."
    return folder, [note] if others else []


def running(program: str, pipeline: dict[str, Any], event: str, repository: Path, env: dict[str, str]) -> list[str]:
    """Return the jobs of an expanded pipeline that would run for an event."""
    state = repository / ".gitlab-ci-local"
    text = {"stages": pipeline.get("stages", []), **probes(pipeline)}
    (state / "probes.yml").write_text(yaml.safe_dump(text), encoding="utf-8")
    options = ("--file", ".gitlab-ci-local/probes.yml", "--list-json", "--no-json-schema-validation")
    status, said = ask(program, *options, *arguments_of(event), cwd=repository, env=env)
    if status:
        raise ValueError(said)
    names = names_of(said)
    return [name for name in names if name != PROBE] if PROBE in names else []


def throw_away_key(plan: Plan, variables: dict[str, Any], copy: Path) -> str:
    """Give the jobs that sign with a key one that is made for this run, where a person has given none; say so."""
    jobs = scripts(plan.pipeline)
    signing = [job for job in jobs.values() if f"env://{KEY}" in str(job)]
    public = jobs.get("cosign", {}).get("variables", {}).get("PY_CI_PUBLIC_KEY")
    if KEY in variables or not (signing or public):
        return ""
    pair = make_key_pair()
    for job in signing:
        environment = job.get("environment") or "*"
        scope = environment["name"] if isinstance(environment, dict) else environment
        variables[KEY] = Variable(pair.private, protected=True, environment=scope)
        variables[PASSWORD] = Variable(pair.password, protected=True, environment=scope)
    file = public or "cosign.pub"
    (copy / file).parent.mkdir(parents=True, exist_ok=True)
    (copy / file).write_text(pair.public, encoding="utf-8")
    run("git", "add", "--force", file, cwd=copy)
    return f"A key that was made for this run signs, and goes with it; {file} of the copy is its public key."


def executor(program: str | None, folder: Path, pythons: list[Path]) -> Executor:
    """Return a runner that gives jobs containers, or a shell with the Pythons of this machine."""
    if program:
        # With the network of the machine, which has GitLab on loopback.
        arguments = ("--container-executable", program, "--network", "host")
        environment = shell_executor([containers.write_wrapper(program, folder)]).environment
        return Executor(containers=True, arguments=arguments, environment=environment)
    return shell_executor(pythons)


def grouped(left_out: Mapping[str, str]) -> list[str]:
    """Return a line for each reason, with the jobs that are left out for it."""
    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        reasons.setdefault(why, []).append(name)
    return [f"left out, {why}: {', '.join(names)}" for why, names in reasons.items()]


def output_of(given: argparse.Namespace) -> Path:
    """Return the folder for what the run leaves: that of the command line, or one in the user's cache."""
    if given.output:
        return Path(given.output).resolve()
    digest = hashlib.sha256(os.fsencode(given.project)).hexdigest()[:8]
    return platformdirs.user_cache_path(NAME, appauthor=False) / "runs" / f"{given.project.name}-{digest}"


@dataclass
class Prepared:
    """What a pipeline runs with: a copy of the project in a folder that goes, and how its jobs are run."""

    folder: Path
    program: str
    copy: Path
    template: Path
    plan: Plan
    executor: Executor
    notes: list[str] = field(default_factory=list)


def prepare(given: argparse.Namespace, folder: Path) -> Prepared:
    """Copy the project, and plan what runs; raise UnusableError where nothing can."""
    find_programs(folder / "bin")
    if faults := problems(given):
        raise UnusableError(*faults)
    event = EVENTS[given.event]
    try:
        program = str(npm.program(folder))
    except npm.InstallError as said:
        raise UnusableError(
            ("tool-npm", f"npm could not install gitlab-ci-local; is there a network?\n{said}")
        ) from said
    copy = copy_of(given.project, folder)
    template, notes = template_of(copy, folder / "template")
    commit_all(copy)
    env = as_on_gitlab(copy, template)
    set_refs(copy)
    try:
        pipeline = expand(program, copy, env, arguments_of(event))
        names = running(program, pipeline, event, copy, env)
    except ValueError as refused:
        if line := next((line for line in str(refused).splitlines() if line.startswith(NOT_READ)), ""):
            raise UnusableError(("tool-unread", line)) from refused
        raise UnusableError(("tool-refused", f"GitLab would refuse this pipeline:\n{refused}")) from refused
    if given.containers and (part := containers.pasted(pipeline)):
        line = f"{NOT_READ}the machine's own shell would act on a name of an image, a service, a cache or a file"
        raise UnusableError(("tool-unread", f"{line}: {part[:200]!r}"))
    missing: set[str] = set()
    folders: list[Path] = []
    if not given.containers:
        missing, folders = find_pythons(pipeline)
        if given.pythons == "download":
            missing = set()
    try:
        plan = make_plan(pipeline, names, missing, given.job, given.event)
    except UnknownJobError as unknown:
        raise UnusableError(("tool-job", str(unknown))) from unknown
    return Prepared(folder, program, copy, template, plan, executor(given.containers, folder, folders), notes)


def is_plain(given: argparse.Namespace, console: Console) -> bool:
    """Tell whether lines are printed in place of a table that changes."""
    dull = not console.is_terminal or console.is_dumb_terminal
    return given.plain or dull or os.environ.get("CI") == "true"


def follow(given: argparse.Namespace, ready: Prepared, console: Console) -> tuple[Run, Callable[[str], str]]:
    """Run the pipeline, and show how it goes; return the run, and what hides its secrets.

    What the jobs leave is in the folder `kept` of the run. Raises UnusableError where no job began.
    """
    plan, copy, when = ready.plan, ready.copy, datetime.now().astimezone()
    variables: dict[str, Any] = read_variables(given.variables) if given.variables else {}
    if note := throw_away_key(plan, variables, copy):
        ready.notes.append(note)
        commit_all(copy)
    secrets = [each.value for each in variables.values()]
    if given.pythons == "download":
        variables.setdefault("UV_PYTHON_DOWNLOADS", "automatic")
    with GitLab(ready.folder / "gitlab", package_index()) as gitlab:
        here = gitlab.add_project(f"your-group/{copy.name}", copy)
        mask = masking([*secrets, here.token])
        progress = Progress(plan.jobs, mask)
        interrupted = False
        try:
            with shown(progress, console, is_plain(given, console)) as watch:
                run_pipeline(
                    ready.program,
                    copy,
                    ready.template,
                    ready.executor,
                    EVENTS[given.event],
                    {**gitlab.variables(here), **variables},
                    pipeline=with_reports_as_artifacts(plan.pipeline) if given.containers else plan.pipeline,
                    watch=watch,
                )
        except KeyboardInterrupt:
            interrupted = True
        finally:
            if given.containers:
                containers.remove(given.containers, ready.folder)
        progress.close(interrupted)
    seconds = progress.now
    ran = [name for name, job in progress.jobs.items() if job.began is not None]
    if not ran and not interrupted:
        raise UnusableError(("tool-runner", "\n".join(["No job began. The runner said:", *progress.other[-20:]])))
    kept = ready.folder / "kept"
    kept.mkdir()
    keep(copy, plan.pipeline, ran, kept)
    run = Run(
        project=copy.name,
        event=given.event,
        commit=commit_of(given.project),
        when=f"{when:%Y-%m-%d %H:%M}",
        status="interrupted" if interrupted else "failed" if progress.failed else "passed",
        seconds=seconds,
        plan=plan,
        progress=progress,
        results=read(kept, copy, plan.pipeline, ran),
        notes=ready.notes,
    )
    return run, mask


def write(run: Run, mask: Callable[[str], str], kept: Path, output: Path) -> dict[str, Path]:
    """Put what the jobs left, with logs, table and page, into its place; return the log of each job."""
    logs = {name: output / f"{folder_of(name)}.log" for name in run.progress.jobs}
    for name, file in logs.items():
        if log := run.progress.jobs[name].log:
            (kept / file.name).write_text("\n".join([*log, ""]), encoding="utf-8")
    (kept / LOG).write_text("\n".join([*run.progress.output, ""]), encoding="utf-8")
    (kept / TABLE).write_text(f"{run.progress.text}\n", encoding="utf-8")
    (kept / PAGE).write_text(render(run, logs, mask), encoding="utf-8")
    if output.exists():
        shutil.rmtree(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(kept, output)
    return logs


def run_prepared(given: argparse.Namespace, ready: Prepared, console: Console) -> int:
    """Run the pipeline, keep what it leaves, and print how it ended; return the exit status."""
    done, mask = follow(given, ready, console)
    output = output_of(given)
    logs = write(done, mask, ready.folder / "kept", output)
    print_end(done.progress, console, is_plain(given, console), logs)
    lines = [*done.notes, *grouped(done.plan.left_out)]
    if done.status == "interrupted":
        lines.append("Interrupted: all jobs were ended.")
    page = (output / PAGE).as_uri()
    for line in [*lines, f"Artifacts, reports and logs: {output}", f"Page: {page}"]:
        say(console, line)
    if given.open:
        webbrowser.open(page)
    return {"passed": PASSED, "failed": FAILED, "interrupted": INTERRUPTED}[done.status]


def interrupt(*_: object) -> None:
    """End all jobs; what ends them is not interrupted again."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = arguments(words)
    console, errors = Console(highlight=False), Console(highlight=False, stderr=True)
    # Inside a hook of git these name another repository.
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        os.environ.pop(name, None)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
    try:
        ready = prepare(given, folder)
        if given.list or given.graph:
            return show(given, ready.plan, console)
        if not ready.plan.jobs:
            for line in grouped(ready.plan.left_out):
                say(console, line)
            console.print(f"No job runs for this event: {given.event}.")
            return UNUSABLE if ready.plan.left_out else PASSED
        return run_prepared(given, ready, console)
    except UnusableError as problem:
        explain(problem, given.project, errors)
    except (AssertionError, OSError) as problem:
        explain(UnusableError(("tool-failed", f"The pipeline could not run: {problem}")), given.project, errors)
    except KeyboardInterrupt:
        say(errors, "Interrupted: no job runs.")
        return INTERRUPTED
    finally:
        # What a container wrote may be root's.
        shutil.rmtree(folder, ignore_errors=True)
    return UNUSABLE


def explain(problem: UnusableError, project: Path, console: Console) -> None:
    """Print why nothing runs, each with the address of the paragraph about it."""
    for name, message in problem.faults:
        say(console, f"{message}\nSee {explained_in(project)}#{name}")


def show(given: argparse.Namespace, plan: Plan, console: Console) -> int:
    """Print what would run, as a list or as a graph."""
    if given.graph:
        say(console, drawing(plan))
    else:
        width = max(map(len, plan.jobs), default=0)
        for name, stage in plan.jobs.items():
            say(console, f"{name:{width}}  {stage}")
    for line in grouped(plan.left_out):
        say(console, line)
    return PASSED


if __name__ == "__main__":
    sys.exit(main())
