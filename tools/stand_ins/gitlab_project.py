"""A project of the loopback GitLab."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol
from wsgiref.types import WSGIApplication

from tools.stand_ins.server import index_of


def new_token() -> str:
    """Return a token for a job."""
    return f"glcbt-{secrets.token_urlsafe(20)}"


class PipelineJob(Protocol):
    """A run of a job, and the archive with what it has handed on, in bytes, or nothing where there is none."""

    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def pipeline(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def may_fail(self) -> bool: ...
    @property
    def archive(self) -> bytes | None: ...


@dataclass
class Project:
    """A private project, the token of its running job, and the folder with all that was uploaded to it.

    GitLab looks in `upstream`, the address of a package index, for a package that the project does not have;
    None turns that off. `allow_duplicates` is the setting of the generic registry. `repository` has its tags.
    `allowed` are the projects whose jobs may read it. `tokens` are those that GitLab takes: `token`, unless a runner
    gives each job one of its own. `jobs` are those of its pipelines, if a runner of GitLab runs them, in their order.
    """

    id: int
    path: str
    folder: Path
    upstream: str | None
    repository: Path | None = None
    allow_duplicates: bool = True
    allowed: list[Project] = field(default_factory=list)
    token: str = field(default_factory=new_token, repr=False)
    tokens: set[str] = field(init=False, repr=False)
    jobs: list[PipelineJob] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        for registry in ("pypi", "generic", "releases"):
            (self.folder / registry).mkdir(parents=True)
        self.tokens = {self.token}

    @cached_property
    def pypiserver(self) -> WSGIApplication:
        """The index of its distributions."""
        return index_of(self.folder / "pypi")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def stored(here: Project) -> dict[str, bytes]:
    """Return every file that the project has on GitLab, by its path."""
    files = {path.relative_to(here.folder).as_posix(): path for path in here.folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(files.items())}
