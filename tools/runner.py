"""Runs the pipeline of a project with gitlab-ci-local, and sets what GitLab would set and it leaves out."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from tools.commands import run
from tools.gitlab_ci_local import (
    PROBE,
    arguments_of,
    as_on_gitlab,
    ask,
    command,
    folder_of,
    guarded,
    jobs_of,
    names_of,
    probes,
)
from tools.shared import digest
from tools.stand_ins.local_jobs import write_names


@dataclass(frozen=True)
class Executor:
    """How a runner runs jobs: what gitlab-ci-local is told, and what the jobs find.

    `arguments` are gitlab-ci-local's, `environment` is its own, `variables` are those of every job.
    """

    containers: bool = False
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Variable:
    """A CI/CD variable as the settings of a project have it.

    Pipelines of protected branches and tags alone get one that is `protected`, and only the jobs of an `environment`
    those that are scoped to it.
    https://docs.gitlab.com/ci/variables/#protect-a-cicd-variable
    https://docs.gitlab.com/ci/environments/#limit-the-environment-scope-of-a-cicd-variable

    GitLab's own runner also knows whether a variable is `masked`, `raw`, which is not expanded, or in a `file`.
    For gitlab-ci-local all are raw.
    https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable
    https://docs.gitlab.com/ci/variables/#prevent-cicd-variable-expansion
    https://docs.gitlab.com/ci/variables/#use-file-type-cicd-variables
    """

    value: str
    protected: bool = False
    environment: str = "*"
    masked: bool = False
    raw: bool = False
    file: bool = False


@dataclass(frozen=True)
class Job:
    """How a job ended, `passed` or `failed`, and after how many seconds."""

    status: str
    seconds: float | None


@dataclass(frozen=True)
class Pipeline:
    """What one run of a pipeline did: each job by name, all output, and the artifacts."""

    status: int
    jobs: dict[str, Job]
    coverage: str | None
    output: str
    repository: Path

    @property
    def results(self) -> dict[str, str]:
        """How each job ended, by name."""
        return {name: job.status for name, job in self.jobs.items()}

    def log(self, job: str) -> str:
        """Return what a job printed."""
        return "\n".join(re.findall(rf"^{re.escape(job)} +[>$] ?(.*)$", self.output, re.MULTILINE))

    def last_line(self, job: str) -> str:
        """Return the last line that a job printed."""
        return self.log(job).splitlines()[-1]

    def artifact(self, job: str, path: str) -> Path:
        """Return the path that a job handed on as an artifact."""
        return self.repository / ".gitlab-ci-local" / "artifacts" / folder_of(job) / path

    def report(self, job: str, path: str) -> Path:
        """Return the report that a job wrote; gitlab-ci-local does not collect reports."""
        return self.repository / ".gitlab-ci-local" / "builds" / folder_of(job) / path

    @property
    def table(self) -> str:
        """The jobs as a table: name, status and seconds."""
        width = max(len(name) for name in ["job", *self.jobs])
        lines = [f"{'job':{width}}  status  seconds"]
        for name, job in self.jobs.items():
            lines.append(f"{name:{width}}  {job.status}  {'' if job.seconds is None else f'{job.seconds:7.1f}'}")
        return "\n".join(line.rstrip() for line in lines)


Pipe = Callable[..., Pipeline]


def pythons_here(candidates: list[str]) -> dict[str, Path]:
    """Return the folder of each Python that this machine has, on PATH or under pyenv, by version."""
    found = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in candidates:
        folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
        folders += sorted(pyenv.glob(f"{version}.*/bin"))
        for folder in folders:
            python = folder / f"python{version}"
            # A shim of pyenv is there for every version that pyenv has, and works for some.
            if python.exists() and subprocess.run([python, "--version"], capture_output=True).returncode == 0:
                found[version] = folder
                break
    return found


TARGET = "refs/target"


def set_refs(repository: Path) -> None:
    """Give a repository the branch of a remote that gitlab-ci-local looks for: what a merge request goes into.

    That is the reference `TARGET` where there is one; else nothing has changed.
    """
    target = run("git", "for-each-ref", "--format=%(objectname)", TARGET, cwd=repository).strip() or "HEAD"
    run("git", "update-ref", "refs/remotes/origin/main", target, cwd=repository)
    run("git", "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main", cwd=repository)


def shell_executor(path: list[Path]) -> Executor:
    """Return a runner with the shell executor, which finds the programs of these folders too."""
    return Executor(environment={"PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]])})


def run_pipeline(
    program: str,
    repository: Path,
    template: Path,
    executor: Executor,
    event: str = "branch",
    variables: Mapping[str, str | Variable] | None = None,
    jobs: Sequence[str] = (),
    again: bool = False,
    left_out: Sequence[str] = (),
    pipeline: dict[str, Any] | None = None,
    watch: Callable[[str], object] | None = None,
) -> Pipeline:
    """Run a committed project's pipeline for an event; a job that fails is a result, not an error.

    `program` is gitlab-ci-local, `template` the clone that answers for the components, `variables` those
    that GitLab or its users would set, `jobs` those to run with what they need, where not all. `again` runs
    just these, with the artifacts of an earlier run; those that are `left_out` do not run. `pipeline` is what runs in
    place of the project's own, expanded, whatever its rules of `workflow` say. `watch` gets each line of the output as
    it comes. Raises ValueError for a pipeline that GitLab would refuse.
    """
    env = {**as_on_gitlab(repository, template), **executor.environment}
    # What the tests run in is none of the jobs' business.
    ours = ("PYTEST_", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "TOX_", "VIRTUAL_ENV")
    env = {name: value for name, value in env.items() if not name.startswith(ours)}
    set_refs(repository)
    told = arguments_of(event)
    tag = next((word.removeprefix("CI_COMMIT_TAG=") for word in told if word.startswith("CI_COMMIT_TAG=")), None)
    if tag and not again:
        run("git", "tag", "--force", tag, cwd=repository)
    state = repository / ".gitlab-ci-local"
    protected = "CI_COMMIT_REF_PROTECTED=true" in told
    settings, predefined = divide(variables or {}, protected)
    expanded = state / ("pipeline.yml" if executor.containers else "shell.yml")
    if not again or expanded.stat().st_mtime < (repository / ".gitlab-ci.yml").stat().st_mtime:
        if pipeline is None:
            pipeline = without_jobs(expand(program, repository, env, told), left_out)
            if not starts(program, pipeline, told, repository, env):
                return Pipeline(0, {}, None, "", repository)
        pipeline = as_gitlab_runs_it(pipeline, repository)
        text = yaml.safe_dump(pipeline if executor.containers else without_images(pipeline), sort_keys=False)
        expanded.write_text(text, encoding="utf-8")
        write_names(repository, jobs_of(pipeline))
    # In a file: tokens do not belong in an argument list.
    given = {
        "GITLAB_CI": "true",
        STATE: str(state),
        "CI_CONFIG_PATH": ".gitlab-ci.yml",
        "CI_COMMIT_TIMESTAMP": run("git", "show", "--no-patch", "--format=%cI", cwd=repository).strip(),
        **executor.variables,
        **predefined,
    }
    # gitlab-ci-local would take the path of a file for the file.
    typed = {name: {"type": "variable", "values": {"*": value}} for name, value in given.items()}
    for name, setting in settings.items():
        # As it is: gitlab-ci-local has no variables that are not expanded.
        typed[name] = {"type": "variable", "values": {setting.environment: setting.value.replace("$", "$$")}}
    (state / "variables.yml").write_text(yaml.safe_dump(typed), encoding="utf-8")
    write_settings(settings, state)
    arguments = ["--variables-file", ".gitlab-ci-local/variables.yml", "--no-artifacts-to-source", *told]
    # `expand` has checked it against the schema.
    arguments += ["--no-json-schema-validation", "--file", str(expanded.relative_to(repository)), *executor.arguments]
    if not executor.containers:
        arguments.append("--shell-isolation")
    process = subprocess.Popen(
        command(program, *(["--needs"] if jobs and not again else []), *jobs, *arguments, also_set=given),
        cwd=repository,
        env=guarded(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        # The keys that a person presses are for who watches; all processes of jobs then end together.
        start_new_session=watch is not None,
    )
    lines = []
    try:
        for line in process.stdout or ():
            lines.append(line)
            if watch:
                watch(line)
        status = process.wait()
    except KeyboardInterrupt:
        end(process)
        raise
    finally:
        for file in state.glob(f"{SETTINGS}*"):
            file.unlink()
    output = re.sub(r"\x1b\[[0-9;]*m", "", "".join(lines))
    return Pipeline(status, *read(output), output, repository)


def end(process: subprocess.Popen[str]) -> None:
    """End gitlab-ci-local, which began a session, and all processes of its jobs; it removes containers itself."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS_TO_REMOVE)
    for number in (signal.SIGTERM, signal.SIGKILL):
        give_up = time.monotonic() + SECONDS_TO_END
        # Until nobody is left in the group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            while time.monotonic() < give_up:
                process.poll()
                time.sleep(0.05)
                os.killpg(process.pid, 0)


