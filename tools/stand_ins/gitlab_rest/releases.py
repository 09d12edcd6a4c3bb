"""Releases and files of the package registry, for people who read: https://docs.gitlab.com/api/releases/."""

from __future__ import annotations

import json

from werkzeug.wrappers import Response

from tools.stand_ins.gitlab_api import GENERIC_FILE, download_generic_file
from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.handlers import PROJECT, Call, Path
from tools.stand_ins.gitlab_rest.pages import paged


def list_releases(call: Call) -> Response:
    """List releases, the newest first: #list-releases."""
    files = (call.project.folder / "releases").glob("*.json")
    releases = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return paged(call.request, sorted(releases, key=lambda each: each["released_at"], reverse=True))


def send_generic_file(call: Call, **names: str) -> Response:
    """Send a file: https://docs.gitlab.com/user/packages/generic_packages/#download-a-single-file."""
    return download_generic_file(call.request, call.project, **names)


TABLE = [
    Path("GET", f"{PROJECT}/releases", Level.GUEST, list_releases),
    Path("GET", f"{PROJECT}{GENERIC_FILE}", Level.REPORTER, send_generic_file),
]
