"""An organisation on a GitLab of the tests: a template with releases, and projects that were made from the first."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tools.commands import commit_all, run
from tools.options import DECLARED, ROOT
from tools.renovate import Renovate, node
from tools.runner import Pipeline, Variable, run_pipeline, shell_executor
from tools.stand_ins.gitlab_rest.access import Level, User
from tools.stand_ins.gitlab_rest.projects import SharedProject
from tools.stand_ins.gitlab_rest.server import SharedGitLab
from tools.template import edit, tagged_copy

FIRST = DECLARED["_component_version"]
# Cookiecutter in one process: to start it takes longer than to make a project.
MAKE = """
import json, sys
from cookiecutter.main import cookiecutter
for answers in json.loads(sys.argv[2]):
    given = {"checkout": answers.pop("checkout"), "no_input": True, "default_config": True, "output_dir": "."}
    cookiecutter(sys.argv[1], extra_context=answers, **given)
"""


@dataclass(frozen=True)
class Run:
    """A program of the bot that runs, and its folder."""

    process: subprocess.Popen[bytes]
    folder: Path

    def wait(self) -> int:
        """Wait until it ends; return its exit status."""
        return self.process.wait()

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")

    @property
    def report(self) -> dict[str, Any]:
        """What Renovate reports of each project."""
        (file,) = self.folder.glob("report-*.json")
        return dict(json.loads(file.read_text(encoding="utf-8"))["repositories"])


@dataclass
class Organisation:
    """What the bot works with, in a folder of its own; `projects` are by the last part of their paths."""

    folder: Path
    gitlab: SharedGitLab
    renovate: Renovate
    python: Path
    template: Path = field(init=False)
    bot: User = field(init=False)
    projects: dict[str, SharedProject] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bot = self.gitlab.add_user("bot", {"org": Level.DEVELOPER})
        self.template = tagged_copy(self.folder / "template")
        self.home = self.gitlab.share_project("org/py-ci-template")
        run("git", "remote", "add", "origin", self.address, cwd=self.template)
        self.publish()

    @property
    def address(self) -> str:
        """Where the template is."""
        return f"{self.gitlab.url}/org/py-ci-template.git"

    def publish(self, *, force: bool = False) -> None:
        """Push the template with its tags."""
        options = ("--quiet", *(["--force"] if force else []))
        run("git", "push", *options, self.home.git.folder / ".git", "HEAD:main", "--tags", cwd=self.template)
        run("git", "update-ref", "refs/remotes/origin/main", "HEAD", cwd=self.template)

    def release(self, version: str, line: str, *edits: tuple[str, str, str]) -> None:
        """Release the template with changes of files, and a line in its changelog."""
        declared = self.template / "cookiecutter.json"
        old = json.loads(declared.read_text(encoding="utf-8"))["_component_version"]
        edit(declared, f'"_component_version": "{old}"', f'"_component_version": "{version}"')
        edit(self.template / "CHANGELOG.md", "## Unreleased\n", f"## Unreleased\n\n## {version}\n\n- {line}\n")
        for name, before, after in edits:
            edit(self.template / name, before, after)
        commit_all(self.template, f"Release {version}")
        run("git", "tag", version, cwd=self.template)
        self.publish()

    def make(self, projects: dict[str, dict[str, Any]]) -> None:
        """Make projects of the first release, of these names and answers, each in a folder that `working` returns."""
        clone = self.folder / "first"
        run("git", "clone", "--quiet", self.template, clone)
        run("git", "remote", "set-url", "origin", self.address, cwd=clone)
        run("git", "checkout", "--quiet", FIRST, cwd=clone)
        self.working("").mkdir()
        answers = [
            {"project_slug": name, "gitlab_host": "gitlab.example.org", "gitlab_namespace": "org", "signing": "none"}
            | {"checkout": FIRST, **given}
            for name, given in projects.items()
        ]
        # In a folder with no template: Python would take the filters that are there.
        run(sys.executable, "-c", MAKE, clone, json.dumps(answers), cwd=self.working(""))
        for name in projects:
            commit_all(self.working(name), "Create the project")
            self.projects[name] = self.gitlab.share_project(f"org/{name}")

    def working(self, name: str) -> Path:
        """Return where somebody works on a project."""
        return self.folder / "projects" / name

    def push(self, *names: str) -> None:
        """Push the work on projects."""
        for name in names:
            commit_all(self.working(name), "Work")
            target = self.projects[name].git.folder / ".git"
            run("git", "push", "--quiet", "--force", target, "HEAD:main", cwd=self.working(name))

    def plan(self, versions: dict[str, str | None], automerge: Sequence[str] = ()) -> Path:
        """Write the plan with the newest release that each project may get."""
        projects = [
            {"path": f"org/{name}", "wave": "normal", "version": version, "automerge": name in automerge}
            for name, version in versions.items()
        ]
        file = self.folder / "plan.json"
        file.write_text(json.dumps({"template": self.address, "projects": projects}), encoding="utf-8")
        return file

    def programs(self) -> Path:
        """Return the folder with the programs of the bot; anybody may run them, as code of the template does."""
        folder = self.folder / "bot"
        if not folder.exists():
            (folder / "bin").mkdir(parents=True)
            script = self.renovate.folder / "node_modules" / "renovate" / "dist" / "renovate.js"
            program = folder / "bin" / "renovate"
            program.write_text(f'#!/bin/sh\nexec {node("node")} {script} "$@"\n', encoding="utf-8")
            program.chmod(0o755)
            env = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "UV_PYTHON": str(self.python)}
            run("sh", ROOT / "bot" / "install.sh", folder, env=env)
        return folder / "bin"

    def environment(self, token: str, **more: str) -> dict[str, str]:
        """Return what the bot's job has in its environment."""
        # A job begins with nothing.
        state = Path(mkdtemp(prefix="state-", dir=self.folder))
        rules = [{"enabled": False}, {"matchHost": self.gitlab.url, "enabled": True}]
        kept = ("LANG", "NODE_COMPILE_CACHE")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": f"{self.programs()}:{os.environ['PATH']}",
            "HOME": str(state),
            "CI_SERVER_URL": self.gitlab.url,
            "GITLAB_TOKEN": token,
            "LOG_LEVEL": "info",
            "RENOVATE_BASE_DIR": str(state / "renovate"),
            "RENOVATE_CONFIG_FILE": str(ROOT / "bot" / "config.js"),
            # Nothing else than the GitLab of the test is asked.
            "RENOVATE_HOST_RULES": json.dumps(rules),
            **more,
        }

    def in_the_pipeline(self, gitlab_ci_local: str, **variables: str) -> Pipeline:
        """Run the pipeline of the bot's project as a schedule does, with the plan that there is."""
        made = run(
            *(sys.executable, "-m", "cookiecutter", ROOT, "--directory", "bot", "--no-input", "-o", self.folder),
            *("template_project=org/py-ci-template", f"template_version={FIRST}", "groups=org", "shards=2"),
            cwd=self.folder,
        )
        assert not made, made
        path = self.folder / "template-bot"
        # What makes the plan is another program.
        pipeline = path / ".gitlab-ci.yml"
        text, count = re.subn(
            "py-ci-fleet plan .*", f"cp {self.folder / 'plan.json'} .", pipeline.read_text(encoding="utf-8")
        )
        assert count == 1
        pipeline.write_text(text, encoding="utf-8")
        run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=path)
        commit_all(path)
        here = self.gitlab.add_project("org/template-bot", path)
        self.home.allowed.append(here)
        env = self.environment("", **variables)
        kept = {name: value for name, value in env.items() if name.startswith("RENOVATE_HOST") or name in variables}
        settings = {
            **self.gitlab.variables(here),
            **{name: Variable(value) for name, value in kept.items()},
            "UV_PYTHON": Variable(str(self.python)),
            "GITLAB_TOKEN": Variable(self.bot.token, protected=True, environment="template-bot"),
        }
        executor = shell_executor([self.programs()])
        return run_pipeline(gitlab_ci_local, path, self.template, executor, "protected schedule", settings)

    def start(self, *command: str, token: str = "", **more: str) -> Run:
        """Start a program of the bot."""
        env = self.environment(token or self.bot.token, PLAN=str(self.folder / "plan.json"), **more)
        folder = Path(env["HOME"])
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=(folder / "log.txt").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return Run(process, folder)

    def drafts(self, *runs: Run, token: str = "") -> tuple[int, str]:
        """Let the bot mark drafts after some runs of Renovate; return the exit status and what it printed."""
        reports = [str(report) for run in runs for report in run.folder.glob("report-*.json")]
        done = self.start("py-ci-fleet", "drafts", "--plan", str(self.folder / "plan.json"), *reports, token=token)
        return done.wait(), done.log

    def merge_requests(self, name: str) -> list[dict[str, Any]]:
        """Return the merge requests of a project."""
        return self.projects[name].records["merge_requests"]

    def of_branch(self, name: str, file: str, branch: str = "renovate/py-ci-template") -> str:
        """Return a file of a branch of a project; empty where it is not there."""
        return (self.projects[name].git.read(branch, file) or b"").decode()

    def branch(self, name: str) -> str | None:
        """Return the newest commit of the bot's branch in a project, where it has one."""
        return self.projects[name].git.resolve("refs/heads/renovate/py-ci-template")

    def solve(self, name: str, file: str, line: str) -> None:
        """Let somebody keep a line in place of a conflict, in the bot's branch."""
        path, remote = self.working(name), self.projects[name].git.folder / ".git"
        run("git", "fetch", "--quiet", remote, "renovate/py-ci-template", cwd=path)
        run("git", "checkout", "--quiet", "FETCH_HEAD", cwd=path)
        text = (path / file).read_text(encoding="utf-8")
        text, count = re.subn(r"<<<<<<< ours\n.*?>>>>>>> theirs\n", f"{line}\n", text, flags=re.DOTALL)
        assert count == 1, self.projects[name].records["notes"]
        (path / file).write_text(text, encoding="utf-8")
        commit_all(path, "Keep ours")
        run("git", "push", "--quiet", remote, "HEAD:renovate/py-ci-template", cwd=path)
