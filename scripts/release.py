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
from scripts.unambiguous_json import ODD

TAG = os.environ["CI_COMMIT_TAG"]
# What the jobs that publish hand on.
LINKS = [Path("links", name) for name in ("signatures", "packages", "image")]


def api(method: str, path: str = "", content: dict[str, str] | None = None) -> Any:
    """Return what GitLab's API says of the releases: https://docs.gitlab.com/api/releases/"""
    body = json.dumps(content).encode() if content else None
    return json.loads(ask(method, of_project(f"releases{path}"), body, {"Content-Type": "application/json"}).content)


def changes() -> str:
    """Return the part of the changelog below a heading with this version."""
    changelog = Path("CHANGELOG.md").resolve()
    # A link may lead to another file of the repository, and not to what this job knows.
    inside = changelog.is_relative_to(Path.cwd().resolve()) and changelog.is_file()
    text = changelog.read_text(encoding="utf-8") if inside else ""
    heading = rf"^## \W*v?{re.escape(TAG.removeprefix('v'))}(?![\w.+-]).*\n((?:(?!## ).*\n?)*)"
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


def complete(there: Any) -> None:
    """Add the links that are missing; end the program where the release then has others than to what was published."""
    ours = {}
    for file in LINKS:
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
            name, url, kind = line.split()
            ours[name] = (url, kind)
    known = {link["name"] for link in there["assets"]["links"]}
    for name, (url, kind) in ours.items():
        if name not in known:
            try:
                api("POST", f"/{quote(TAG, safe='')}/assets/links", {"name": name, "url": url, "link_type": kind})
            except RequestError as failed:
                # An answer that was lost, and asked for again; or a link of somebody else, as the next look shows.
                if "already been taken" not in str(failed):
                    raise
        print("links to", url)
    links = {link["name"]: link["url"] for link in api("GET", f"/{quote(TAG, safe='')}")["assets"]["links"]}
    wrong = sorted(name for name, url in links.items() if ours.get(name, ("",))[0] != url) + sorted(ours.keys() - links)
    if wrong:
        sys.exit(f"The release has other links than those to what was published: {' '.join(wrong)}. Take them out.")


if __name__ == "__main__":
    try:
        complete(release())
    except (RequestError, OSError, *ODD) as problem:
        sys.exit(f"GitLab failed: {problem}")
