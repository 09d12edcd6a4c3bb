"""Which project may get which release, and what is made of links that anybody may have written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from answer_rules import one_line
from tools.addresses import place
from tools.fleet.__main__ import main
from tools.fleet.collect import since_when, unchanged
from tools.fleet.data import (
    FORMAT,
    BrokenLinkError,
    Changes,
    Fleet,
    FleetError,
    MergeRequest,
    Pipeline,
    Project,
    Published,
    Release,
    Run,
    load,
    read_link,
    save,
)
from tools.fleet.page import embedded, render
from tools.fleet.plan import make_plan
from tools.fleet.waves import Days, allowed, progress

NOW = datetime(2026, 11, 29, tzinfo=UTC)
DAYS = Days(3, 2)


def ago(days: float) -> str:
    """Return a time some days before."""
    return (NOW - timedelta(days=days)).isoformat()


def passed(days: float, broke: float | None = None) -> Run:
    """Return a pipeline that passes since then."""
    return Run(status="success", url="", at=ago(days), since=ago(days), broke=None if broke is None else ago(broke))


def failed(days: float = 0, since: float | None = None) -> Run:
    """Return a pipeline that failed, after it passed since then."""
    url = "https://gitlab.example.org/pipeline"
    return Run(status="failed", url=url, at=ago(days), since=None if since is None else ago(since), broke=ago(days))


def project(path: str, version: str | None = "0.1.0", *topics: str, **more: Any) -> Project:
    """Return a project of the template."""
    at = ago(0)
    found = Project(
        id=1,
        path=path,
        url=f"https://gitlab.example.org/{path}",
        topics=list(topics),
        active_at=at,
        read_at=at,
        asked_at=at,
        state="ok",
        reason="",
        version=version,
    )
    for name, value in more.items():
        found[name] = value  # type: ignore[literal-required]
    return found


def fleet(*projects: Project, releases: dict[str, float]) -> Fleet:
    """Return projects, and releases that were tagged some days ago."""
    return Fleet(
        format=FORMAT,
        at=NOW.isoformat(),
        template="https://gitlab.example.org/tools/template.git",
        groups=["org"],
        releases=[Release(version=name, commit="", at=ago(days)) for name, days in releases.items()],
        projects=list(projects),
        requests=0,
        seconds=0,
        history=[{"day": "2026-11-29", "versions": {"0.1.0": len(projects)}}],
    )


def states(known: Fleet) -> dict[str, str]:
    """Return how far each release is."""
    return {each.version: each.state for each in progress(known, DAYS, NOW)}


def plan(known: Fleet, **options: Any) -> dict[str, str | None]:
    """Return which release each project may get."""
    return {each["path"]: each["version"] for each in make_plan(known, DAYS, NOW, **options)["projects"]}


OTHERS = (project("normal"), project("critical", "0.1.0", "critical"), project("both", "0.1.0", "canary", "critical"))
RELEASES = {"0.1.0": 100.0, "0.2.0": 10.0}


@pytest.mark.parametrize(
    ("runs", "state", "gets", "reason"),
    [
        ({"0.1.0": passed(90)}, "new", (True, False, False), "no canary has run with it"),
        (
            {"0.1.0": passed(90), "0.2.0": passed(2.9)},
            "canaries",
            (True, False, False),
            "1 of 1 canaries passed; since 2026-11-26, all in 0.1 days",
        ),
        (
            {"0.1.0": passed(90), "0.2.0": passed(3)},
            "released",
            (True, True, False),
            "1 of 1 canaries passed; since 2026-11-26, critical projects in 2.0 days",
        ),
        (
            {"0.1.0": passed(90), "0.2.0": passed(5)},
            "everywhere",
            (True, True, True),
            "1 of 1 canaries passed; since 2026-11-24",
        ),
        # It was green before, and is red with the release.
        ({"0.1.0": passed(90), "0.2.0": failed()}, "held", (False, False, False), "broke the pipeline of canary"),
        # It passed with the release once, and broke after days.
        ({"0.2.0": failed(0, since=8)}, "held", (False, False, False), "broke the pipeline of canary"),
        # It was red before, so it says nothing.
        (
            {"0.1.0": failed(90), "0.2.0": failed()},
            "canaries",
            (True, False, False),
            "no canary has passed with it",
        ),
        # The days begin when it passes again.
        (
            {"0.1.0": passed(90), "0.2.0": passed(1, broke=2)},
            "canaries",
            (True, False, False),
            "1 of 1 canaries passed; since 2026-11-28, all in 2.0 days",
        ),
    ],
)
def test_a_release_goes_from_wave_to_wave(
    runs: dict[str, Run], state: str, gets: tuple[bool, ...], reason: str
) -> None:
    known = fleet(project("canary", "0.1.0", "canary", runs=runs), *OTHERS, releases=RELEASES)
    assert states(known)["0.2.0"] == state
    assert progress(known, DAYS, NOW)[-1].reason == reason
    assert f">{reason}<" in render(known, DAYS)
    got = plan(known)
    assert tuple(got[path] == "0.2.0" for path in ("canary", "normal", "critical")) == gets
    assert got["both"] == got["critical"]


def test_a_merge_request_that_breaks_holds_a_release_and_goes_on_with_it() -> None:
    request = {"state": "opened", "version": "0.2.0", "draft": False, "conflicts": False}
    tried = {"runs": {"0.1.0": passed(9)}, "trials": {"0.2.0": failed()}, "merge_request": request}
    known = fleet(project("first", "0.1.0", "canary", **tried), project("other", "0.1.0", "canary"), releases=RELEASES)
    (_, held) = progress(known, DAYS, NOW)
    assert (held.state, held.broken) == ("held", [("first", "https://gitlab.example.org/pipeline")])
    assert plan(known) == {"first": "0.2.0", "other": None}


def test_a_canary_whose_merge_request_passed_and_whose_branch_fails_holds_a_release() -> None:
    tried = {"runs": {"0.2.0": failed()}, "trials": {"0.2.0": passed(2)}}
    other = project("other", "0.2.0", "canary", runs={"0.2.0": passed(9)})
    known = fleet(project("first", "0.2.0", "canary", **tried), other, *OTHERS, releases=RELEASES)
    assert states(known)["0.2.0"] == "held"


def test_a_newer_release_takes_the_place_of_one_that_is_held() -> None:
    runs = {"0.1.0": passed(90), "0.2.0": failed(8)}
    releases = {**RELEASES, "0.2.1": 7.0}
    mended = fleet(project("canary", "0.2.1", "canary", runs={**runs, "0.2.1": passed(6)}), *OTHERS, releases=releases)
    assert states(mended) == {"0.1.0": "everywhere", "0.2.0": "held", "0.2.1": "everywhere"}
    assert plan(mended) == {"canary": None, "normal": "0.2.1", "critical": "0.2.1", "both": "0.2.1"}
    # What was red because of a held release is no excuse for the next.
    still = fleet(project("canary", "0.2.1", "canary", runs={**runs, "0.2.1": failed(6)}), *OTHERS, releases=releases)
    assert states(still)["0.2.1"] == "held"
    assert plan(still)["normal"] is None


def test_without_canaries_all_wait_from_the_tag_on() -> None:
    releases = {"0.1.0": 100.0, "0.2.0": 5.0, "0.3.0": 3.5, "0.4.0": 1.0}
    known = fleet(*OTHERS[:2], project("ahead", "0.4.0"), releases=releases)
    assert plan(known) == {"ahead": None, "critical": "0.2.0", "normal": "0.3.0"}
    assert "no project has the topic canary" in progress(known, DAYS, NOW)[0].reason
    assert "No project has the topic" in render(known, DAYS)


@pytest.mark.parametrize(("minutes", "same"), [(59, False), (65, False), (71, True)])
def test_what_was_read_soon_after_an_activity_is_read_again(minutes: int, same: bool) -> None:
    """GitLab notes an activity only where the last one is an hour ago, and by its own clock."""
    before = project("any", active_at=ago(1), read_at=ago(1 - minutes / 1440))
    assert unchanged(project("any", active_at=ago(1)), before) == same
    assert not unchanged(project("any", active_at=ago(0.5)), before)


def test_a_release_is_no_older_than_the_last_look_without_it_and_not_of_tomorrow() -> None:
    before = fleet(releases={"0.1.0": 100.0})
    before["at"] = ago(1)
    tagged = fleet(releases={"0.1.0": 90.0, "0.2.0": 50.0, "0.3.0": 0.5, "0.4.0": -9.0})["releases"]
    assert [each["at"] for each in since_when(tagged, before, NOW)] == [ago(100), ago(1), ago(0.5), ago(0)]
    assert [each["at"] for each in since_when(tagged, None, NOW)] == [ago(90), ago(50), ago(0.5), ago(0)]
    # A tag that was moved is another release.
    tagged[0]["commit"] = "moved"
    assert since_when(tagged, before, NOW)[0]["at"] == ago(1)


def test_a_release_that_no_canary_has_tried_is_skipped_where_all_have_a_newer_one() -> None:
    known = fleet(project("canary", "0.3.0", "canary"), releases={**RELEASES, "0.3.0": 1.0})
    assert states(known)["0.2.0"] == "skipped"
    assert "older than what canaries have" in render(known, DAYS)


def test_nothing_is_merged_by_the_bot_unless_asked_and_never_in_a_critical_project() -> None:
    conflict = {"state": "opened", "version": "0.2.0", "draft": False, "conflicts": True}
    known = fleet(*OTHERS, project("conflict", merge_request=conflict), releases=RELEASES)
    assert not any(each["automerge"] for each in make_plan(known, DAYS, NOW)["projects"])
    merged = {each["path"]: each["automerge"] for each in make_plan(known, DAYS, NOW, automerge=True)["projects"]}
    assert merged == {"normal": True, "critical": False, "both": False, "conflict": False}


@pytest.mark.parametrize("state", ["broken", "forbidden"])
def test_a_canary_that_cannot_be_read_lets_no_release_pass(state: str) -> None:
    runs = {"0.1.0": passed(90), "0.2.0": failed()}
    lost = project("canary", None, "canary", runs=runs, reason="GitLab says 500")
    lost["state"] = state
    assert plan(fleet(lost, *OTHERS, releases=RELEASES)) == dict.fromkeys(("normal", "critical", "both"))
    del lost["runs"]
    known = fleet(lost, *OTHERS, releases=RELEASES)
    assert states(known)["0.2.0"] == "new"
    assert "No project has the topic" not in render(known, DAYS)


def test_who_cannot_be_read_gets_nothing() -> None:
    lost = project("lost", None)
    lost["state"] = "broken"
    assert allowed(lost, progress(fleet(lost, releases=RELEASES), DAYS, NOW)) is None


def spoiled(value: Any) -> Iterator[Any]:
    """Yield a value of JSON with each of its parts replaced in turn by what `collect` writes nowhere."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from ({**value, name: other} for other in [[[None]], *spoiled(part)])
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in [[[None]], *spoiled(part)])
    elif isinstance(value, str) and value.startswith("20"):
        yield from ("None", 1)


