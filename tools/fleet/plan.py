"""Writes which project the bot may bring which release of the template: plan.json."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from tools.fleet.data import Fleet, load, moment, save
from tools.fleet.waves import Days, allowed, progress, wave_of

HELP = "Decide which project may get which release of the template, and write plan.json."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    parser.add_argument("fleet", type=Path, metavar="FLEET.JSON", help="what collect has written")
    parser.add_argument("--output", type=Path, default=Path("plan.json"), metavar="FILE", help="%(default)s")
    parser.add_argument(
        "--automerge",
        action="store_true",
        help="let the bot merge what has a green pipeline and no conflict, but never in a critical project",
    )
    add_days(parser)


def add_days(parser: argparse.ArgumentParser) -> None:
    """Let people choose how long a release stays in a wave."""
    for name, whom in (
        ("normal", "canaries have a release alone"),
        ("critical", "all others have it before critical ones"),
    ):
        parser.add_argument(
            f"--days-{name}",
            type=days,
            default=getattr(Days, name),
            metavar="DAYS",
            help=f"for how long {whom}: %(default)s",
        )


def days(text: str) -> float:
    """Read a number of days."""
    number = float(text)
    if not 0 <= number <= 1000:
        raise argparse.ArgumentTypeError("a number of days from 0 to 1000")
    return number


def make_plan(fleet: Fleet, days: Days, now: datetime, *, automerge: bool = False) -> dict[str, Any]:
    """Return the plan."""
    releases = progress(fleet, days, now)
    projects = []
    for project in sorted(fleet["projects"], key=lambda each: each["path"]):
        if project["state"] == "ok":
            wave, request = wave_of(project), project.get("merge_request")
            conflicts = request and request["state"] == "opened" and (request["conflicts"] or request["draft"])
            projects.append(
                {
                    "path": project["path"],
                    "wave": wave,
                    "version": allowed(project, releases),
                    "automerge": automerge and wave != "critical" and not conflicts,
                }
            )
    return {"template": fleet["template"], "projects": projects}


def main(given: argparse.Namespace) -> int:
    """Write the plan, and say what is in it; return the exit status."""
    fleet, days = load(given.fleet), Days(given.days_normal, given.days_critical)
    # What has happened since is not known.
    now = moment(fleet["at"])
    plan = make_plan(fleet, days, now, automerge=given.automerge)
    save(given.output, json.dumps(plan, indent=1) + "\n")
    for each in progress(fleet, days, now)[-5:]:
        print(f"{each.version}: {each.state}, {each.reason}")
    for version, count in sorted(Counter(each["version"] for each in plan["projects"] if each["version"]).items()):
        print(f"{count} project{'s' if count > 1 else ''} may get {version}")
    return 0
