"""Makes the page of all projects from fleet.json: one file without a server, with a small script of its own."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from tools.fleet.data import Fleet, Project, Release, days_between, load, moment, order, save
from tools.fleet.plan import add_days
from tools.fleet.waves import Days, Progress, allowed, canaries_of, progress, wave_of

HELP = "Make the page of all projects, one file that needs no server."
# Of the curve, in pixels; how many versions have a line of their own.
WIDTH, HEIGHT, LINES = 720, 180, 6
SIGNS = {"held": "✕", "new": "○", "skipped": "·", "canaries": "◔", "released": "◕", "everywhere": "✓"}
# What JSON may hold and a script element may not: https://html.spec.whatwg.org/multipage/scripting.html#restrictions-for-contents-of-script-elements
ESCAPED = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    parser.add_argument("fleet", type=Path, metavar="FLEET.JSON", help="what collect has written")
    parser.add_argument("--output", type=Path, default=Path("index.html"), metavar="FILE", help="%(default)s")
    parser.add_argument(
        "--days-open", type=float, default=7, metavar="DAYS", help="a merge request that is open for longer is stuck"
    )
    add_days(parser)


def main(given: argparse.Namespace) -> int:
    """Write the page; return the exit status."""
    fleet = load(given.fleet)
    save(given.output, render(fleet, Days(given.days_normal, given.days_critical), given.days_open))
    print(f"{given.output} shows {len(fleet['projects'])} projects")
    return 0


def behind(project: Project, fleet: Fleet) -> int:
    """Return how many releases a project lacks."""
    current = order(project.get("version") or "")
    return sum(order(each["version"]) > current for each in fleet["releases"])


def stuck(
    project: Project, target: str | None, releases: Sequence[Release], days_open: float, now: datetime
) -> list[str]:
    """Say why a project does not go on by itself; nothing where it does."""
    if project["state"] in ("forbidden", "broken"):
        return [project["reason"]]
    if project["state"] != "ok":
        return []
    if project.get("version") is None:
        return ["the template does not have its commit, or no release before it"]
    tagged = {each["version"]: each["at"] for each in releases}
    found, request = [], project.get("merge_request")
    if request and request["state"] == "opened":
        if request["conflicts"] or request["draft"]:
            found.append("the merge request has a conflict, or is a draft")
        if request["pipeline"] and request["pipeline"]["status"] == "failed":
            found.append("the pipeline of the merge request failed")
        if days_between(request["created_at"], now) > days_open:
            found.append(f"the merge request is open for {days_between(request['created_at'], now):.0f} days")
    elif target and request and request["state"] == "closed" and request["version"] == target:
        found.append(f"somebody has closed the merge request for {target}")
    elif target and days_between(tagged[target], now) > days_open:
        found.append(f"it may get {target}, and has no merge request")
    pipeline, release = project.get("pipeline"), project.get("release")
    if pipeline and pipeline["status"] == "failed":
        found.append("the pipeline of its default branch failed")
    if release and release.get("verified") == "no":
        found.append("the signature of its last release does not verify")
    return found


def row(project: Project, fleet: Fleet, releases: list[Progress], days_open: float, now: datetime) -> dict[str, Any]:
    """Return what the page shows of a project."""
    target, changes = allowed(project, releases), project.get("changes", {})
    known = project["state"] == "ok"
    why = stuck(project, target, fleet["releases"], days_open, now)
    return {
        "path": project["path"],
        "url": project["url"],
        "state": project["state"],
        "wave": wave_of(project) if known else "",
        "version": project.get("version") or "",
        "order": list(order(project.get("version") or "")),
        "behind": behind(project, fleet) if known and project.get("version") else -1,
        "target": target or "",
        "request": project.get("merge_request"),
        "pipeline": project.get("pipeline"),
        "release": project.get("release"),
        "changed": changes.get("changed", []),
        "removed": changes.get("removed", []),
        "of": changes.get("of", -1),
        "uncompared": changes.get("reason", ""),
        "answers": project.get("answers", {}),
        "stuck": why or ([] if known else [project["reason"]]),
        "blocked": bool(why),
    }


def embedded(value: Any) -> Markup:
    """Return JSON that stands in a script element, and ends it nowhere."""
    return Markup(json.dumps(value, separators=(",", ":")).translate(ESCAPED))  # noqa: S704


def curve(fleet: Fleet) -> dict[str, Any]:
    """Return the lines of the curve: how many projects had each version, day by day."""
    points = fleet["history"]
    first, last = (moment(points[index]["day"]) for index in (0, -1))
    span = max((last - first).days, 1)
    most = max([1, *(sum(each["versions"].values()) for each in points)])
    newest = Counter({name: 1 for each in points for name in each["versions"]})
    names = sorted(newest, key=order)[-LINES:]
    left = {each["day"]: WIDTH * (moment(each["day"]) - first).days / span for each in points}
    lines = []
    for name in names:
        heights = [(left[each["day"]], HEIGHT * (1 - each["versions"].get(name, 0) / most)) for each in points]
        marks = " ".join(f"{x:.1f},{y:.1f}" for x, y in heights)
        counts = [each["versions"].get(name, 0) for each in points]
        lines.append({"name": name, "points": marks, "last": counts[-1], "x": heights[-1][0], "y": heights[-1][1]})
    return {
        "lines": lines,
        "most": most,
        "first": points[0]["day"],
        "last": points[-1]["day"],
        "width": WIDTH,
        "height": HEIGHT,
    }


def render(fleet: Fleet, days: Days, days_open: float = 7) -> str:
    """Return the page."""
    now = moment(fleet["at"])
    releases = progress(fleet, days, now)
    rows = [row(each, fleet, releases, days_open, now) for each in fleet["projects"]]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    style, script = (Path(__file__).with_name(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    ours = [each for each in rows if each["state"] == "ok"]
    return environment.get_template("page.html").render(
        fleet=fleet,
        releases=releases[::-1],
        canaries=canaries_of(fleet),
        signs=SIGNS,
        days=days,
        rows=embedded(rows),
        current=sum(each["behind"] == 0 for each in ours),
        ours=len(ours),
        stuck=sum(each["blocked"] for each in rows),
        changed=sum(bool(each["changed"] or each["removed"]) for each in ours),
        unverified=sum((each["release"] or {}).get("verified") == "no" for each in ours),
        states=Counter(each["state"] for each in rows),
        curve=curve(fleet),
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        style_digest=digests[0],
        script_digest=digests[1],
    )
