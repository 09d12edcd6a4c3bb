"""Draws what GitLab shows of a pipeline, from the reports of a real one: `python -m tools.results`.

A new project goes the way of the tutorial: its first pipeline, a merge request that breaks a test, the fix, and a
release. The drawings of docs/results.md show what these pipelines reported. A test finds those that are out of date.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from project import OWNED
from tools.commands import commit_all, run
from tools.components import load
from tools.drawing import Box, Line, svg
from tools.options import DECLARED, ROOT
from tools.reports import xml
from tools.runner import Pipeline, pythons_here, run_pipeline, shell_executor
from tools.samples.merge_request import APP, BRANCH, break_a_test, fix_it
from tools.stand_ins.gitlab import GitLab, package_index
from tools.template import bake, bare_clone, tagged_copy

COMMAND = "python -m tools.results"
FOLDER = ROOT / "docs" / "results"
# What needs no more than Python: neither a key nor a container registry.
ANSWERS = {"signing": "none"}
IMAGE = OWNED["kind", "service"].jobs
TITLE = "Log more"
TOOLS = {
    "git": "install it first",
    "gitlab-ci-local": "run this with tox, which installs it from npm",
    "rsync": "install it first; gitlab-ci-local copies the project with it",
}


@dataclass(frozen=True)
class Case:
    """A test, as its JUnit report has it; `problem` is empty where it passed."""

    name: str
    suite: str
    problem: str


@dataclass(frozen=True)
class Seen:
    """What GitLab gets to know of one pipeline: its jobs by stage and how each ended, and what they reported.

    `hits` are how often tests reached the lines of one file, `log` is that of the job that tests.
    """

    jobs: dict[str, tuple[str, str]]
    tests: dict[str, list[Case]]
    findings: list[dict[str, Any]]
    coverage: str | None
    hits: dict[int, int]
    log: list[str]

    @property
    def status(self) -> str:
        """How the pipeline ended."""
        return "failed" if any(status == "failed" for _, status in self.jobs.values()) else "passed"

    @property
    def cases(self) -> list[Case]:
        """Every test of every job."""
        return [case for cases in self.tests.values() for case in cases]

    @property
    def failed(self) -> list[Case]:
        """The tests that did not pass."""
        return [case for case in self.cases if case.problem]


@dataclass(frozen=True)
class Story:
    """The pipelines of the tutorial's way, and what else GitLab shows of it.

    `changes` is the merge request as git shows it, `artifacts` what the job that tests declares, `release` is GitLab's
    answer, and `packages` are the files of the package registry.
    """

    first: Seen
    broken: Seen
    fixed: Seen
    changes: list[str]
    artifacts: dict[str, Any]
    release: dict[str, Any]
    packages: list[str]


def tell(folder: Path, program: str, variables: dict[str, str]) -> Story:
    """Run the pipelines in a folder, with gitlab-ci-local as the program; `variables` are for each job."""
    pythons = pythons_here(DECLARED["_python_versions"])
    python = next(iter(pythons))
    project = bake(folder / "new", _python_versions=[python], **ANSWERS)
    template = bare_clone(tagged_copy(folder / "template"), folder / "template.git")
    with GitLab(folder / "gitlab", package_index()) as gitlab:
        here = gitlab.add_project(f"your-group/{project.name}", project)
        given = {**gitlab.variables(here), **variables}
        executor = shell_executor(list(pythons.values()))

        def seen(event: str) -> Seen:
            commit_all(project)
            return look(run_pipeline(program, project, template, executor, event, given, left_out=IMAGE), python)

        first = seen("branch")
        begin = run("git", "rev-parse", "HEAD", cwd=project).strip()
        break_a_test(project)
        broken = seen("merge request")
        fix_it(project)
        fixed = seen("merge request")
        changes = run("git", "diff", "--unified=1", begin, "HEAD", "--", APP, cwd=project).splitlines()
        changelog = project / "CHANGELOG.md"
        text = changelog.read_text(encoding="utf-8").replace("## Unreleased", "## 1.0.0 - 2026-11-22")
        changelog.write_text(text, encoding="utf-8")
        artifacts = load(project / ".gitlab-ci-local" / "shell.yml")["test"]["artifacts"]
        commit_all(project)
        # Its drawings are of the release and the packages; the checks are those of the merge request.
        checks = ("lint", "test", "coverage", *IMAGE)
        released = run_pipeline(program, project, template, executor, "tag", given, left_out=checks)
        assert released.status == 0, released.output
        release = json.loads((here.folder / "releases" / "v1.0.0.json").read_text(encoding="utf-8"))
        packages = sorted(path.name for path in (here.folder / "pypi").iterdir())
    return Story(first, broken, fixed, changes, artifacts, release, packages)


def look(done: Pipeline, python: str) -> Seen:
    """Read the reports of a pipeline before the next one replaces them; any Python is shown as 3.x."""
    declared = load(done.repository / ".gitlab-ci-local" / "shell.yml")
    shown = {name: name.replace(f"[{python}]", "[3.x]") for name in done.jobs}
    jobs = {shown[name]: (declared[name.partition(":")[0]]["stage"], job.status) for name, job in done.jobs.items()}
    ran = {name.partition(":")[0] for name in jobs}
    for name, job in declared.items():
        if isinstance(job, dict) and "script" in job and "rules" not in job and name not in ran:
            jobs[name] = (job["stage"], "skipped")
    order = declared["stages"]
    jobs = dict(sorted(jobs.items(), key=lambda job: order.index(job[1][0]) if job[1][0] in order else -1))
    test = f"test: [{python}]"
    cases = [
        Case(case.attrib["name"], case.attrib["classname"], "" if failure is None else failure.attrib["message"])
        for case in xml(done.report(test, "junit.xml")).iter("testcase")
        for failure in [case.find("failure")]
    ]
    findings = json.loads(done.report("lint", "gl-code-quality-report.json").read_text(encoding="utf-8"))
    hits = {}
    if "coverage" in done.jobs:
        for file in xml(done.report("coverage", "coverage.xml")).iter("class"):
            if file.attrib["filename"] == APP:
                hits = {int(line.attrib["number"]): int(line.attrib["hits"]) for line in file.iter("line")}
    return Seen(jobs, {shown[test]: cases}, findings, done.coverage, hits, done.log(test).splitlines())


def stages(seen: Seen) -> tuple[tuple[str, str], ...]:
    """Return how each stage ended: as the worst of its jobs."""
    found: dict[str, list[str]] = {}
    for stage, status in seen.jobs.values():
        found.setdefault(stage, []).append(status)
    worst = ("failed", "skipped", "passed")
    return tuple((next(each for each in worst if each in statuses), stage) for stage, statuses in found.items())


def finding(found: dict[str, Any]) -> str:
    """Say where a finding of code quality is, and what."""
    location = found["location"]
    line = location["positions"]["begin"]["line"]
    return f"{found['severity'].capitalize()} - {found['description']} in {location['path']}:{line}"


def percent(value: str | None) -> float:
    """Return a percentage as a number."""
    return float((value or "0%").rstrip("%"))


def merge_request(seen: Seen, base: Seen) -> list[Box]:
    """Show the widgets of a merge request, which compare with the target branch."""
    pipeline = [
        Line(f"Merge request pipeline {seen.status}", mark=seen.status, style="strong"),
        Line(indent=1, chips=stages(seen)),
    ]
    if seen.coverage:
        change = percent(seen.coverage) - percent(base.coverage)
        pipeline.append(Line(f"Test coverage {seen.coverage} ({change:+g}%) from 1 job", indent=1))
    before = {(case.suite, case.name) for case in base.failed}
    new = [case for case in seen.failed if (case.suite, case.name) not in before]
    count = f"{len(new)} failed" if new else "no changed test results"
    tests = [
        Line(f"Test summary: {count}, {len(seen.cases)} total tests", "failed" if new else "passed", style="strong")
    ]
    if new:
        tests += [Line(f"{suite}: {count}, {len(cases)} total tests", indent=1) for suite, cases in seen.tests.items()]
    tests += [Line(f"New: {case.name}  (View details)", "failed", indent=2) for case in new]
    known = {found["fingerprint"] for found in base.findings}
    fresh = [found for found in seen.findings if found["fingerprint"] not in known]
    quality = [Line("Code Quality hasn't changed.", "skipped", style="strong")]
    if fresh:
        plural = "s" * (len(fresh) > 1)
        quality = [Line(f"Code Quality scans found {len(fresh)} new finding{plural}.", "warning", style="strong")]
        quality += [Line(finding(found), indent=1) for found in fresh]
    head = [Line(TITLE, style="strong"), Line(f"{BRANCH} into main", style="muted")]
    return [head, pipeline, tests, quality]


def changes(story: Story) -> list[Box]:
    """Show the diff of a merge request, with a bar for each line of which coverage is known."""
    lines = [Line(APP, style="strong")]
    number = 0
    for text in story.changes[4:]:
        if begin := re.match(r"@@ -\S+ \+(\d+)", text):
            number = int(begin[1]) - 1
            lines.append(Line(text.rpartition("@@")[0] + "@@", style="muted"))
            continue
        fill = {"+": "added", "-": "removed"}.get(text[:1], "")
        bar, note = "", ""
        if fill != "removed":
            number += 1
            if number in story.fixed.hits:
                reached = story.fixed.hits[number] > 0
                bar, note = ("passed", "") if reached else ("failed", "    ← No test coverage")
        lines.append(Line(f"{'' if fill == 'removed' else number:>4} {text}{note}", style="code", fill=fill, bar=bar))
    return [lines]


def tabs(seen: Seen, chosen: str, *shown: Line) -> list[Box]:
    """Show a tab of the page of a pipeline."""
    names = ["Pipeline", "Jobs", "Tests", "Code Quality"]
    counts = {"Jobs": len(seen.jobs), "Tests": len(seen.cases)}
    chips = [("", " ".join(filter(None, [name, str(counts.get(name, ""))]))) for name in names]
    head = [Line(TITLE, seen.status, style="strong"), Line(chips=tuple(chips))]
    return [head, [Line(f"Tab {chosen}", style="strong"), *shown]]


def jobs_tab(seen: Seen) -> list[Box]:
    """Show the jobs of a pipeline, with the coverage of one that has it."""
    rows = []
    for name, (stage, status) in seen.jobs.items():
        coverage = ("", f"coverage {seen.coverage}") if name == "coverage" and seen.coverage else None
        chips = [("", f"stage {stage}"), *([coverage] if coverage else [])]
        rows.append(Line(f"{status:8} {name:14}", status, style="code", chips=tuple(chips)))
    return tabs(seen, "Jobs", *rows)


def tests_tab(seen: Seen) -> list[Box]:
    """Show the tests of a pipeline, those that failed first."""
    rate = 100 * (1 - len(seen.failed) / len(seen.cases))
    lines = [Line(f"{len(seen.cases)} tests, {len(seen.failed)} failures, 0 errors, {rate:g}% success rate")]
    for job, cases in seen.tests.items():
        lines.append(Line(job, style="strong"))
        for case in sorted(cases, key=lambda case: not case.problem):
            lines.append(Line(f"{case.suite}  {case.name}", "failed" if case.problem else "passed", indent=1))
            lines += [Line(each, indent=3, style="code") for each in case.problem.splitlines() if each.strip()]
    return tabs(seen, "Tests", *lines)


def job_page(story: Story) -> list[Box]:
    """Show the end of the log of the job that fails, and what it hands on."""
    log = story.broken.log
    end = log[max(number for number, line in enumerate(log) if "short test summary info" in line) :]
    # pytest fills a line with as many signs as the seconds leave room for.
    shown = [re.sub(r"^=+ (.+?)(?: in [\d.]+s)? =+$", r"=== \1 ===", line) for line in end]
    (name,) = story.broken.tests
    reports = [f"{kind}: {path}" for kind, path in story.artifacts["reports"].items()]
    return [
        [Line(name, "failed", style="strong")],
        [Line(line, style="code") for line in shown],
        [
            Line("Job artifacts", style="strong", chips=(("", "Keep"), ("", "Download"), ("", "Browse"))),
            Line(f"Removed after {story.artifacts['expire_in']}", style="muted"),
            *(Line(path, indent=1, style="code") for path in story.artifacts["paths"]),
        ],
        [
            Line("Reports, which GitLab shows in other places", style="muted"),
            *(Line(report, indent=1, style="code") for report in reports),
        ],
    ]


def history(pipelines: Sequence[tuple[str, Seen]]) -> Box:
    """Show the percentage of each pipeline of the default branch as a bar."""
    head = Line("Code coverage statistics for main, job coverage", style="strong")
    return [head, *(Line(f"{seen.coverage} {name}", percent=percent(seen.coverage)) for name, seen in pipelines)]


def drawings(story: Story) -> dict[str, str]:
    """Return the drawings by the names of their files."""
    notes, links = story.release["description"].partition("From ")[0].strip(), story.release["assets"]["links"]
    badges = [
        ("", f"pipeline | {story.fixed.status}"),
        ("", f"coverage | {story.fixed.coverage}"),
        ("", f"Latest Release | {story.release['tag_name']}"),
    ]
    titled: dict[str, tuple[str, list[Box]]] = {
        "merge-request": ("Merge request, tab Overview: a test fails", merge_request(story.broken, story.first)),
        "merge-request-fixed": ("Merge request, tab Overview: fixed", merge_request(story.fixed, story.first)),
        "changes": ("Merge request, tab Changes", changes(story)),
        "pipeline-jobs": ("Pipeline, tab Jobs", jobs_tab(story.broken)),
        "pipeline-tests": ("Pipeline, tab Tests", tests_tab(story.broken)),
        "pipeline-code-quality": (
            "Pipeline, tab Code Quality",
            tabs(story.broken, "Code Quality", *(Line(finding(found), "warning") for found in story.broken.findings)),
        ),
        "job": ("Job: the end of its log, and its artifacts", job_page(story)),
        "badges": ("README of the project: badges", [[Line("My Service", style="strong"), Line(chips=tuple(badges))]]),
        "analytics": (
            "Analyze > Repository analytics",
            [history([("with the first push", story.first), ("with the merge request", story.fixed)])],
        ),
        "releases": (
            "Deploy > Releases",
            [
                [Line(story.release["name"], style="strong"), Line(f"Assets {len(links)}", style="muted")]
                + [Line(link["name"], indent=1, style="code") for link in links]
                + [
                    Line(text.lstrip("# "), style="strong" if text[0] == "#" else "")
                    for text in notes.splitlines()
                    if text
                ],
            ],
        ),
        "package-registry": (
            "Deploy > Package registry",
            [
                [Line("my-service", style="strong", chips=(("", "1.0.0"), ("", "PyPI")))]
                + [Line(name, indent=1, style="code") for name in story.packages],
            ],
        ),
    }
    return {f"{name}.svg": svg(title, *boxes) for name, (title, boxes) in titled.items()}


def main() -> int:
    """Run the pipelines and write every drawing; say which changed, or what is missing."""
    missing = [f"{tool} is missing: {remedy}." for tool, remedy in TOOLS.items() if not shutil.which(tool)]
    if missing:
        print(*missing, sep="\n", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="results-") as folder:
        made = drawings(tell(Path(folder), str(shutil.which("gitlab-ci-local")), {"UV_CACHE_DIR": f"{folder}/uv"}))
    FOLDER.mkdir(exist_ok=True)
    for name, text in made.items():
        file = FOLDER / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(f"{file.relative_to(ROOT)} is up to date now.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
