"""Compares what the attestations of a release say with its bill of materials, and with this pipeline's tag and commit.

To be run where the files of the release are, after Cosign has verified them. Ends with 1 and a line where something
differs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.attestations import attested, our_source, source
from scripts.gitlab_api import RequestError, ask
from scripts.release_files import BILL, OF_BILL, PROVENANCE, signatures
from scripts.unambiguous_json import ODD, read


def tagged(tag: str) -> str | None:
    """Return the commit that a tag names on GitLab now, or None.

    It asks as git does, because GitLab's API lists tags for the token of a job since 18.4 only. Raises ValueError for
    an answer that is not git's.
    https://git-scm.com/docs/gitprotocol-http#_smart_server_response
    """
    answer = ask("GET", f"{os.environ['CI_PROJECT_URL']}.git/info/refs?service=git-upload-pack")
    if answer.kind != "application/x-git-upload-pack-advertisement":
        raise ValueError(f"{answer.address} answered with {answer.kind}")
    commits = {name: commit for commit, _, name in (line.partition(" ") for line in packets(answer.content))}
    # An annotated tag is an object of its own; this is what it is of.
    name = f"refs/tags/{tag}"
    return commits.get(f"{name}^" + "{}") or commits.get(name)


def packets(content: bytes) -> Iterator[str]:
    """Yield the lines that git sends, without what the first one says of the server.

    https://git-scm.com/docs/gitprotocol-common#_pkt_line_format
    """
    while content:
        size = max(int(content[:4], 16), 4)
        yield content[4:size].partition(b"\0")[0].decode().rstrip("\n")
        content = content[size:]


def differing(ours: str) -> str | None:
    """Say what the attestations say otherwise than the bill of materials and this pipeline, or None."""
    wanted, there = set(signatures()), set(Path("signatures").iterdir())
    if wanted != there:
        return f"The signatures are not those of the files: {' '.join(sorted(map(str, wanted ^ there)))}"
    bill = read(BILL.read_bytes())
    for bundle in sorted(wanted):
        if bundle.name.endswith(OF_BILL) and attested(bundle) != bill:
            return f"{bundle} attests another bill of materials than {BILL}."
        if bundle.name.endswith(PROVENANCE) and (said := source(attested(bundle))) != ours:
            return f"{bundle} says that the file was made from {said}; this is {ours}"
    return None


def main() -> None:
    """Compare; end the program with what differs."""
    ours, tag = our_source(), os.environ["CI_COMMIT_TAG"]
    try:
        problem = differing(ours)
    except (*ODD, OSError) as odd:
        problem = f"The bill of materials or an attestation cannot be read: {odd!r}"
    if problem:
        sys.exit(problem)
    try:
        commit = tagged(tag)
    except (RequestError, *ODD) as odd:
        sys.exit(f"GitLab does not say where the tag is ({odd}); retry the job.")
    if commit != os.environ["CI_COMMIT_SHA"]:
        sys.exit(f"{tag} names {commit or 'nothing'} now; this is {ours}")
    print(f"Everything was made from {ours}")


if __name__ == "__main__":
    main()
