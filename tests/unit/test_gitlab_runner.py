"""What is known of GitLab's own runner without running it: which Go builds it, and how the log of a job is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.gitlab_runner.plan import seconds
from tools.gitlab_runner.program import find_go
from tools.requirements import MissingRequirementError
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.runner_api import Build

TRACE = (
    "2026-11-23T10:00:00.000000Z 00O \x1b[0KRunning\r\n"
    "2026-11-23T10:00:00.000000Z 00O section_start:1790000000:step_script\r\x1b[0K\x1b[32;1m$ coverage report\x1b[0;m\n"
    "2026-11-23T10:00:01.000000Z 01O TOTAL  90%\n"
    "2026-11-23T10:00:01.000000Z 01O TOTAL  9\n"
    "2026-11-23T10:00:02.000000Z 01O+2.5%\n"
    "2026-11-23T10:00:02.000000Z 00O ERROR: Job failed\n"
)


@pytest.mark.parametrize(
    ("version", "is_enough"),
    [("go1.26.5", True), ("go1.30", True), ("go1.26.4", False), ("go1.9", False), ("x", False)],
)
def test_the_go_that_builds_it_is_new_enough(
    version: str, is_enough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if is_enough:
        assert find_go() == str(go)
    else:
        with pytest.raises(MissingRequirementError, match=f"{version} is too old: install Go 1.26.5"):
            find_go()


def test_a_machine_without_go_is_told_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingRequirementError, match="install Go"):
        find_go()


@pytest.mark.parametrize(
    ("pattern", "coverage"),
    [("/^TOTAL.+?(\\d+(?:\\.\\d+)?%)$/", 90.0), ("/TOTAL +\\d+%/", 90.0), ("/nothing/", None), (None, None)],
)
def test_the_coverage_is_that_of_the_last_line_that_fits(
    pattern: str | None, coverage: float | None, tmp_path: Path
) -> None:
    build = Build(
        Project(1, "group/project", tmp_path, None), {"coverage": pattern}, 1, trace=bytearray(TRACE, "utf-8")
    )
    assert build.coverage == coverage


def test_a_log_is_read_as_people_see_it(tmp_path: Path) -> None:
    build = Build(Project(1, "group/project", tmp_path, None), {}, 1, trace=bytearray(TRACE, "utf-8"))
    assert build.log == "Running\n$ coverage report\nTOTAL  90%\nTOTAL  92.5%\nERROR: Job failed\n"


def test_a_timeout_is_read_in_words() -> None:
    assert [seconds(text) for text in ("5 seconds", "15 minutes", "1 hour 30 minutes", None)] == [5, 900, 5400, 3600]
