"""Says whether a tag of the template may be released, and what is new in it: `python -m tools.release_check 1.2.3`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tools.options import ROOT

# A semantic version without a `v`, as the Catalog wants it: https://docs.gitlab.com/ci/components/#semantic-versioning
NUMBER = "(0|[1-9][0-9]*)"
VERSION = re.compile(rf"{NUMBER}\.{NUMBER}\.{NUMBER}")


def numbers(version: str) -> tuple[int, ...] | None:
    """Return a version in a form that can be compared, None for what is no version."""
    found = VERSION.fullmatch(version)
    return tuple(map(int, found.groups())) if found else None


def pinned(repository: Path) -> str:
    """Return the version of the components that projects get, which is the next release or the last one."""
    declared = json.loads((repository / "cookiecutter.json").read_text(encoding="utf-8"))
    return str(declared["_component_version"])


def newest(tags: Iterable[str]) -> str | None:
    """Return the highest version among tags; other tags do not count."""
    return max(filter(numbers, tags), key=lambda tag: numbers(tag) or (), default=None)


def newer_release(repository: Path) -> str | None:
    """Return the newest version that was tagged up to this commit, if projects pin an older one."""
    listed = subprocess.run(
        ["git", "tag", "--merged", "HEAD"], cwd=repository, stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    tag = newest(listed.stdout.split())
    return tag if tag and (numbers(tag) or ()) > (numbers(pinned(repository)) or ()) else None


def changes(repository: Path, version: str) -> str:
    """Return the part of the changelog below the heading of a version; nothing where there is none."""
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(version)}(?![\w.]).*\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    return found[1].strip() if found else ""


def faults(repository: Path, tag: str, *, protected: bool) -> list[str]:
    """Return why a tag may not be released, each with its remedy."""
    if not numbers(tag):
        return [f"{tag} is no version: delete the tag and push one such as 1.2.3, without a v."]
    found = []
    if not protected:
        found.append(f"{tag} is not protected: protect *.*.* in Settings > Repository > Protected tags.")
    if tag != pinned(repository):
        found.append(f"{tag} is not what projects pin: cookiecutter.json has _component_version {pinned(repository)}.")
    if not changes(repository, tag):
        found.append(f"CHANGELOG.md does not say what is new: write it below a heading '## {tag} - YYYY-MM-DD'.")
    return found


def main() -> int:
    """Print what is new in the tag that is the argument; return 1, and say why, where it may not be released."""
    tag = sys.argv[1]
    found = faults(ROOT, tag, protected=os.environ.get("CI_COMMIT_REF_PROTECTED") == "true")
    print(*found or [changes(ROOT, tag)], sep="\n", file=sys.stderr if found else sys.stdout)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
