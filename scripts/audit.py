"""Looks up known vulnerabilities of the packages in `sbom.cdx.json`, by pip-audit and an advisory service as OSV is.

Prints a table, and writes it for GitLab's widget of code quality. Ends with 0 where nothing is known, with 3 where
something is, or with 1 where that is to fail; with 4 where the service did not answer, which says nothing of the
packages; and with 1 where what is to be ignored is not written as it has to be, in `pyproject.toml`.

https://google.github.io/osv.dev/post-v1-query/
https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from scripts.plain_files import write

FOUND, UNANSWERED, FOUND_AND_RED = 3, 4, 5
# Seconds before the second and the third attempt.
PAUSES = (1, 5)
FOLDER = Path(os.environ.get("PY_CI_DIRECTORY", ""))
PROJECT = FOLDER / "pyproject.toml"
IGNORED = "tool.py-ci-template.ignore"
FORM = f'[[{IGNORED}]] in {PROJECT} has an id = "...", a last day until = 2027-01-31, and a reason = "..."'


class Finding(NamedTuple):
    """A vulnerability that is known of a package: all its names, and the versions without it."""

    package: str
    version: str
    names: tuple[str, ...]
    fixed: tuple[str, ...]


def normalized(name: str) -> str:
    """Return the name of a package as all its spellings have it: https://peps.python.org/pep-0503/"""
    return re.sub(r"[-_.]+", "-", name).lower()


def settings() -> dict[str, Any]:
    """Return what the project says of itself."""
    try:
        return tomllib.loads(PROJECT.read_text(encoding="utf-8")) if PROJECT.is_file() else {}
    except (ValueError, RecursionError) as error:
        sys.exit(f"{PROJECT} is no TOML: {error}")


def ignored(project: Mapping[str, Any], today: date) -> dict[str, str]:
    """Return the reasons for what does not count today, by the name of the vulnerability."""
    tool = project.get("tool", {})
    ours = tool.get("py-ci-template", {}) if isinstance(tool, dict) else {}
    entries = ours.get("ignore", []) if isinstance(ours, dict) else []
    reasons = {}
    for entry in entries if isinstance(entries, list) else [entries]:
        given = entry if isinstance(entry, dict) else {}
        name, until, reason = (given.get(key) for key in ("id", "until", "reason"))
        texts = isinstance(name, str) and isinstance(reason, str) and name.strip() and reason.strip()
        if not texts or type(until) is not date or len(given) != 3:
            sys.exit(f"{entry} is not to be understood: {FORM}.")
        if until >= today:
            reasons[str(name)] = str(reason)
        else:
            print(f"{name} counts again: it was to be ignored until {until}.")
    return reasons


def packages(bill: Any, own: str) -> Iterator[str]:
    """Return the packages of a bill of materials from package indexes as pip writes them, but the project's own."""
    for component in bill["components"]:
        name, version, address = (str(component.get(key, "")) for key in ("name", "version", "purl"))
        if normalized(name) == normalized(own):
            continue
        pinned = readable(version)
        if address.startswith("pkg:pypi/") and re.fullmatch(r"[\w.-]+", name, re.ASCII) and pinned:
            yield f"{normalized(name)}=={pinned}"
        else:
            print(f"{printable(name)} {printable(version)} is of no package index, and is not looked up.")


def readable(version: str) -> str | None:
    """Return a version as pip-audit reads it; with one that it cannot read, it would look up none of the others."""
    try:
        return str(Version(version))
    except InvalidVersion:
        return None


def printable(text: str) -> str:
    """Return what a log can show of what others wrote."""
    return "".join(filter(str.isprintable, text))[:300]


def looked_up(pins: list[str], service: str) -> list[dict[str, Any]] | None:
    """Return what pip-audit says of each package, or None where the service does not answer."""
    # A person may have committed a file of any name; this one is ours.
    requirements = Path(".tool", "packages.txt")
    requirements.write_text("\n".join(pins) + "\n", encoding="utf-8")
    options = ["--no-deps", "--disable-pip", "--vulnerability-service=osv", f"--osv-url={service}/v1/query"]
    options += ["--format=json", "--progress-spinner=off", "--timeout=15", "--cache-dir=.tool/cache"]
    command = [".tool/bin/python", "-I", "-m", "pip_audit", f"--requirement={requirements}", *options]
    for pause in (*PAUSES, 0):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
        )
        if done.stdout.startswith("{"):
            dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
            return dependencies
        # The error that it met stands before its own, which says nothing.
        lines = re.findall(r"^[\w.]+: .+$", done.stderr, re.MULTILINE) or ["pip-audit had no answer"]
        said = printable(lines[-1])
        print(f"{said}; trying again in {pause} s" if pause else said, flush=True)
        time.sleep(pause)
    return None


def findings(dependencies: list[dict[str, Any]]) -> Iterator[Finding]:
    """Return each vulnerability."""
    for each in dependencies:
        for known in each.get("vulns", []):
            names = tuple(dict.fromkeys([known["id"], *known["aliases"]]))
            yield Finding(each["name"], each["version"], names, tuple(known["fix_versions"]))


def report(found: list[Finding]) -> list[dict[str, Any]]:
    """Return the findings as GitLab's widget takes them, at the line that names the package."""
    lock = FOLDER / "uv.lock"
    file = lock if lock.is_file() else PROJECT
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    made = []
    for each in found:
        name = re.compile(rf'"{re.escape(each.package).replace("-", "[-_.]")}\b', re.IGNORECASE)
        line = next((number for number, text in enumerate(lines, 1) if name.search(text)), 1)
        made.append(
            {
                "description": f"{each.package} {each.version} has {each.names[0]}: {remedy(each)}",
                "check_name": each.names[0],
                "fingerprint": hashlib.sha256("\0".join((each.package, each.names[0])).encode()).hexdigest(),
                "severity": "major",
                "location": {"path": str(file), "lines": {"begin": line}},
            }
        )
    return made


def remedy(finding: Finding) -> str:
    """Return what helps."""
    return f"fixed in {', '.join(finding.fixed)}" if finding.fixed else "no version without it is known"


def main() -> int:
    """Look all of them up; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--service")
    parser.add_argument("--on-finding", choices=["warn", "fail"])
    given = parser.parse_args()
    target = Path("gl-code-quality-report.json")
    write(target, "[]\n")
    project = settings()
    reasons = ignored(project, datetime.now(UTC).date())
    try:
        bill = json.loads(Path(".from-sbom/1/sbom.cdx.json").read_text(encoding="utf-8"))
        pins = sorted(set(packages(bill, str(project.get("project", {}).get("name", "")))))
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        sys.exit("sbom.cdx.json is no bill of materials.")
    if not pins:
        print("The package depends on no other.")
        return 0
    answered = looked_up(pins, given.service.rstrip("/"))
    if answered is None:
        print(f"{given.service} did not answer: nothing is known of {len(pins)} packages, neither good nor bad.")
        return UNANSWERED
    counting = []
    for each in findings(answered):
        reason = next((reasons[name] for name in each.names if name in reasons), None)
        counts = "" if reason is None else f"; ignored: {reason}"
        print(printable(f"{each.package} {each.version}  {', '.join(each.names)}  {remedy(each)}{counts}"))
        if reason is None:
            counting.append(each)
    write(target, json.dumps(report(counting), indent=2) + "\n")
    print(f"{len(pins)} packages were looked up; {len(counting)} known vulnerabilities count.")
    if not counting:
        return 0
    return FOUND if given.on_finding == "warn" else FOUND_AND_RED


if __name__ == "__main__":
    sys.exit(main())
