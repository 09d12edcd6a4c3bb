"""What the jobs of a pipeline leave behind: kept in a folder for each job, and read as GitLab reads the reports."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.pipeline.key import signs
from tools.pipeline.plan import base
from tools.reports import xml
from tools.runner import Pipeline

# What a report may be that a job wrote wrongly.
BROKEN = (AttributeError, ET.ParseError, KeyError, OSError, TypeError, ValueError)


@dataclass(frozen=True)
class Case:
    """A test: `status` is `passed`, `failed` or `skipped`, `problem` is what its report says of a failure."""

    suite: str
    name: str
    seconds: float
    status: str
    problem: str


@dataclass(frozen=True)
class Source:
    """A file whose coverage is known: its lines, each with how often tests reached it, None for one that is no code."""

    path: str
    lines: list[tuple[str, int | None]]
    known: int
    missed: list[int]

    @property
    def percent(self) -> float:
        """How many of its lines tests reach."""
        return 100 * (1 - len(self.missed) / self.known) if self.known else 100.0


@dataclass(frozen=True)
class Signed:
    """A file of a release with its digest, and of what there are signatures that hold."""

    name: str
    sha256: str
    signature: bool
    attested: list[str]


@dataclass
class Results:
    """What all jobs reported; `unread` are reports that are there and are none."""

    tests: dict[str, list[Case]] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    coverage: float | None = None
    findings: list[dict[str, Any]] | None = None
    bill: dict[str, str] | None = None
    signed: list[Signed] = field(default_factory=list)
    key: str = ""
    unread: list[str] = field(default_factory=list)

    @property
    def cases(self) -> list[tuple[str, Case]]:
        """Every test with the job that ran it."""
        return [(job, case) for job, cases in self.tests.items() for case in cases]


def folder_of(job: str) -> str:
    """Return a name for the folder of a job that is easy to type: test-3.13 for test: [3.13]."""
    return re.sub(r"[^\w.]+", "-", job).strip("-")


def reports(job: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the reports that a job declares: the kind and the path of each, which leads nowhere else."""
    for kind, value in ((job.get("artifacts") or {}).get("reports") or {}).items():
        paths = value.get("path") if isinstance(value, dict) else value
        for path in [paths] if isinstance(paths, str) else paths or []:
            if not Path(path).is_absolute() and ".." not in Path(path).parts:
                yield kind, path


def with_reports_as_artifacts(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Return an expanded pipeline whose jobs hand on their reports too: nothing else leaves a container."""
    changed = dict(pipeline)
    for name, job in pipeline.items():
        if isinstance(job, dict) and (paths := [path for _, path in reports(job)]):
            artifacts = job["artifacts"]
            changed[name] = {**job, "artifacts": {**artifacts, "paths": [*artifacts.get("paths", []), *paths]}}
    return changed


def keep(repository: Path, pipeline: dict[str, Any], jobs: list[str], folder: Path) -> None:
    """Copy what GitLab would keep into a folder: the artifacts and reports of each job."""
    done = Pipeline(0, {}, None, "", repository)
    for name in jobs:
        kept = folder / folder_of(name)
        artifacts, built = done.artifact(name, "."), done.report(name, ".")
        kept.mkdir(parents=True, exist_ok=True)
        if artifacts.exists():
            shutil.copytree(artifacts, kept, symlinks=True, dirs_exist_ok=True)
        for _, pattern in reports(pipeline[base(name)]):
            for report in built.glob(pattern):
                target = kept / report.relative_to(built)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists() and report.is_file():
                    shutil.copy2(report, target)


def read(folder: Path, repository: Path, pipeline: dict[str, Any], jobs: list[str]) -> Results:
    """Read the reports that were kept in a folder; the sources of the lines are in the repository."""
    found = Results()
    readers = {"junit": add_tests, "coverage_report": add_coverage, "codequality": add_findings, "cyclonedx": add_bill}
    for name in jobs:
        for kind, pattern in reports(pipeline[base(name)]):
            for report in sorted((folder / folder_of(name)).glob(pattern)):
                if kind in readers:
                    try:
                        readers[kind](found, name, report, repository)
                    except BROKEN as problem:
                        found.unread.append(f"{name}: {report.name}: {problem}")
    sums = folder / "digests" / "SHA256SUMS"
    if sums.is_file() and (folder / "sign").is_dir():
        key = repository / "cosign.pub"
        public = key.read_text(encoding="utf-8", errors="replace") if key.is_file() else ""
        found.signed = list(signatures(sums, folder / "sign" / "signatures", public))
        found.key = hashlib.sha256(key.read_bytes()).hexdigest() if key.is_file() else ""
    return found


def add_tests(found: Results, job: str, report: Path, _: Path) -> None:
    """Add the tests of a JUnit report."""
    cases = found.tests.setdefault(job, [])
    for case in xml(report).iter("testcase"):
        problems = [each for each in case if each.tag in ("failure", "error")]
        status = "failed" if problems else "passed" if case.find("skipped") is None else "skipped"
        problem = "\n".join(filter(None, (each.text or each.get("message") for each in problems)))
        seconds = float(case.get("time") or 0)
        cases.append(Case(case.get("classname", ""), case.get("name", ""), seconds, status, problem.strip()))


def add_coverage(found: Results, _: str, report: Path, repository: Path) -> None:
    """Add the coverage of a Cobertura report, with the lines of the files as they were tested."""
    root = xml(report)
    found.coverage = 100 * float(root.attrib["line-rate"])
    for each in root.iter("class"):
        hits = {int(line.attrib["number"]): int(line.attrib["hits"]) for line in each.iter("line")}
        file = (repository / each.attrib["filename"]).resolve()
        inside = file.is_relative_to(repository.resolve()) and file.is_file()
        text = file.read_text(encoding="utf-8", errors="replace") if inside else ""
        lines = [(line, hits.get(number)) for number, line in enumerate(text.splitlines(), 1)]
        missed = sorted(number for number, count in hits.items() if not count)
        found.sources.append(Source(each.attrib["filename"], lines, len(hits), missed))


def add_findings(found: Results, _: str, report: Path, __: Path) -> None:
    """Add what a Code Quality report has."""
    read = []
    for each in json.loads(report.read_text(encoding="utf-8")):
        place = each["location"]
        line = place.get("lines", {}).get("begin") or place.get("positions", {}).get("begin", {}).get("line")
        finding = {"severity": each.get("severity", "info"), "path": place["path"], "line": line}
        read.append({**finding, "description": each["description"]})
    found.findings = [*(found.findings or []), *read]


def add_bill(found: Results, _: str, report: Path, __: Path) -> None:
    """Add the packages of a bill of materials."""
    listed = json.loads(report.read_text(encoding="utf-8")).get("components", [])
    found.bill = {**(found.bill or {}), **{each["name"]: str(each.get("version", "")) for each in listed}}


def signatures(sums: Path, folder: Path, public: str) -> Iterator[Signed]:
    """Return each file of a release, and what in the folder of signatures holds for it by the public key."""
    for file in (sums, *sorted((sums.parent / "dist").glob("*"))):
        content = file.read_bytes()

        def holds(kind: str, name: str = file.name, content: bytes = content) -> bool:
            bundle = folder / f"{name}{kind}.sigstore.json"
            return bundle.is_file() and signs(public, bundle.read_bytes(), content)

        kinds = {".provenance": "SLSA provenance", ".sbom": "bill of materials"}
        attested = [words for kind, words in kinds.items() if holds(kind)]
        yield Signed(file.name, hashlib.sha256(content).hexdigest(), holds(""), attested)
