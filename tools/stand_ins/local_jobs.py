"""The jobs of a pipeline that gitlab-ci-local runs in a repository, with their archives, as GitLab has them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISLNK, S_ISREG

from tools.gitlab_ci_local import folder_of

STATE = Path(".gitlab-ci-local")
NAMES = STATE / "jobs.json"
ARTIFACTS = STATE / "artifacts"


@dataclass(frozen=True)
class LocalJob:
    """A job that has handed on what is in a folder; gitlab-ci-local starts none before those that it needs passed."""

    number: int
    name: str
    pipeline: int
    folder: Path
    status: str = "success"
    may_fail: bool = False

    @property
    def archive(self) -> bytes:
        """What a runner would have uploaded."""
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            for path in sorted(self.folder.rglob("*")):
                mode = path.lstat().st_mode
                if not (S_ISREG(mode) or S_ISLNK(mode)):
                    continue
                entry = zipfile.ZipInfo(path.relative_to(self.folder).as_posix())
                entry.external_attr = mode << 16
                archive.writestr(entry, str(path.readlink()) if S_ISLNK(mode) else path.read_bytes())
        return made.getvalue()


def write_names(repository: Path, names: Iterable[str]) -> None:
    """Write down the jobs of the pipeline that is about to run."""
    (repository / NAMES).write_text(json.dumps(list(names)), encoding="utf-8")


def local_jobs(repository: Path | None, pipeline: int) -> list[LocalJob]:
    """Return the jobs of the pipeline that was run last, whichever number it has there."""
    if not repository or not (repository / NAMES).exists():
        return []
    names = json.loads((repository / NAMES).read_text(encoding="utf-8"))
    folders = [repository / ARTIFACTS / folder_of(name) for name in names]
    # Numbers that no job of a runner of GitLab has.
    return [
        LocalJob(1_000_000 + index, name, pipeline, folder)
        for index, (name, folder) in enumerate(zip(names, folders, strict=True))
        if folder.is_dir()
    ]