def test_a_damaged_file_is_named_whatever_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = MergeRequest(
        iid=1,
        url="",
        title="",
        version="0.2.0",
        state="opened",
        draft=False,
        conflicts=False,
        sha="",
        created_at=ago(9),
        pipeline=Pipeline(status="failed", url="", sha="", at=ago(1)),
    )
    parts = {
        "runs": {"0.1.0": passed(90), "0.2.0": failed(0, since=8)},
        "trials": {"0.2.0": passed(2, broke=3)},
        "merge_request": request,
        "pipeline": request["pipeline"],
        "release": Published(tag="v1", at=ago(3), asset=["a", "1"], url="", verified="no", why="", checked_at=ago(1)),
        "changes": Changes(tree="", of=3, changed=["a"], removed=["b"]),
        "answers": {"docs": True, "shards": 2, "kind": "service"},
        "branch": "main",
        "commit": "a" * 40,
    }
    sound = fleet(project("canary", "0.1.0", "canary", **parts), *OTHERS, releases=RELEASES)
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps(sound), encoding="utf-8")
    assert load(file) == sound
    render(sound, DAYS)
    damaged = [[], None, {**sound, "history": []}, *({**sound, name: None} for name in sound), *spoiled(sound)]
    assert len(damaged) > 100
    for each in damaged:
        file.write_text(json.dumps(each), encoding="utf-8")
        with pytest.raises(FleetError, match="is not what this version of collect writes"):
            load(file)
    assert main(["page", str(file), "--output", str(tmp_path / "index.html")]) == 1
    assert capsys.readouterr().err.startswith("See docs/troubleshooting.md#fleet-file\n")