# To remove containers, each of which gets ten to end by itself; and to end a job as it wants to.
SECONDS_TO_REMOVE, SECONDS_TO_END = 30, 5

# The settings of a project, as shell commands; a file for those of each environment, in the folder that jobs know by
# this variable.
SETTINGS = "settings-"
STATE = "GITLAB_CI_LOCAL_STATE"


def divide(variables: Mapping[str, str | Variable], protected: bool) -> tuple[dict[str, Variable], dict[str, str]]:
    """Return the variables of a project's settings that a pipeline gets, and those that GitLab itself sets."""
    settings, predefined = {}, {}
    for name, value in variables.items():
        if isinstance(value, str) and (name.startswith(("CI_", "GITLAB_")) or "ID_TOKEN" in name):
            predefined[name] = value
        else:
            setting = value if isinstance(value, Variable) else Variable(value)
            if protected or not setting.protected:
                settings[name] = setting
    return settings, predefined


def write_settings(settings: Mapping[str, Variable], state: Path) -> None:
    """Write the settings of a project for its jobs, in files that go when the pipeline ends."""
    for environment in {"*", *(setting.environment for setting in settings.values())}:
        lines = [
            f"export {name}={shlex.quote(setting.value)}\n"
            for name, setting in settings.items()
            if setting.environment in ("*", environment)
        ]
        file = state / f"{SETTINGS}{environment.replace('*', 'all')}.sh"
        file.write_text("".join(lines), encoding="utf-8")
        # Jobs may run as another user.
        file.chmod(0o644)


