"""The tutorial: its commands, run in order, and what it says that one sees."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tools.commands import run
from tools.components import component
from tools.documents import block, commands_of, page, rows
from tools.expander import Expander
from tools.options import DECLARED, DEFAULTS, ROOT
from tools.samples.baked import Bake
from tools.samples.merge_request import APP, BRANCH, break_a_test, fix_it
from tools.template import render

TUTORIAL = page("docs/tutorial.md")


def test_its_commands_make_a_project_push_it_open_a_merge_request_and_tag_it(tmp_path: Path) -> None:
    remote = tmp_path / "gitlab" / "your-group" / "my-service.git"
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", "--bare", remote)
    opened = take_push_options(remote)
    config = tmp_path / "gitconfig"
    for name, value in {
        "user.name": "Ada",
        "user.email": "ada@example.com",
        f"url.{tmp_path}/gitlab/.insteadOf": "https://gitlab.com/",
    }.items():
        run("git", "config", "--file", config, name, value)
    env = {**os.environ, "GIT_CONFIG_GLOBAL": str(config), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    make = block(TUTORIAL, "<!-- make -->").replace("gl:org/py-ci-template", str(ROOT))
    questions = [name for name in DECLARED if not name.startswith("_")]
    made = sh(make, tmp_path, env, "\n" * len(questions))
    assert "\nMade my-service. Next:\n" in made
    assert DECLARED["__prompts__"]["gitlab_namespace"] in " ".join(TUTORIAL.split())

    # The hook prints the steps that follow, and the README of the project has them: tests run them there.
    project = tmp_path / "my-service"
    develop = block(TUTORIAL, "<!-- develop -->")
    assert develop == commands_of((project / "README.md").read_text(encoding="utf-8"), "Develop")
    push = block(TUTORIAL, "<!-- push -->")
    steps = re.findall(r"^  (\S.*)$", made.partition("Next:")[2], re.MULTILINE)
    assert steps[1:] == [
        *develop.splitlines(),
        *push.splitlines(),
    ]
    assert ".cruft.json" in sh(block(TUTORIAL, "<!-- look -->"), tmp_path, env)
    sh(push, project, env)
    assert not opened.exists()
    sh(block(TUTORIAL, "<!-- branch -->"), project, env)
    break_a_test(project)
    sh(block(TUTORIAL, "<!-- open -->"), project, env)
    assert opened.read_text(encoding="utf-8") == "merge_request.create\n"
    fix_it(project)
    sh(block(TUTORIAL, "<!-- fix -->"), project, env)
    # What GitLab does when somebody presses Merge.
    run("git", "update-ref", "refs/heads/main", f"refs/heads/{BRANCH}", cwd=remote)
    sh(block(TUTORIAL, "<!-- merged -->"), project, env)
    assert '"LOG_LEVEL", "DEBUG"' in (project / APP).read_text(encoding="utf-8")
    changelog = project / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    before, after = re.findall(r"turn `(.+)` into\n`(.+)` with the day", TUTORIAL)[0]
    assert text.count(before) == 1
    changelog.write_text(text.replace(before, after), encoding="utf-8")
    sh(block(TUTORIAL, "<!-- tag -->"), project, env)

    stranger = tmp_path / "stranger"
    run("git", "clone", "--quiet", "--branch", "v1.0.0", remote, stranger)
    assert after in (stranger / "CHANGELOG.md").read_text(encoding="utf-8")
    run("uv", "build", "--quiet", "--wheel", "--python", sys.executable, cwd=stranger)
    (wheel,) = (stranger / "dist").glob("*.whl")
    assert f"`{wheel.name}: OK`" in TUTORIAL


def take_push_options(remote: Path) -> Path:
    """Let a repository take the options of a push, as GitLab does; return the file in which it keeps the first one."""
    run("git", "config", "receive.advertisePushOptions", "true", cwd=remote)
    kept = remote / "push-option"
    hook = remote / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        '#!/bin/sh\n[ -z "$GIT_PUSH_OPTION_0" ] || echo "$GIT_PUSH_OPTION_0" > push-option\n', encoding="utf-8"
    )
    hook.chmod(0o755)
    return kept


def sh(commands: str, folder: Path, env: dict[str, str], typed: str = "") -> str:
    """Run commands in a shell that stops at the first that fails; return what they printed."""
    done = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=folder, env=env, input=typed, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_verifies_as_the_readme_of_the_project_says(bake: Bake) -> None:
    """Tests of releases run these commands, with a key pair as they stand and keyless with a Sigstore of their own."""
    readme = bake().read("README.md")
    assert block(TUTORIAL, "<!-- verify -->") == block(readme, "## Verify")
    assert block(TUTORIAL, "<!-- tag -->").splitlines()[2:] == block(readme, "## Release").splitlines()


def test_the_jobs_that_it_shows_are_those_that_run(expander: Expander) -> None:
    pipeline = render(".gitlab-ci.yml", DEFAULTS)
    branch, tag = ({job.partition(":")[0] for job in expander.jobs(pipeline, event)} for event in ("branch", "tag"))
    first, _, second = TUTORIAL.partition("## 7. Tag it")
    assert rows(first, "job").keys() == branch
    assert {job for cell in rows(second, "job") for job in cell.split("`, `")} == tag - branch | {"preflight"}


def test_it_shows_what_preflight_prints() -> None:
    script = component("preflight")
    shown = re.findall(r"^  ok    (\w+) +(.+)$", block(TUTORIAL, "<!-- preflight -->", "text"), re.MULTILINE)
    (printed,) = re.findall(r" rows: .+? = \[\n(.*?)\n +\]\n", script, re.DOTALL)
    assert [check for check, _ in shown] == re.findall(r'^ +\("(\w+)"', printed, re.MULTILINE)
    found = dict(shown)
    for check in ("executor", "user", "index", "registry", "jobs", "tag", "secrets"):
        assert f'"{found[check]}"' in script, check
    assert "This is what your jobs will find:" in script
