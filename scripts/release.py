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


def description() -> str:
    """Return the text of the release."""
    made = "From {CI_COMMIT_SHA}, by [this pipeline]({CI_PIPELINE_URL}).".format_map(os.environ)
    return f"{changes()}\n\n{made}".strip()


def release() -> Any:
    """Return the release, which is made where there is none."""
    here = f"/{quote(TAG, safe='')}"
    try:
        return api("GET", here)
    except RequestError as failed:
        if failed.status != 404:
            raise
    try:
        return api("POST", content={"tag_name": TAG, "description": description()})
    except RequestError as failed:
        # An answer that was lost, and asked for again.
        if failed.status != 409:
            raise
    return api("GET", here)


def of_any_pipeline(text: str) -> str:
    """Return a text without the number of the pipeline: another one of this tag may have made the release."""
    address = os.environ["CI_PIPELINE_URL"].rstrip("0123456789")
    return re.sub(rf"{re.escape(address)}[0-9]+", address, text.replace("\r\n", "\n").strip())


def refuse_others(there: Any) -> None:
    """End the program where a release is not as this job makes it, as somebody may have made it before."""
    wrong = [
        *(["description"] if of_any_pipeline(there["description"] or "") != of_any_pipeline(description()) else []),
        *(["name"] if there["name"] != TAG else []),
        *(["milestones"] if there.get("milestones") else []),
        # GitLab shows one of the future as upcoming.
        *(["date"] if there["released_at"][:10] != there["created_at"][:10] else []),
    ]
    if wrong:
        sys.exit(f"Somebody else has made the release, or edited it: {' '.join(wrong)}. Delete it.")


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
    there = api("GET", f"/{quote(TAG, safe='')}")
    refuse_others(there)
    links = {link["name"]: (link["url"], link["link_type"]) for link in there["assets"]["links"]}
    wrong = sorted(name for name in links.keys() | ours if links.get(name) != ours.get(name))
    if wrong:
        sys.exit(f"The release has other links than those to what was published: {' '.join(wrong)}. Take them out.")


if __name__ == "__main__":
    try:
        page = release()
        refuse_others(page)
        complete(page)
    except (RequestError, OSError, *ODD) as problem:
        sys.exit(f"GitLab failed: {problem}")