def as_gitlab_runs_it(pipeline: dict[str, Any], repository: Path) -> dict[str, Any]:
    """Return an expanded pipeline whose jobs begin with what GitLab and its runner do, and gitlab-ci-local does not.

    The settings of the project outrank what a dotenv report says, which outranks all else, but not in containers, which
    do not see the files: https://docs.gitlab.com/ci/variables/#cicd-variable-precedence. A job has only the identity
    tokens that it declares. Where its strategy is `empty`, it finds none of the repository's files:
    https://docs.gitlab.com/ci/runners/configure_runners/#git-strategy
    """
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    tokens = {token for job in jobs.values() for token in job.get("id_tokens", {})}
    tracked = run("git", "ls-files", "-z", cwd=repository).split("\0")
    handed_on = {path for job in jobs.values() for path in (job.get("artifacts") or {}).get("paths", [])}
    gone = [path for path in filter(None, tracked) if not any(fnmatch(path, pattern) for pattern in handed_on)]
    begun = {}
    for name, job in jobs.items():
        undeclared = sorted(tokens - job.get("id_tokens", {}).keys())
        hidden = [f"unset {' '.join(undeclared)}"] if undeclared else []
        environment = job.get("environment") or ""
        scope = environment["name"] if isinstance(environment, dict) else environment
        files = [f'"${STATE}/{SETTINGS}{part}.sh"' for part in ("all", scope) if part]
        first = [*hidden, *(f"if [ -e {file} ]; then . {file}; fi" for file in files)]
        if job.get("variables", {}).get("GIT_STRATEGY") == "empty":
            first.append(f"rm -rf -- {shlex.join(gone)}")
        begun[name] = {**job, "before_script": [*first, *job.get("before_script", [])]}
        if "after_script" in job:
            begun[name]["after_script"] = [*hidden, *job["after_script"]]
    return {**pipeline, **begun}


