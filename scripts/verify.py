"""Compares what the attestations of a release say with its bill of materials, and with this pipeline's tag and commit.

To be run where the files of the release are, after Cosign has verified them. Ends with 1 and a line where something
differs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

from scripts.attestations import our_source, predicate, read, source
from scripts.gitlab_api import RequestError, ask, of_project


def tagged(tag: str) -> str | None:
    """Return the commit that a tag names on GitLab now.

    https://docs.gitlab.com/api/tags/#list-all-project-repository-tags
    """
    found = json.loads(ask("GET", of_project(f"repository/tags?search={quote(f'^{tag}$')}")).content)
    commits: dict[str, str] = {each["name"]: each["commit"]["id"] for each in found}
    return commits.get(tag)


def main() -> None:
    """Compare; end the program with what differs."""
    ours, tag = our_source(), os.environ["CI_COMMIT_TAG"]
    try:
        bill = read(Path("sbom.cdx.json").read_bytes())
    except ValueError as error:
        sys.exit(f"sbom.cdx.json is no bill of materials: {error}")
    for bundle in sorted(Path("signatures").iterdir()):
        attested = bundle.name.endswith((".provenance.sigstore.json", ".sbom.sigstore.json"))
        said = predicate(read(bundle.read_bytes())["dsseEnvelope"]["payload"]) if attested else None
        if bundle.name.endswith(".sbom.sigstore.json") and said != bill:
            sys.exit(f"{bundle} attests another bill of materials than sbom.cdx.json.")
        if bundle.name.endswith(".provenance.sigstore.json") and source(said) != ours:
            sys.exit(f"{bundle} says that the file was made from {source(said)}; this is {ours}")
    try:
        commit = tagged(tag)
    except (RequestError, ValueError, TypeError, KeyError) as problem:
        sys.exit(f"GitLab does not say where the tag is ({problem}); retry the job.")
    if commit != os.environ["CI_COMMIT_SHA"]:
        sys.exit(f"{tag} names {commit or 'nothing'} now; this is {ours}")
    print(f"Everything was made from {ours}")


if __name__ == "__main__":
    main()
