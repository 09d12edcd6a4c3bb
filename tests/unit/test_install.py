"""A project of each kind works and passes its tests: with each runner, before the whole proof does it for many more."""

from __future__ import annotations

import os

import pytest

from tools.options import SWITCHES
from tools.samples.baked import Bake
from tools.samples.kinds import check_use

COMMANDS = {
    "pytest": [["-m", "pytest", "--cov"]],
    "unittest": [
        ["-m", "coverage", "run", "-m", "unittest"],
        ["-m", "coverage", "combine"],
        ["-m", "coverage", "report"],
    ],
}


@pytest.mark.parametrize("kind", SWITCHES["kind"])
@pytest.mark.parametrize("runner", SWITCHES["test_runner"])
def test_a_project_is_installed_and_its_tests_pass(runner: str, kind: str, bake: Bake) -> None:
    project = bake(kind=kind, test_runner=runner, pre_commit=False)
    foreign = ("TOX_", "VIRTUAL_ENV", "PYTHON", "COVERAGE", "PYTEST")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    project.run("uv", "venv", "--quiet", env=env)
    project.run("uv", "pip", "install", "--quiet", "--editable", ".", "--group", "test", env=env)
    check_use(project, env | {"PATH": f"{project.path}/.venv/bin:{env['PATH']}"})
    printed = "".join(project.run(".venv/bin/python", *command, env=env) for command in COMMANDS[runner])
    assert "100%" in printed