@dataclass
class Answers:
    """What gitlab-ci-local has said already, by all that its answer depends on; it takes a second to start.

    Where `folder` is given, other processes have it too.
    """

    folder: Path | None = None
    known: dict[str, str] = field(default_factory=dict)

    def get(self, depends: Sequence[str], ask: Callable[[], tuple[int, str]]) -> str:
        """Return an answer, which is asked for where it is not known; raises ValueError where that fails."""
        name = digest(depends)
        if name not in self.known:
            self.known[name] = self._read(name) or self._keep(name, *ask())
        return self.known[name]

    def _read(self, name: str) -> str:
        file = self.folder and self.folder / name
        return file.read_text(encoding="utf-8") if file and file.exists() else ""

    def _keep(self, name: str, status: int, said: str) -> str:
        if status != 0:
            raise ValueError(said)
        if self.folder:
            # Nobody reads half of it.
            part = self.folder / f"{name}.{os.getpid()}"
            part.write_text(said, encoding="utf-8")
            part.rename(self.folder / name)
        return said


ANSWERS = Answers()


def expand(program: str, repository: Path, env: dict[str, str], told: Sequence[str] = ()) -> dict[str, Any]:
    """Return a pipeline with its includes and inputs resolved; raises ValueError where that cannot be.

    An include may have rules, which ask what gitlab-ci-local is told of the event.
    """
    # The pipeline and what it may include: files of the project as they are now, and the components that git's
    # settings lead to.
    names = run("git", "ls-files", "*.yml", cwd=repository).splitlines()
    files = [f"{name}\0{(repository / name).read_text(encoding='utf-8')}" for name in names]
    settings = Path(env["GIT_CONFIG_GLOBAL"]).read_text(encoding="utf-8")
    asked = ("--preview", *told)
    preview = ANSWERS.get([program, settings, *files, *told], lambda: ask(program, *asked, cwd=repository, env=env))
    pipeline: dict[str, Any] = yaml.safe_load(preview)
    return pipeline


def starts(program: str, pipeline: dict[str, Any], told: Sequence[str], repository: Path, env: dict[str, str]) -> bool:
    """Tell whether the rules of an expanded pipeline start it for what gitlab-ci-local is told of the event."""
    probe = yaml.safe_dump({PROBE: probes(pipeline)[PROBE]})

    def listed() -> tuple[int, str]:
        (repository / ".gitlab-ci-local" / "probe.yml").write_text(probe, encoding="utf-8")
        options = ("--file", ".gitlab-ci-local/probe.yml", "--list-json", "--no-json-schema-validation")
        return ask(program, *options, *told, cwd=repository, env=env)

    return PROBE in names_of(ANSWERS.get([program, probe, *told], listed))


def without_jobs(pipeline: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return an expanded pipeline without some jobs; no other job needs them."""
    left = {name: job for name, job in pipeline.items() if name not in names}
    for job in left.values():
        if isinstance(job, dict) and "dependencies" in job:
            job["dependencies"] = [name for name in job["dependencies"] if name not in names]
    return left


def without_images(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Return an expanded pipeline without images.

    A runner with the shell executor ignores the image; gitlab-ci-local would run in a shell, but with
    the project's path in a container.
    """
    return {
        name: {key: value for key, value in job.items() if key != "image"} if isinstance(job, dict) else job
        for name, job in pipeline.items()
    }


def read(output: str) -> tuple[dict[str, Job], str | None]:
    """Return the jobs and the percentage of coverage, as gitlab-ci-local's output tells of them."""
    units = {"ms": 0.001, "s": 1, "min": 60}
    finished = re.findall(r"^(\S.*?) +finished in ([\d.]+) (ms|s|min)\b", output, re.MULTILINE)
    seconds = {name: float(number) * units[unit] for name, number, unit in finished}
    words = {"PASS": "passed", "FAIL": "failed", "WARN": "failed, allowed"}
    summary = re.findall(r"^ (PASS|FAIL|WARN)  (.+?)(?: +[\d.]+% coverage)?(?:  .*)?$", output, re.MULTILINE)
    coverage = re.search(r"^ \w+ +coverage +([\d.]+%) coverage", output, re.MULTILINE)
    jobs = {name.strip(): Job(words[word], seconds.get(name.strip())) for word, name in summary}
    return jobs, coverage[1] if coverage else None
