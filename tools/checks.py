"""What holds for the files of any project, whatever was answered; each check ends in an AssertionError otherwise."""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache

import yaml

from tools.components import Loader
from tools.samples.baked import BakedProject


@cache
def check_text(name: str, text: str) -> None:
    """Check that nothing of a template is left in a file, that its white space is clean, and that it can be read."""
    assert not re.search(r"\{\{|\{%|\{#|cookiecutter\.[a-z_]", text.replace("${{", "")), f"{name} has Jinja"
    if name.endswith(("py.typed", "tests/__init__.py")):
        assert text == "", name
        return
    if name != "LICENSE":
        assert text.endswith("\n"), f"{name} has no final newline"
        assert not text.endswith("\n\n"), f"{name} ends with a blank line"
        assert not text.startswith("\n"), f"{name} begins with a blank line"
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), f"{name} has trailing space"
        assert ("\n\n\n\n" if name.endswith(".py") else "\n\n\n") not in text, f"{name} has doubled blank lines"
        assert "\t" not in text, f"{name} has a tab"
        assert "\r" not in text, f"{name} has a carriage return"
    if name.endswith(".toml"):
        tomllib.loads(text)
    elif name.endswith((".yml", ".yaml")):
        list(yaml.load_all(text, Loader=Loader))
    elif name.endswith(".json"):
        json.loads(text)


def check_python(project: BakedProject) -> None:
    """Check the project's Python as its own job `lint` does, but for the types."""
    project.run("ruff", "format", "--no-cache", "--check", "--diff")
    project.run("ruff", "check", "--no-cache")


def check_dockerfile(project: BakedProject) -> None:
    """Check with hadolint the Dockerfile of a project that has one."""
    if (project.path / "Dockerfile").exists():
        project.run("hadolint", "Dockerfile")
