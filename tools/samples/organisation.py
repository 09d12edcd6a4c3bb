"""An organisation with many projects of the template, on the GitLab of this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.commands import run
from tools.options import DEFAULTS
from tools.stand_ins.gitlab_api import generic_file, release_file
from tools.stand_ins.gitlab_rest.access import Level, User
from tools.stand_ins.gitlab_rest.pipelines import add_pipeline
from tools.stand_ins.gitlab_rest.projects import SharedProject
from tools.stand_ins.gitlab_rest.repositories import Snapshot
from tools.stand_ins.gitlab_rest.server import SharedGitLab

GROUP = "org"
# Long enough ago for what was read to stay so.
QUIET = "2026-01-01T00:00:00.000Z"
# How many files a project has beside the link.
FILES = 60


def make_releases(template: Path, *minors: int) -> dict[str, str]:
    """Give a repository of the template one more commit for each version 0.N.0; return the commits of all its tags."""
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for version in (f"0.{minor}.0" for minor in minors):
        run("git", *author, "commit", "--quiet", "--allow-empty", "--message", version, cwd=template)
        run("git", *author, "tag", "--annotate", "--message", version, version, cwd=template)
    names = run("git", "tag", cwd=template).split()
    return {name: run("git", "rev-parse", f"{name}^{{commit}}", cwd=template).strip() for name in names}


def link_to(template: Path, commit: str, answers: Mapping[str, Any]) -> bytes:
    """Return a link as cruft writes it."""
    context = {"cookiecutter": {**DEFAULTS, **answers}}
    link = {"template": str(template), "commit": commit, "checkout": None, "context": context, "directory": None}
    return json.dumps(link, indent=2).encode()


def add_projects(gitlab: SharedGitLab, template: Path, commits: Mapping[str, str], count: int) -> list[SharedProject]:
    """Let the organisation have projects of all versions in turn, which nobody touches."""
    made = []
    versions = list(commits)
    for number in range(count):
        version = versions[number % len(versions)]
        answers = {"project_name": f"Service {number}", "project_slug": f"service-{number:04}"}
        files = {f"src/file_{each:03}.py": b"%d" % each for each in range(FILES)}
        files[".cruft.json"] = link_to(template, commits[version], answers)
        project = gitlab.share_project(f"{GROUP}/team-{number % 7}/service-{number:04}", Snapshot(files))
        project.last_activity_at = QUIET
        sha = str(project.content and project.content.resolve("main"))
        add_pipeline(project, "main", sha, "failed" if number % 10 == 9 else "success")
        made.append(project)
    return made


def add_release(project: SharedProject, package: str, tag: str, files: Mapping[str, bytes]) -> None:
    """Let a project have a release of a package, whose files are in its registry; without any, it links to nothing."""
    version = tag.removeprefix(f"{package}-").removeprefix("v")
    for name, content in files.items():
        file = generic_file(project, {"package_name": package, "package_version": version, "file_name": name})
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    sums = f"https://gitlab.example.org/api/v4/projects/1/packages/generic/{package}/{version}/SHA256SUMS"
    release = {
        "tag_name": tag,
        "released_at": QUIET,
        "assets": {"links": [{"name": "SHA256SUMS", "url": sums}] if files else []},
    }
    release_file(project, tag).write_text(json.dumps(release), encoding="utf-8")


def reader_of(gitlab: SharedGitLab) -> User:
    """Return somebody who may read what the organisation has, and change nothing."""
    teams = {f"{GROUP}/team-{number}": Level.REPORTER for number in range(7)}
    return gitlab.add_user("fleet", {GROUP: Level.GUEST, **teams}, "read_api")
