"""GitLab's own schema of pipelines: the newest, and that of the oldest GitLab with which the jobs work."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path

from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from filelock import FileLock

from tools.commands import ROOT, run

GROUP = "schema-of-the-oldest-gitlab"
VENDORED = Path("check_jsonschema", "builtin_schemas", "vendor", "gitlab-ci.json")


def fetch_oldest(cache: Path) -> Path:
    """Return the schema of the oldest GitLab, which a check-jsonschema of its time has; it is fetched once.

    Beside the one that runs, since an environment holds one version of a package.
    """
    groups: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    (pinned,) = groups[GROUP]
    folder = cache / pinned
    with FileLock(cache / f"{pinned}.lock"):
        if not folder.exists():
            # The folder is there when all of it is.
            part = cache / f"{pinned}.part"
            shutil.rmtree(part, ignore_errors=True)
            run("uv", "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--target", part, pinned)
            part.rename(folder)
    return folder / VENDORED


def check(*files: Path, schema: Path | None = None) -> None:
    """Check pipelines, or headers of components, by a schema; without one, by the newest."""
    by = ("--builtin-schema", "vendor.gitlab-ci") if schema is None else ("--schemafile", str(schema))
    # Not as a process: to start it takes ten times as long as to check a job.
    done = CliRunner().invoke(check_jsonschema, [*by, "--data-transform", "gitlab-ci", *map(str, files)])
    assert done.exit_code == 0, done.output
