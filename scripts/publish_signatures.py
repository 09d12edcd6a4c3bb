"""Uploads the sums, signatures and bill of materials of a release to the generic package registry.

`take` puts those that the registry has in the place of ours, so that they can be verified as ours are; `upload` adds
those that it lacks. Both end with 1 and a line where that cannot be. What the registry has stays as it is.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from scripts.gitlab_api import RequestError, ask, of_project
from scripts.release_files import BILL, OF_BILL, SUMS, signatures
from scripts.unambiguous_json import ODD

NAME = os.environ["PY_CI_PACKAGE_NAME"]
VERSION = os.environ["CI_COMMIT_TAG"].removeprefix(f"{NAME}-").removeprefix("v")
# What `take` has found.
FOUND = Path("found.json")


def files() -> list[Path]:
    """Return what is published. The sums are first: what is half finished can only be finished with the same files."""
    return [SUMS, BILL, *signatures()]


def address(file: Path) -> str:
    """Return where the registry has a file."""
    return of_project(f"packages/generic/{quote(NAME)}/{quote(VERSION)}/{quote(file.name)}")


def stored(file: Path) -> bytes | None:
    """Return what the registry has under the name of a file, or None."""
    try:
        return ask("GET", address(file)).content
    except RequestError as failed:
        if failed.status == 404:
            return None
        raise


def packages() -> list[dict[str, Any]]:
    """Return the packages of the project whose names hold ours: https://docs.gitlab.com/api/packages/#for-a-project"""
    found: list[dict[str, Any]] = []
    for page in range(1, 1000):
        query = urlencode({"package_name": NAME, "per_page": 100, "page": page})
        more = json.loads(ask("GET", of_project(f"packages?{query}")).content)
        found += more
        if len(more) < 100:
            break
    return found


def alike(name: str, version: str) -> tuple[str, str]:
    """Return a name and a version as pip compares them, nearly: without a local part, and without zeros at the end."""
    plain = re.sub(r"(\.0)+$", "", version.lower().partition("+")[0].removeprefix("v"))
    return re.sub(r"[-_.]+", "-", name).lower(), plain


def strangers(found: set[Path]) -> list[str]:
    """Return the packages of this version that no release of it has made, of which `found` is there."""
    ours = [each for each in packages() if alike(each["name"], each["version"]) == alike(NAME, VERSION)]
    if SUMS in found:
        ours = [each for each in ours if each["version"] != VERSION]
    return sorted({f"{each['package_type']} {each['version']}" for each in ours})


def take() -> None:
    """Take what is there; refuse it where it is not of these distributions, or nobody knows of which."""
    found = {file: content for file in files() if (content := stored(file)) is not None}
    if found.get(SUMS, SUMS.read_bytes()) != SUMS.read_bytes():
        sys.exit(f"{NAME} {VERSION} is published already, with other files.")
    if unknown := strangers(set(found)):
        sys.exit(f"{NAME} {VERSION} has files in the registry that no release has put there: {', '.join(unknown)}.")
    # A bill of materials is that of its day. Where it or one of its attestations is missing, all of ours are taken.
    of_bill = {file for file in files() if file == BILL or file.name.endswith(OF_BILL)}
    if not of_bill <= found.keys():
        found = {file: content for file, content in found.items() if file not in of_bill}
    for file, content in found.items():
        file.write_bytes(content)
    FOUND.write_text(json.dumps([file.name for file in found]), encoding="utf-8")


def upload() -> None:
    """Upload what is missing, and write down where all of it is."""
    found, links = json.loads(FOUND.read_text(encoding="utf-8")), []
    for file in files():
        if file.name not in found:
            ask("PUT", address(file), file.read_bytes(), {"Content-Type": "application/octet-stream"})
        print("is there" if file.name in found else "uploaded", file.name)
        links.append(f"{file.name} {address(file)} other\n")
    Path("links").mkdir()
    Path("links", "signatures").write_text("".join(links), encoding="utf-8")


if __name__ == "__main__":
    try:
        {"take": take, "upload": upload}[sys.argv[1]]()
    except (RequestError, OSError, *ODD) as problem:
        sys.exit(f"The registry failed: {problem}")
