"""An organisation on a GitLab of the tests: a template with releases, and projects that were made from the first."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tools.commands import commit_all, run
from tools.expander import Expander
from tools.gitlab_runner.pipeline import Pipeline, run_pipeline
from tools.gitlab_runner.runner import Runner
from tools.options import DECLARED, ROOT
from tools.renovate import Renovate
from tools.runner import Variable, shell_executor
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.gitlab_rest.access import Level, User
from tools.stand_ins.gitlab_rest.projects import SharedProject, now
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
    """What the bot works with, in a folder of its own; `projects` are by the last part of their paths.

    The pipeline of the bot's project runs on GitLab's own runner, whose program is `gitlab_runner`; `planned` is the
    newest plan that it has made.
    """

    folder: Path
    gitlab: SharedGitLab
    renovate: Renovate
    python: Path
    gitlab_runner: Path
    expander: Expander
    template: Path = field(init=False)
    bot: User = field(init=False)
    projects: dict[str, SharedProject] = field(default_factory=dict)
    planned: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bot = self.gitlab.add_user("bot", {"org": Level.DEVELOPER})
        self.template = tagged_copy(self.folder / "template")
        self.home = self.gitlab.share_project("org/platform/template")
        run("git", "remote", "add", "origin", self.address, cwd=self.template)
        self.publish()

    @property
    def address(self) -> str:
        """Where the template is."""
        return f"{self.gitlab.url}/org/platform/template.git"

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

    def working(self, name: str) -> Path:
        """Return where somebody works on a project."""
        return self.folder / "projects" / name

    def push(self, *names: str) -> None:
        """Push the work on projects, which are on GitLab from then on."""
        for name in names:
            commit_all(self.working(name), "Work")
            if name not in self.projects:
                self.projects[name] = self.gitlab.share_project(f"org/{name}")
            target = self.projects[name].git.folder / ".git"
            run("git", "push", "--quiet", "--force", target, "HEAD:main", cwd=self.working(name))
            self.projects[name].last_activity_at = now()

    @property
    def plan(self) -> Path:
        """The plan that Renovate reads."""
        return self.folder / "plan.json"

    @property
    def versions(self) -> dict[str, str | None]:
        """The release that each project may get by the newest plan."""
        return {each["path"].removeprefix("org/"): each["version"] for each in self.planned["projects"]}

    def select(self, *names: str) -> None:
        """Let Renovate read only of these projects in the newest plan."""
        projects = [each for each in self.planned["projects"] if each["path"].removeprefix("org/") in names]
        self.plan.write_text(json.dumps({**self.planned, "projects": projects}), encoding="utf-8")

    @cached_property
    def programs(self) -> Path:
        """The folder with the programs of the bot; anybody may run them, as code of the template does."""
        folder = self.folder / "bot"
        env = {**os.environ, "PATH": self.path, "UV_PYTHON": str(self.python)}
        run("sh", ROOT / "bot" / "install.sh", folder, env=env)
        return folder / "bin"

    @property
    def path(self) -> str:
        """Where a machine has its programs that has Renovate."""
        return f"{self.renovate.programs}:{os.environ['PATH']}"

    def environment(self, token: str, **more: str) -> dict[str, str]:
        """Return what the bot's job has in its environment."""
        # A job begins with nothing.
        state = Path(mkdtemp(prefix="state-", dir=self.folder))
        kept = ("LANG", "NODE_COMPILE_CACHE")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": f"{self.programs}:{self.path}",
            "HOME": str(state),
            "CI_SERVER_URL": self.gitlab.url,
            "GITLAB_TOKEN": token,
            "LOG_LEVEL": "info",
            "RENOVATE_BASE_DIR": str(state / "renovate"),
            "RENOVATE_CONFIG_FILE": str(ROOT / "bot" / "config.js"),
            "RENOVATE_HOST_RULES": self.rules,
            **more,
        }

    @property
    def rules(self) -> str:
        """What lets Renovate ask nobody but the GitLab of the test."""
        return json.dumps([{"enabled": False}, {"matchHost": self.gitlab.url, "enabled": True}])

    @cached_property
    def bot_project(self) -> Project:
        """The project of the bot, as the command makes it."""
        made = run(
            *(sys.executable, "-m", "cookiecutter", ROOT, "--directory", "bot", "--no-input", "-o", self.folder),
            *("template_project=org/platform/template", f"template_version={FIRST}", "groups=org", "shards=2"),
            cwd=self.folder,
        )
        assert not made, made
        path = self.folder / "template-bot"
        run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=path)
        commit_all(path)
        here = self.gitlab.add_project("org/template-bot", path)
        self.home.allowed.append(here)
        return here

    def ask_for(self, old: str, new: str) -> None:
        """Let somebody change what the pipeline of the bot does."""
        assert self.bot_project.repository
        edit(self.bot_project.repository / ".gitlab-ci.yml", old, new)
        commit_all(self.bot_project.repository)

    @cached_property
    def runner(self) -> Runner:
        """GitLab's own runner, which is still to be started; what it keeps in its cache is for all pipelines."""
        machine = self.folder / "machine"
        machine.mkdir()
        # Anybody may run these.
        shutil.copy(str(shutil.which("uv")), machine)
        (machine / "python3").symlink_to(self.python)
        executor = shell_executor([machine, self.renovate.programs])
        return Runner(self.gitlab_runner, self.folder / "runner", self.gitlab, executor, concurrent=2)

    def in_the_pipeline(
        self,
        *jobs: str,
        earlier: Pipeline | None = None,
        event: str = "protected schedule",
        variables: Mapping[str, str] | None = None,
    ) -> Pipeline:
        """Run the pipeline of the bot's project, or some of its jobs; the plan that it makes is the newest."""
        given = {"UV_PYTHON": str(self.python), "RENOVATE_HOST_RULES": self.rules, **(variables or {})}
        settings = {
            **{name: Variable(value, raw=True) for name, value in given.items()},
            "GITLAB_TOKEN": Variable(self.bot.token, protected=True, environment="template-bot", masked=True),
        }
        done = run_pipeline([self.runner], self.bot_project, self.expander, event, settings, jobs=jobs, earlier=earlier)
        if "plan.json" in (files := done.builds["plan"].files if "plan" in done.builds else {}):
            self.planned = json.loads(files["plan.json"])
            self.select(*self.versions)
        return done

    def start(self, *command: str, token: str = "", **more: str) -> Run:
        """Start a program of the bot."""
        env = self.environment(token or self.bot.token, PLAN=str(self.plan), **more)
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
        done = self.start("py-ci-fleet", "drafts", "--plan", str(self.plan), *reports, token=token)
        return done.wait(), done.log

    def merge_requests(self, name: str) -> list[dict[str, Any]]:
        """Return the merge requests of a project."""
        return self.projects[name].records["merge_requests"]

    def place(self, name: str) -> str:
        """Return the branch that has the release: the bot's, as long as it is not merged."""
        (request,) = self.merge_requests(name)
        return "main" if request["state"] == "merged" else "renovate/py-ci-template"

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
