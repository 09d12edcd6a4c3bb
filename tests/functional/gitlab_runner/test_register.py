"""The command of the documents that makes a machine a runner, on GitLab's own runner."""

from __future__ import annotations

import os
import shlex
import tomllib
from pathlib import Path

from tools.commands import run
from tools.documents import block
from tools.options import ROOT
from tools.stand_ins.gitlab import GitLab


def test_a_runner_registers_as_the_document_says(gitlab_runner: Path, gitlab: GitLab, tmp_path: Path) -> None:
    token = gitlab.runner_api.register()
    commands = block((ROOT / "docs" / "runners.md").read_text(encoding="utf-8"), "## Register one")
    asked, command = commands.split("\n", 1)
    assert asked == "read -rs CI_SERVER_TOKEN && export CI_SERVER_TOKEN"
    sudo, kept, program, *arguments = shlex.split(command.replace("\\\n", "").replace("https://gitlab.com", gitlab.url))
    assert (sudo, kept, program) == ("sudo", "--preserve-env=CI_SERVER_TOKEN", "gitlab-runner")
    configuration = tmp_path / "config.toml"
    env = {**os.environ, "CI_SERVER_TOKEN": token, "CONFIG_FILE": str(configuration)}
    said = run(gitlab_runner, *arguments, cwd=tmp_path, env=env)
    assert "Runner registered successfully." in said
    assert token not in said
    (runner,) = tomllib.loads(configuration.read_text(encoding="utf-8"))["runners"]
    assert (runner["url"], runner["token"], runner["executor"]) == (gitlab.url, token, "docker")
    assert runner["docker"]["image"] == "astral/uv:python3.13-trixie-slim"
