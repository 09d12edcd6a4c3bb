"""What gitlab-ci-local makes of a project's pipeline."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tools.commands import run

# How GitLab starts a pipeline, as the variables that it sets.
# https://docs.gitlab.com/ci/variables/predefined_variables/
EVENTS = {
    "branch": ["--variable", "CI_PIPELINE_SOURCE=push"],
    "merge request": [
        *("--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--variable", "CI_MERGE_REQUEST_IID=1"),
        *("--unset-variable", "CI_COMMIT_BRANCH"),
    ],
    "schedule": ["--variable", "CI_PIPELINE_SOURCE=schedule"],
    "protected schedule": [
        *("--variable", "CI_PIPELINE_SOURCE=schedule", "--variable", "CI_COMMIT_REF_PROTECTED=true"),
    ],
    "tag": [
        *("--variable", "CI_PIPELINE_SOURCE=push", "--variable", "CI_COMMIT_TAG=v1.0.0"),
        *("--variable", "CI_COMMIT_REF_PROTECTED=true", "--unset-variable", "CI_COMMIT_BRANCH"),
    ],
    "unprotected tag": [
        *("--variable", "CI_PIPELINE_SOURCE=push", "--variable", "CI_COMMIT_TAG=v1.0.0"),
        *("--variable", "CI_COMMIT_REF_PROTECTED=false", "--unset-variable", "CI_COMMIT_BRANCH"),
    ],
    "schedule on a tag": [
        *("--variable", "CI_PIPELINE_SOURCE=schedule", "--variable", "CI_COMMIT_TAG=v1.0.0"),
        *("--variable", "CI_COMMIT_REF_PROTECTED=true", "--unset-variable", "CI_COMMIT_BRANCH"),
    ],
    "branch with a merge request": [
        *("--variable", "CI_PIPELINE_SOURCE=push", "--variable", "CI_COMMIT_BRANCH=feature"),
        *("--variable", "CI_OPEN_MERGE_REQUESTS=your-group/my-service!1"),
    ],
    # The branch of those above is the default branch.
    "another branch": ["--variable", "CI_PIPELINE_SOURCE=push", "--variable", "CI_COMMIT_BRANCH=feature"],
    "default branch with a merge request": [
        *("--variable", "CI_PIPELINE_SOURCE=push"),
        *("--variable", "CI_OPEN_MERGE_REQUESTS=your-group/my-service!1"),
    ],
}


# The project, the name and the version of a component that a pipeline includes.
INCLUDED = re.compile(r"component: \$CI_SERVER_FQDN/([\w./-]+)/([\w-]+)@([\w.-]+)")

PROBE = "does-the-workflow-start"
NOT_READ = "This pipeline is not read: "
GUARD = Path(__file__).resolve().parent / "pipeline" / "node" / "guard.cjs"


def arguments_of(event: str) -> list[str]:
    """Return how gitlab-ci-local is told of an event; those of a tag may name another: "tag v1.1.0"."""
    name, _, tag = event.rpartition(" ")
    if name not in EVENTS:
        return EVENTS[event]
    return [word.replace("v1.0.0", tag) for word in EVENTS[name]]


def as_on_gitlab(repository: Path, template: Path) -> dict[str, str]:
    """Give a repository what gitlab-ci-local expects of a clone; return the variables to run it with.

    The clone of the template answers for each project from which the repository includes components.
    """
    state = repository / ".gitlab-ci-local"
    included = re.findall(INCLUDED, (repository / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    for project, _, version in included:
        # gitlab-ci-local 4.75 fetches the components side by side, and each fetch makes this folder.
        (state / "includes" / "gitlab.com" / project / version / "templates").mkdir(parents=True, exist_ok=True)
    projects = sorted({project for project, *_ in included})
    # It is none of these, for which git would say where the clone is.
    own = next(path for path in ("your-group/my-service", "your-group/another") if path not in projects)
    run("git", "config", "remote.origin.url", f"https://gitlab.com/{own}.git", cwd=repository)
    answered = "".join(f"\tinsteadOf = https://gitlab.com/{project}.git\n" for project in projects)
    state.mkdir(exist_ok=True)
    git_config = state / "gitconfig"
    git_config.write_text(f'[url "{template}"]\n{answered}', encoding="utf-8")
    # A bash of level one whose input is a socket, as Node's is, reads the person's `.bashrc`, as for a remote login.
    env = {name: value for name, value in os.environ.items() if name != "GITLAB_TOKEN"}
    return {**env, "GIT_CONFIG_GLOBAL": str(git_config), "SHLVL": "1"}


def probes(pipeline: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return of each job of an expanded pipeline what says when it runs, by name.

    There is one more, which runs where the rules of `workflow` start a pipeline: gitlab-ci-local takes variables
    from these rules, but does not act on them otherwise. Without them, GitLab starts a job that has no rules of its own
    for branches and tags alone.
    """
    kept = ("stage", "rules", "parallel", "when")
    ruled = "rules" in pipeline.get("workflow", {})
    others = {} if ruled else {"rules": [{"if": "$CI_COMMIT_BRANCH || $CI_COMMIT_TAG"}]}
    jobs = {
        name: {"script": [":"], **others, **{key: job[key] for key in kept if key in job}}
        for name, job in pipeline.items()
        if isinstance(job, dict) and "script" in job
    }
    rules = pipeline["workflow"]["rules"] if ruled else [{"when": "on_success"}]
    return {**jobs, PROBE: {"stage": ".pre", "script": [":"], "rules": rules}}


