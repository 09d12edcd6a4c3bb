"""What gitlab-ci-local makes of a project's pipeline."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from typing import Any

import yaml
from filelock import FileLock

from tools.commands import ROOT, run
from tools.components import load
from tools.schema import check

# How GitLab starts a pipeline, as the variables that it sets.
# https://docs.gitlab.com/ci/variables/predefined_variables/
EVENTS = {
    "branch": ["--variable", "CI_PIPELINE_SOURCE=push"],
    "merge request": [
        *("--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--variable", "CI_MERGE_REQUEST_IID=1"),
        *("--unset-variable", "CI_COMMIT_BRANCH"),
    ],
    "schedule": ["--variable", "CI_PIPELINE_SOURCE=schedule"],
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
        *("--variable", "CI_PIPELINE_SOURCE=push"),
        *("--variable", "CI_OPEN_MERGE_REQUESTS=your-group/my-service!1"),
    ],
}


# The project, the name and the version of a component that a pipeline includes.
INCLUDED = re.compile(r"component: \$CI_SERVER_FQDN/([\w./-]+)/([\w-]+)@([\w.-]+)")

PROBE = "does-the-workflow-start"


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
    return {**os.environ, "GIT_CONFIG_GLOBAL": str(git_config)}


def probes(pipeline: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return of each job of an expanded pipeline what says when it runs, by name.

    There is one more, which runs where the rules of `workflow` start a pipeline: gitlab-ci-local takes variables
    from these rules, but does not act on them otherwise.
    """
    kept = ("stage", "rules", "parallel", "when")
    jobs = {
        name: {"script": [":"], **{key: job[key] for key in kept if key in job}}
        for name, job in pipeline.items()
        if isinstance(job, dict) and "script" in job
    }
    rules = pipeline.get("workflow", {}).get("rules", [{"when": "on_success"}])
    return {**jobs, PROBE: {"stage": ".pre", "script": [":"], "rules": rules}}


@lru_cache(maxsize=8)
def loaded(expanded: Path) -> dict[str, Any]:
    """Return the document of a file that does not change; the questions about one come one after the other."""
    return load(expanded)


def names_of(listed: str) -> list[str]:
    """Return the jobs that would run, from gitlab-ci-local's list."""
    return [job["name"] for job in json.loads(listed) if job["when"] != "never"]


def digest(value: Any) -> str:
    """Return a short name for a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def command(program: str, *arguments: str, also_set: Iterable[str] = ()) -> list[str]:
    """Return a command that runs gitlab-ci-local, without warnings about variables that are set on purpose.

    Those are the ones among the arguments, and those that the caller sets elsewhere.
    """
    names = {word.partition("=")[0] for word in arguments if "=" in word} | set(also_set)
    return [program, "--no-color", f"--ignore-predefined-vars={','.join(sorted(names))}", *arguments]


def ask(program: str, *arguments: str, cwd: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run gitlab-ci-local; return its exit status and what it printed, with its errors where it failed."""
    # Node does not wait until a pipe has taken what it printed last; a file it does.
    with TemporaryFile("w+", encoding="utf-8") as printed:
        done = subprocess.run(
            command(program, *arguments),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        printed.seek(0)
        return done.returncode, printed.read() + (done.stderr if done.returncode else "")


@dataclass(frozen=True)
class Expander:
    """Asks gitlab-ci-local about pipelines, once for each distinct one, whichever worker asks first."""

    program: str
    template: Path
    cache: Path
    oldest_schema: Path

    def preview(self, pipeline: str) -> Path:
        """Return the file with the pipeline in which includes, inputs and references are resolved.

        Components are taken from the working tree, where they are the same files; to fetch each of them with git takes
        longer than all the rest.
        """
        return self.fetched(INCLUDED.sub(r"local: .gitlab/ci/\2.yml", pipeline))

    def fetched(self, pipeline: str) -> Path:
        """Return the same file where components are fetched from the clone of the template, as from GitLab."""
        # `validate` asks the schema of GitLab in less time.
        return self._once(pipeline, "--preview", "--no-json-schema-validation")

    def jobs(self, pipeline: str, event: str) -> list[str]:
        """Return the names of the jobs that would run for an event, whatever it has changed.

        What pipelines have in common is asked once: whether a job runs depends on no other.
        """
        expanded = loaded(self.preview(pipeline))
        asked = {name: digest([name, probe]) for name, probe in probes(expanded).items()}
        answers = self.cache / f"{digest(event)}.json"
        with FileLock(answers.with_suffix(".lock")):
            known: dict[str, list[str]] = json.loads(answers.read_text(encoding="utf-8")) if answers.exists() else {}
            new = {name: probe for name, probe in probes(expanded).items() if asked[name] not in known}
            if new:
                text = yaml.safe_dump({"stages": expanded.get("stages", []), **new}, sort_keys=False)
                options = ("--no-json-schema-validation", "--evaluate-rule-changes=false")
                listed = self._once(text, "--list-json", *options, *arguments_of(event))
                running = names_of(listed.read_text(encoding="utf-8"))
                for name in new:
                    known[asked[name]] = [each for each in running if each.partition(": [")[0] == name]
                answers.write_text(json.dumps(known), encoding="utf-8")
        names = [each for name in asked for each in known[asked[name]]]
        return [name for name in names if name != PROBE] if PROBE in names else []

    def validate(self, pipeline: str) -> None:
        """Check the expanded pipeline by the newest and the oldest schema, and its scripts with shellcheck as POSIX sh.

        What pipelines have in common is checked once: neither looks from one job to another.
        """
        content = loaded(self.preview(pipeline))
        with FileLock(self.cache / "valid.lock"):
            marks = {name: self.cache / f"{digest([name, value])}.valid" for name, value in content.items()}
            new = {name: content[name] for name, mark in marks.items() if not mark.exists()}
            if not new:
                return
            checked = self.cache / "new.yml"
            checked.write_text(yaml.safe_dump({"stages": content["stages"], **new}), encoding="utf-8")
            check(checked)
            check(checked, schema=self.oldest_schema)
            verify = ("gitlab-ci-verify", "--no-lint-api", "--gitlab-base-url", "https://gitlab.com")
            run(*verify, "--shellcheck-flags=-s sh", "--gitlab-ci-file", checked)
            for name in new:
                marks[name].touch()

    def _once(self, pipeline: str, *arguments: str) -> Path:
        key = digest([pipeline, *arguments])
        answer = self.cache / f"{key}.yml"
        with FileLock(self.cache / f"{key}.lock"):
            if not answer.exists():
                folder = self._repository
                (folder / ".gitlab-ci.yml").write_text(pipeline, encoding="utf-8")
                status, printed = ask(self.program, *arguments, cwd=folder, env=as_on_gitlab(folder, self.template))
                assert status == 0, printed
                answer.write_text(printed, encoding="utf-8")
        return answer

    @cached_property
    def _repository(self) -> Path:
        """A repository with the components as a self-contained project has them, for this worker alone."""
        folder = Path(mkdtemp(dir=self.cache))
        shutil.copytree(ROOT / "templates", folder / ".gitlab" / "ci", ignore=shutil.ignore_patterns("licenses"))
        run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
        (folder / ".gitlab-ci.yml").touch()
        run("git", "add", "--all", cwd=folder)
        return folder
