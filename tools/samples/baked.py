"""A project that was baked from the template, and what tests ask of it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tools.commands import run
from tools.options import Combination

# How many tests the skeleton of a kind has; pytest counts each value that a test is given.
TESTS = {
    "service": {"pytest": 11, "unittest": 8},
    "command": {"pytest": 8, "unittest": 7},
    "library": {"pytest": 3, "unittest": 2},
}


@dataclass(frozen=True)
class BakedProject:
    """The folder of a project, the options that made it, and short ways to look at both."""

    path: Path
    options: Combination

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return (self.path / name).read_text(encoding="utf-8")

    @cached_property
    def files(self) -> set[str]:
        """The files that were baked, without git's."""
        found = (path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())
        return {path.as_posix() for path in found if path.parts[0] != ".git"}

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        """The parsed `pyproject.toml`."""
        return tomllib.loads(self.read("pyproject.toml"))

    @property
    def slug(self) -> str:
        """The name of the distribution."""
        return str(self.pyproject["project"]["name"])

    def run(self, *command: str | Path, env: dict[str, str] | None = None) -> str:
        """Run a command in the project; return its output; fail with that output where it fails."""
        return run(*command, cwd=self.path, env=env)


Bake = Callable[..., BakedProject]


def edit(project: BakedProject, name: str, old: str, new: str) -> None:
    """Replace a text that stands in a file of a project."""
    text = project.read(name)
    assert old in text
    (project.path / name).write_text(text.replace(old, new), encoding="utf-8")
