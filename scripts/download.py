"""Takes a release from the registries as anybody would, with every file that was published, and opens none of them.

Whatever pip would take for `==VERSION` is taken, by pip's own rules, so that nothing of it is left unverified. To be
run with the Python of an environment that has pip. Ends with 1 and a line where something is missing, or where the
index has a path in the place of a name.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from pip._internal.exceptions import InvalidWheelFilename
from pip._internal.index.collector import IndexContent, parse_links
from pip._internal.index.package_finder import _extract_version_from_fragment
from pip._internal.models.index import PyPI
from pip._internal.models.link import Link
from pip._internal.models.wheel import Wheel
from pip._internal.utils.filetypes import ARCHIVE_EXTENSIONS, WHEEL_EXTENSION
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.utils import canonicalize_name
from pip._vendor.packaging.version import InvalidVersion, Version

from scripts.gitlab_api import Answer, RequestError, ask, of_project
from scripts.unambiguous_json import ODD

PACKAGE = canonicalize_name(os.environ["PY_CI_PACKAGE_NAME"])
VERSION = os.environ["CI_COMMIT_TAG"].removeprefix(f"{os.environ['PY_CI_PACKAGE_NAME']}-").removeprefix("v")
INDEX = os.environ.get("PY_CI_INDEX_URL") or PyPI.simple_url
# As pip asks; an index may answer in either way: https://peps.python.org/pep-0691/
ACCEPTED = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


def refuse_paths(page: Answer) -> None:
    """End the program where the page of an index has the path of a file in the place of its name."""
    if page.kind.endswith("json"):
        said = [str(file["filename"]) for file in json.loads(page.content)["files"]]
    else:
        said = re.findall(r">([^<>]*)</a\s*>", page.content.decode(errors="replace"), re.IGNORECASE)
    said += [unquote(unquote(urlsplit(link.url).path.rpartition("/")[2])) for link in links(page)]
    for name in said:
        if "/" in name or "\\" in name:
            sys.exit(f"{name!r} in the index is not the name of a file.")


def links(page: Answer) -> list[Link]:
    """Return the files that the page of an index names."""
    return list(parse_links(IndexContent(page.content, page.kind, None, page.address, cache_link_parsing=False)))


def version_of(link: Link) -> str | None:
    """Return the version for which pip would take a file, on whatever Python; None if it would take it for none."""
    stem, extension = link.splitext()
    if not link.egg_fragment and extension == WHEEL_EXTENSION:
        try:
            wheel = Wheel(link.filename)
        except InvalidWheelFilename:
            return None
        return wheel.version if canonicalize_name(wheel.name) == PACKAGE else None
    if not link.egg_fragment and extension not in ARCHIVE_EXTENSIONS:
        return None
    version = _extract_version_from_fragment(link.egg_fragment or stem, PACKAGE)
    return re.sub(r"-py[123]\.?[0-9]?$", "", version) if version else None


def is_of_version(link: Link) -> bool:
    """Tell whether a file satisfies `==VERSION`, local versions and pre-releases included (PEP 440)."""
    try:
        return SpecifierSet(f"=={VERSION}").contains(Version(version_of(link) or ""), prereleases=True)
    except InvalidVersion:
        return False


def listed() -> list[Link]:
    """Return the distributions of the version in the index."""
    # GitLab has its pages without a slash at the end, and sends there from the address with one.
    page = ask("GET", urljoin(f"{INDEX.rstrip('/')}/", PACKAGE), None, {"Accept": ACCEPTED})
    elsewhere = urlsplit(page.address).netloc
    if elsewhere != urlsplit(INDEX).netloc:
        sys.exit(f"{PACKAGE} is not in the index, which sends to {elsewhere} for it.")
    refuse_paths(page)
    ours = [link for link in links(page) if is_of_version(link)]
    if not ours:
        raise RequestError(f"The index has no file of {PACKAGE} {VERSION}")
    return ours


def keep(folder: str, name: str, address: str) -> None:
    """Write a file to a folder, and do not open it."""
    try:
        Path(folder, name).write_bytes(ask("GET", address).content)
    except RequestError as failed:
        if failed.status == 404:
            sys.exit(f"{name} is not in the registry (404).")
        raise


def main() -> None:
    """Take all of it."""
    generic = of_project(f"packages/generic/{os.environ['PY_CI_PACKAGE_NAME']}/{VERSION}")
    for folder in ("dist", "signatures"):
        Path(folder).mkdir()
    for name in ("SHA256SUMS", "sbom.cdx.json"):
        keep(".", name, f"{generic}/{name}")
    keep("signatures", "SHA256SUMS.sigstore.json", f"{generic}/SHA256SUMS.sigstore.json")
    for link in listed():
        keep("dist", link.filename, link.url_without_fragment)
        for kind in ("", ".provenance", ".sbom"):
            keep("signatures", f"{link.filename}{kind}.sigstore.json", f"{generic}/{link.filename}{kind}.sigstore.json")


if __name__ == "__main__":
    try:
        main()
    except (RequestError, OSError, *ODD) as problem:
        sys.exit(f"The download failed: {problem}")
