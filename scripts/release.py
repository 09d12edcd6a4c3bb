"""Makes the release of a tag on GitLab, with the part of CHANGELOG.md on it and links to what was published."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scripts.gitlab_api import RequestError, ask, of_project

TAG = os.environ["CI_COMMIT_TAG"]


def api(method: str, path: str = "", content: dict[str, str] | None = None) -> Any:
    """Return what GitLab's API says of the releases: https://docs.gitlab.com/api/releases/"""
    body = json.dumps(content).encode() if content else None
    return json.loads(ask(method, of_project(f"releases{path}"), body, {"Content-Type": "application/json"}).content)


def changes() -> str:
    """Return the part of the changelog below a heading with this version."""
    changelog = Path("CHANGELOG.md")
    text = changelog.read_text(encoding="utf-8") if changelog.exists() else ""
    heading = rf"^## \W*v?{re.escape(TAG.removeprefix('v'))}\b.*\n((?:(?!## ).*\n?)*)"
    found = re.search(heading, text, re.MULTILINE)
    return found[1].strip() if found else ""


def release() -> Any:
    """Return the release, which is made where there is none."""
    here = f"/{quote(TAG, safe='')}"
    try:
        return api("GET", here)
    except RequestError as failed:
        if failed.status != 404:
            raise
    made = "From {CI_COMMIT_SHA}, by [this pipeline]({CI_PIPELINE_URL}).".format_map(os.environ)
    try:
        return api("POST", content={"tag_name": TAG, "description": f"{changes()}\n\n{made}".strip()})
    except RequestError as failed:
        # An answer that was lost, and asked for again.
        if failed.status != 409:
            raise
    return api("GET", here)


def complete(release: Any) -> None:
    """Add the links that are missing."""
    there = {link["name"] for link in release["assets"]["links"]}
    for file in sorted(Path("links").glob("*")):
        for name, url, kind in map(str.split, file.read_text(encoding="utf-8").splitlines()):
            if name not in there:
                link = {"name": name, "url": url, "link_type": kind}
                try:
                    api("POST", f"/{quote(TAG, safe='')}/assets/links", link)
                except RequestError as failed:
                    if "already been taken" not in str(failed):
                        raise
            print("links to", url)


if __name__ == "__main__":
    try:
        complete(release())
    except (RequestError, OSError, ValueError, KeyError, TypeError) as problem:
        sys.exit(f"GitLab failed: {problem}")
