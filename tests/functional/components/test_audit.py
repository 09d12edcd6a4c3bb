"""The job that looks up known vulnerabilities: the real pip-audit, and an advisory service on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.components import inputs_of, load
from tools.expander import Expander
from tools.runner import Pipe, Pipeline
from tools.samples.package import COMPONENTS, VERSION, copy_project
from tools.samples.standalone import make_standalone
from tools.stand_ins.advisories import Advisories, Advisory
from tools.template import edit

PIPELINE = f"""
include:
  - component: {COMPONENTS}/build@{VERSION}
    inputs: {{python_version: "PYTHON"}}
  - component: {COMPONENTS}/sbom@{VERSION}
    inputs: {{python_version: "PYTHON"}}
  - component: {COMPONENTS}/audit@{VERSION}
    inputs: {{python_version: "PYTHON", advisories: "https://ADVISORIES", on_finding: warn}}
"""
KNOWN = Advisory("idna", "PYSEC-2024-60", ("CVE-2024-3651",), "3.7")
UNFIXED = Advisory("iniconfig", "GHSA-1111-2222-3333")
ANSWERED = "2 packages were looked up; {} known vulnerabilities count."

Audit = Callable[..., Pipeline]


@pytest.fixture
def service() -> Iterator[Advisories]:
    """A service that knows of two packages, of which the project has both."""
    with Advisories(KNOWN, UNFIXED, Advisory("requests", "CVE-2020-1")) as running:
        yield running


@pytest.fixture(scope="module")
def billed(pipe: Pipe, python: str, warm: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two dependencies, of which there is a bill of materials."""
    project = make_standalone(tmp_path_factory.mktemp("billed") / "another")
    edit(project / "pyproject.toml", "[project]\n", '[project]\ndependencies = ["idna==3.6", "iniconfig==2.1.0"]\n')
    (project / ".gitlab-ci.yml").write_text(PIPELINE.replace("PYTHON", python), encoding="utf-8")
    done = pipe(project, "sbom", event="schedule", variables=warm)
    assert done.results == {"build": "passed", "sbom": "passed"}, done.output
    return project


@pytest.fixture
def audit(billed: Path, pipe: Pipe, service: Advisories, warm: dict[str, str], tmp_path: Path) -> Audit:
    """Return a function that runs the job, with more settings of the project and other words in the pipeline."""
    project = copy_project(billed, tmp_path / "another")
    texts = {name: (project / name).read_text(encoding="utf-8") for name in ("pyproject.toml", ".gitlab-ci.yml")}

    def run(settings: str = "", **replaced: str) -> Pipeline:
        (project / "pyproject.toml").write_text(texts["pyproject.toml"] + settings, encoding="utf-8")
        pipeline = texts[".gitlab-ci.yml"]
        for old, new in {"https://ADVISORIES": service.url, **replaced}.items():
            pipeline = pipeline.replace(old, new)
        (project / ".gitlab-ci.yml").write_text(pipeline, encoding="utf-8")
        done: Pipeline = pipe(project, "audit", event="schedule", variables=warm, again=True)
        return done

    return run


def ignoring(name: str, days: int, **more: str) -> str:
    """Return the settings that ignore a vulnerability for some days, for a reason, with more or other lines."""
    until = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
    lines = {"id": f'"{name}"', "until": until, "reason": '"It is never called."', **more}
    return "\n[[tool.py-ci-template.ignore]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def report(done: Pipeline) -> list[dict[str, Any]]:
    """Return what GitLab gets."""
    found: list[dict[str, Any]] = json.loads(done.report("audit", "gl-code-quality-report.json").read_text("utf-8"))
    return found


