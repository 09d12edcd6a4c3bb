"""The reports of jobs, as GitLab reads them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path


def xml(report: Path) -> ET.Element:
    """Return the root of a report that a job of ours wrote."""
    return ET.parse(report).getroot()  # noqa: S314


def junit(report: Path) -> dict[str, int]:
    """Return what a JUnit report says, as GitLab counts it: by test case."""
    cases = list(xml(report).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    passed = len(cases) - len(failed) - len(skipped)
    return {"passed": passed, "failed": len(failed), "skipped": len(skipped)}
