"""Uploads the sums, signatures and bill of materials of a release to the generic package registry.

`take` puts those that the registry has in the place of ours, so that they can be verified as ours are; `upload` adds
those that it lacks. Both end with 1 and a line where that cannot be. What the registry has stays as it is.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

from scripts.gitlab_api import RequestError, ask, of_project

NAME, VERSION = os.environ["PY_CI_PACKAGE_NAME"], os.environ["CI_COMMIT_TAG"].removeprefix("v")
# The sums come first: a half-finished release can only be finished with the same files.
SUMS, BILL = Path("SHA256SUMS"), Path("sbom.cdx.json")
# What `take` has found.
FOUND = Path("found.json")


def files() -> list[Path]:
    """Return what is published, in its order."""
    return [SUMS, BILL, *sorted(Path("signatures").iterdir())]


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


def published() -> list[str]:
    """Return the types of the packages of this name and version that the project has.

    https://docs.gitlab.com/api/packages/#for-a-project
    """
    query = urlencode({"package_name": NAME, "package_version": VERSION, "per_page": 100})
    packages = json.loads(ask("GET", of_project(f"packages?{query}")).content)
    return sorted({each["package_type"] for each in packages if (each["name"], each["version"]) == (NAME, VERSION)})


def take() -> None:
    """Take what is there; refuse it where it is not of these distributions, or nobody knows of which."""
    found = {file: content for file in files() if (content := stored(file)) is not None}
    if SUMS not in found and (packages := published()):
        kinds = " and ".join(packages)
        sys.exit(f"{NAME} {VERSION} has files in the registry ({kinds}), but no SHA256SUMS: no release put them there.")
    if found.get(SUMS, SUMS.read_bytes()) != SUMS.read_bytes():
        sys.exit(f"{NAME} {VERSION} is published already, with other files.")
    # A bill of materials is that of its day. Where it or one of its attestations is missing, all of ours are taken.
    of_bill = {file for file in files() if file == BILL or file.name.endswith(".sbom.sigstore.json")}
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
    except (RequestError, ValueError, KeyError) as problem:
        sys.exit(f"The registry failed: {problem}")