def combinations(job: Mapping[str, Any], name: str) -> dict[str, dict[str, str]]:
    """Return the values of each job that a job with a matrix becomes, by the name of that job."""
    matrix = job.get("parallel", {}).get("matrix", []) if isinstance(job.get("parallel"), dict) else []
    found = {}
    for entry in matrix:
        lists = [value if isinstance(value, list) else [value] for value in entry.values()]
        for values in itertools.product(*lists):
            words = list(map(str, values))
            found[f"{name}: [{','.join(words)}]"] = dict(zip(entry, words, strict=True))
    return found


def folder_of(job: str) -> str:
    """Return gitlab-ci-local's name of a job's folder: what is no word is in Base64."""
    return re.sub(r"[^\w-]+", lambda odd: b64encode(odd[0].encode()).decode().rstrip("="), job)


def jobs_of(pipeline: Mapping[str, Any]) -> list[str]:
    """Return the names of the jobs of an expanded pipeline; a matrix is several."""
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    return [one for name, job in jobs.items() for one in combinations(job, name) or [name]]


def names_of(listed: str) -> list[str]:
    """Return the jobs that would run, from gitlab-ci-local's list."""
    return [job["name"] for job in json.loads(listed) if job["when"] != "never"]


def command(program: str, *arguments: str, also_set: Iterable[str] = ()) -> list[str]:
    """Return a command that runs gitlab-ci-local, without warnings about variables that are set on purpose.

    Those are the ones among the arguments, and those that the caller sets elsewhere.
    """
    names = {word.partition("=")[0] for word in arguments if "=" in word} | set(also_set)
    return [program, "--no-color", f"--ignore-predefined-vars={','.join(sorted(names))}", *arguments]


def guarded(env: Mapping[str, str], *, reading: Path | None = None) -> dict[str, str]:
    """Return variables with which gitlab-ci-local runs nothing that stands in a pipeline, but the scripts of its jobs.

    Where it only reads one, it writes to the folder `reading` alone.
    """
    options = [f'--require="{GUARD}"']
    if reading:
        cache = env.get("NODE_COMPILE_CACHE")
        folders = [reading, *([cache] if cache else [])]
        options += ["--permission", "--allow-child-process", "--allow-fs-read=*", "--disable-warning=SecurityWarning"]
        options += [f'--allow-fs-write="{folder}"' for folder in folders]
    own = {"PY_CI_NODE_OPTIONS": env["NODE_OPTIONS"]} if "NODE_OPTIONS" in env else {}
    return {**env, **own, "NODE_OPTIONS": " ".join(options), "PY_CI_GUARD": "reading" if reading else "running"}


def ask(program: str, *arguments: str, cwd: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run gitlab-ci-local; return its exit status and what it printed, with its errors where it failed."""
    # Node does not wait until a pipe has taken what it printed last; a file it does.
    with TemporaryFile("w+", encoding="utf-8") as printed:
        done = subprocess.run(
            command(program, *arguments),
            cwd=cwd,
            env=guarded(env, reading=cwd),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        printed.seek(0)
        return done.returncode, printed.read() + (done.stderr if done.returncode else "")