def test_a_file_is_written_whole_and_what_it_is_stays(tmp_path: Path) -> None:
    folder, link, pipe = tmp_path / "folder", tmp_path / "link", tmp_path / "pipe"
    folder.mkdir()
    link.symlink_to("folder/file")
    os.mkfifo(pipe)
    # Another process is half-way.
    (folder / ".file.new").write_text("half", encoding="utf-8")
    save(link, "written")
    assert link.is_symlink()
    assert (folder / "file").read_text(encoding="utf-8") == "written"
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text, encoding="utf-8")
        save(pipe, "written")
        assert read.result() == "written"
    assert pipe.is_fifo()
    with pytest.raises(FleetError, match="cannot be written: Is a directory"):
        save(folder, "text")
    assert {path.name for path in tmp_path.rglob("*")} == {"folder", "link", "pipe", "file", ".file.new"}
    assert (folder / ".file.new").read_text(encoding="utf-8") == "half"


SOUND = {"template": "https://h/t.git", "commit": "a" * 40, "context": {"cookiecutter": {"kind": "service", "_x": []}}}


def test_a_link_is_read_with_the_answers_of_a_person() -> None:
    link = read_link(json.dumps(SOUND).encode())
    assert link == ("https://h/t.git", "a" * 40, "", {"kind": "service"})
    # Spaces that do not break, and a sign that joins.
    name = "Jean\u00a0Dupont \U0001f469\u200d\U0001f4bb \u064a\u3000\u4e00"
    assert read_link(json.dumps({**SOUND, "context": {"cookiecutter": {"author_name": name}}}).encode())
    assert one_line(name, 100) is None
    assert place("git@Host.org:group/t.git") == place("https://user@host.org/group/t/")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 90_000, "is not JSON"),
        (b" " * 100_001, "is larger than"),
        (b"[]", "has no answers"),
        (b'{"context": [1]}', "has no answers"),
        (json.dumps({**SOUND, "template": {"a": 1}}).encode(), "names no template"),
        (json.dumps({**SOUND, "commit": "--upload-pack=x"}).encode(), "names no commit"),
        # Cookiecutter would run it.
        (json.dumps({**SOUND, "context": {"cookiecutter": {"kind": "{{ 1 }}"}}}).encode(), "nobody can give"),
        (json.dumps({**SOUND, "context": {"cookiecutter": {"kind": {"deep": []}}}}).encode(), "nobody can give"),
        (json.dumps({**SOUND, "context": {"cookiecutter": {"kind": "x\x1b[2J"}}}).encode(), "nobody can give"),
        (json.dumps({**SOUND, "context": {"cookiecutter": {"kind": "\u202e"}}}).encode(), "nobody can give"),
        (json.dumps({**SOUND, "context": {"cookiecutter": {"kind": "\ud800"}}}).encode(), "nobody can give"),
        (
            b'{"template": "t", "commit": "%s", "context": {"cookiecutter": {"a": NaN}}}' % (b"a" * 40),
            "nobody can give",
        ),
    ],
)
def test_a_hostile_link_is_named_and_stops_nothing(content: bytes, said: str) -> None:
    with pytest.raises(BrokenLinkError, match=said):
        read_link(content)


def test_what_projects_say_ends_no_script_of_the_page() -> None:
    hostile = "</script><!--<script>\u2028\u2029"
    assert not {*"<>&\u2028\u2029"} & {*embedded([hostile])}
    assert json.loads(embedded([hostile])) == [hostile]
    shown = render(fleet(project(hostile, answers={hostile: hostile}), releases={}), DAYS)
    assert shown.count("</script>") == 2