def test_a_known_vulnerability_is_a_warning_and_is_shown(audit: Audit, service: Advisories) -> None:
    done = audit()
    assert done.results == {"audit": "failed, allowed"}, done.output
    log = done.log("audit")
    assert "idna 3.6  PYSEC-2024-60, CVE-2024-3651  fixed in 3.7\n" in log
    assert "iniconfig 2.1.0  GHSA-1111-2222-3333  no version without it is known\n" in log
    assert ANSWERED.format(2) in log
    assert done.last_line("audit").startswith("Take the versions that fix what is named above")
    # Nobody learns of the project itself.
    assert sorted(service.asked) == [("idna", "3.6"), ("iniconfig", "2.1.0")]
    first, second = report(done)
    assert first["check_name"] == "PYSEC-2024-60"
    assert first["location"] == {"path": "pyproject.toml", "lines": second["location"]["lines"]}
    assert first["fingerprint"] != second["fingerprint"]


def test_it_fails_if_that_is_asked_for(audit: Audit) -> None:
    done = audit(**{"on_finding: warn": "on_finding: fail"})
    assert done.results["audit"] == "failed", done.output


def test_what_is_ignored_has_a_reason_and_an_end(audit: Audit, service: Advisories) -> None:
    # By any of its names.
    done = audit(ignoring("CVE-2024-3651", 0) + ignoring(UNFIXED.name, 30))
    assert done.results["audit"] == "passed", done.output
    assert "fixed in 3.7; ignored: It is never called.\n" in done.log("audit")
    assert ANSWERED.format(0) in done.log("audit")
    assert report(done) == []
    done = audit(ignoring("CVE-2024-3651", -1) + ignoring(UNFIXED.name, 30))
    assert done.results["audit"] == "failed, allowed", done.output
    assert "CVE-2024-3651 counts again: it was to be ignored until " in done.log("audit")
    assert [each["check_name"] for each in report(done)] == ["PYSEC-2024-60"]
    service.known = ()
    done = audit(ignoring(UNFIXED.name, 30, reason='" "'))
    assert done.results["audit"] == "failed", done.output
    assert "is not to be understood: [[tool.py-ci-template.ignore]] in pyproject.toml has an id" in done.log("audit")


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 200}, {"cut": True}, None], ids=str)
def test_no_answer_is_no_finding_and_says_so(fault: dict[str, Any] | None, audit: Audit, service: Advisories) -> None:
    nobody = {"https://ADVISORIES": "http://127.0.0.1:9"} if fault is None else {}
    if fault:
        service.fail_next(1000, **fault)
    done = audit(**{"on_finding: warn": "on_finding: fail"}, **nobody)
    assert done.results["audit"] == "failed, allowed", done.output
    assert "did not answer: nothing is known of 2 packages, neither good nor bad.\n" in done.log("audit")
    assert done.last_line("audit").startswith("Retry the job, or set the input advisories")
    assert report(done) == []


def test_a_service_that_fails_once_is_asked_again(audit: Audit, service: Advisories) -> None:
    service.known = ()
    service.fail_next(1, status=503)
    done = audit()
    assert done.results["audit"] == "passed", done.output
    assert "trying again in 1 s" in done.log("audit")


@pytest.mark.parametrize("changes", [None, ["packages/api/uv.lock"]], ids=str)
def test_it_runs_in_schedules_and_in_merge_requests_that_have_what_it_reads(
    changes: list[str] | None, python: str, expander: Expander
) -> None:
    pipeline = yaml.safe_load(PIPELINE.replace("PYTHON", python))
    for include in pipeline["include"]:
        include["inputs"] |= {"job_suffix": "-api"} if changes else {}
    pipeline["include"][1]["inputs"] |= {"changes": changes} if changes else {}
    text, suffix = yaml.safe_dump(pipeline), "-api" if changes else ""
    events = ("branch", "merge request", "schedule", "tag", "schedule on a tag")
    assert {event for event in events if f"audit{suffix}" in expander.jobs(text, event)} == {
        "merge request",
        "schedule",
    }
    jobs = load(expander.preview(text))
    never, *rules = jobs[f"audit{suffix}"]["rules"]
    assert never["when"] == "never"
    assert rules == jobs[f"sbom{suffix}"]["rules"]
    assert rules[1]["changes"] == (changes or inputs_of("sbom")["changes"]["default"])
