"""What the link to the template says of the project of a folder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

from tools.project.faults import UnusableError

LINK = ".cruft.json"
SHAPES = {
    "gitlab_host": r"[A-Za-z0-9.-]+(:\d+)?(/[\w-]+)*",
    "gitlab_namespace": r"[\w.-]+(/[\w.-]+)*",
    "project_slug": r"[a-z0-9-]+",
    "kind": r"service|command|library",
    "signing": r"keyless|key|none",
    "publish": r"gitlab|pypi|none",
}


@dataclass(frozen=True)
class Answers:
    """Those answers on which depends what the project has on GitLab."""

    gitlab_host: str
    gitlab_namespace: str
    project_slug: str
    kind: str
    signing: str
    publish: str

    @property
    def path(self) -> str:
        """The path of the project on GitLab."""
        return f"{self.gitlab_namespace}/{self.project_slug}"


def read(folder: Path) -> Answers:
    """Return the answers of a project; raise UnusableError where a folder has none that can be used."""
    try:
        given = json.loads((folder / LINK).read_text(encoding="utf-8"))["context"]["cookiecutter"]
        found = {each.name: given.get(each.name) for each in fields(Answers)}
    except FileNotFoundError:
        raise UnusableError(
            "project-folder", f"{folder} has no {LINK}: name the folder of a project that the template made."
        ) from None
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        raise UnusableError(
            "project-folder", f"{folder / LINK} cannot be read: take it from the commit before."
        ) from None
    wrong = [name for name, shape in SHAPES.items() if not re.fullmatch(shape, str(found[name]))]
    if wrong:
        raise UnusableError("project-folder", f"{folder / LINK} has no {', '.join(wrong)} that can be used.")
    return Answers(**found)
