"""The bot: the real Renovate brings releases of the template to the projects of an organisation."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tools.commands import run
from tools.renovate import find_renovate
from tools.samples.fleet import FIRST, Organisation
from tools.stand_ins.gitlab_rest.pipelines import add_pipeline
from tools.stand_ins.gitlab_rest.projects import SharedProject
from tools.stand_ins.gitlab_rest.server import SharedGitLab
from tools.template import FOLDER, edit

BROKEN, GOOD = "0.2.0", "0.3.0"
FLAVOURS = ("self-contained", "components")
CANARIES = [f"canary-{number}" for number in (1, 2)]
# A name for each of the others: what is special about it.
CHANGED = [f"changed-{number}" for number in range(1, 7)]
CONFLICTS = ["conflict-1", "conflict-2"]
PLAIN = [f"plain-{number}" for number in range(1, 6)]
OTHERS = ["automerge", "critical", "closed", "unnamed", "of-a-branch"]
NAMES = [*CANARIES, *CHANGED, *CONFLICTS, *PLAIN, *OTHERS]


def change(organisation: Organisation) -> None:
    """Let people work on their projects, and push all of them."""
    for name in CHANGED:
        path = organisation.working(name)
        (path / "README.md").write_text("# Mine now\n", encoding="utf-8")
        (path / ".editorconfig").unlink()
        with (path / ".gitlab-ci.yml").open("a", encoding="utf-8") as pipeline:
            pipeline.write("\nnightly:\n  stage: test\n  script: [echo nightly]\n")
    for name in CONFLICTS:
        edit(organisation.working(name) / "pyproject.toml", "fail_under = 90", "fail_under = 95")
    for name, value in (("unnamed", "null"), ("of-a-branch", '"main"')):
        edit(organisation.working(name) / ".cruft.json", f'"checkout": "{FIRST}"', f'"checkout": {value}')
    organisation.push(*NAMES)


@pytest.fixture(scope="module")
def organisation(request: pytest.FixtureRequest, bare_python: Path) -> Iterator[Organisation]:
    """Twenty projects in both flavours, and the first release of their template."""
    assert request.config.cache
    renovate = find_renovate(request.config.cache.mkdir("renovate"))
    # Code of the template runs as nobody, who must get here.
    with TemporaryDirectory(prefix="fleet-") as folder:
        Path(folder).chmod(0o755)
        with SharedGitLab(Path(folder, "gitlab"), "http://127.0.0.1:1") as gitlab:
            made = Organisation(Path(folder), gitlab, renovate, bare_python)
            kinds = product(FLAVOURS, ("library", "command", "service"), (True, False))
            options = [{"pipeline": flavour, "kind": kind, "docs": docs} for flavour, kind, docs in kinds]
            made.make({name: options[number % len(options)] for number, name in enumerate(NAMES)})
            change(made)
            gitlab.pushed = pipeline_of
            yield made


def pipeline_of(project: SharedProject, ref: str, sha: str | None) -> None:
    """Let a pipeline go: it fails with the release that is broken."""
    if sha and ref != "main":
        link = json.loads(project.git.read(sha, ".cruft.json") or b"{}")
        add_pipeline(project, ref, sha, "failed" if link.get("checkout") == BROKEN else "success")


# What a hook of the template finds of the bot's token: a file of the project would bring it into a branch.
PROBE = '''
import os, pathlib
found = []
for file in [*pathlib.Path("/proc").glob("[0-9]*/environ"), *pathlib.Path(ROOT).rglob(".git/config")]:
    try:
        found.append(file.read_bytes())
    except OSError as error:
        found.append(type(error).__name__.encode())
found.append("\\n".join(f"{name}={value}" for name, value in os.environ.items()).encode())
pathlib.Path("FOUND").write_bytes(b"\\n".join(found))
'''
