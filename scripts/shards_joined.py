"""Reads the reports of all jobs of `test`: writes the durations of the tests, and compares what the shards ran.

Every test that one of them collected must be in the report of exactly one. What is read was made by code of others.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from scripts.division import divided, unit_of
from scripts.plain_files import content, write

# Where `take.py` has put the files of the tests.
TAKEN = Path(".from-test")
DURATIONS = Path(".test-durations.json")
SHOWN = 20


class Shard(NamedTuple):
    """What a job left: which shard of how many it is, the tests that it collected, and the seconds of those it ran."""

    number: int
    total: int
    collected: set[str]
    seconds: dict[str, float]


def printable(text: str) -> str:
    """Return what a log can show of what others wrote."""
    return "".join(filter(str.isprintable, text))[:300]


def seconds_in(report: bytes) -> dict[str, float]:
    """Return the seconds of each test in a JUnit report, as far as it is one; a test that was run again counts once."""
    seconds: dict[str, float] = defaultdict(float)

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "testcase":
            taken = float(attributes.get("time") or 0)
            name = f"{attributes.get('classname', '')}.{attributes.get('name', '')}"
            seconds[name] += taken if math.isfinite(taken) and taken > 0 else 0

    def refuse(*_: object) -> None:
        raise ValueError("a JUnit report has no document type, and so no entities")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.StartDoctypeDeclHandler = start, refuse
    try:
        parser.Parse(report, True)
    except (expat.ExpatError, ValueError) as error:
        print(f"A report is cut short or odd: {printable(str(error))}")
    return seconds


def read() -> tuple[dict[str, list[Shard]], list[dict[str, float]]]:
    """Return the shards, by the name that their jobs have in common, and the seconds of the tests of each job."""
    shards, reports = defaultdict(list), []
    for job in sorted(TAKEN.glob("**/.test-reports/*.job")):
        name, _, shard = content(job).decode(errors="replace").strip().rpartition("\n")
        report, listed = job.with_suffix(".xml"), job.with_suffix(".collected")
        seconds = seconds_in(content(report)) if report.exists() else {}
        reports.append(seconds)
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", shard)
        if found:
            lines = content(listed).splitlines() if listed.exists() else []
            common = re.sub(rf"(?:, ?)?{re.escape(shard)}(?=\]$)", "", name)
            shards[common].append(Shard(int(found[1]), int(found[2]), set(names(lines)), seconds))
    return shards, reports


def names(lines: list[bytes]) -> Iterator[str]:
    """Return the names that a job has listed."""
    for line in lines:
        try:
            name = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(name, str):
            yield name


def problems(shards: list[Shard]) -> Iterator[str]:
    """Return a line for each shard that is not there, and each test that did not run exactly once."""
    total = max(shard.total for shard in shards)
    numbers = Counter(shard.number for shard in shards)
    for number in range(1, total + 1):
        if numbers[number] != 1:
            yield f"{numbers[number]} jobs are shard {number}/{total}"
    for shard in shards:
        if not shard.collected:
            yield f"shard {shard.number}/{shard.total} left no list of tests"
    every = set().union(*(shard.collected for shard in shards))
    ran: dict[str, set[int]] = {name: set() for name in every}
    for shard in shards:
        for name in shard.seconds:
            unit = unit_of(name, every)
            if unit:
                ran[unit].add(shard.number)
    for name, where in sorted(ran.items()):
        if len(where) == 1:
            continue
        unknown = [str(shard.number) for shard in shards if shard.collected and name not in shard.collected]
        reason = f"; not collected by {', '.join(unknown)}" if unknown else ""
        yield f"{name} ran in {', '.join(map(str, sorted(where))) or 'none'}{reason}"


def advice(shards: list[Shard]) -> Iterator[str]:
    """Return what helps where another division would take a tenth less, and it matters."""
    seconds = {test: taken for shard in shards for test, taken in shard.seconds.items()}
    every = set().union(*(shard.collected for shard in shards))
    longest = max(sum(shard.seconds.values()) for shard in shards)
    taken: dict[str, float] = defaultdict(float)
    for test in seconds:
        taken[unit_of(test, every) or ""] += seconds[test]
    best = max(sum(taken[unit] for unit in part) for part in divided(every, len(shards), seconds))
    if longest > 1.1 * best + 1:
        yield f"The longest could take {best:.1f} s and not {longest:.1f} s: commit {DURATIONS} of this job."


def main() -> int:
    """Write the durations; compare; return the exit status."""
    shards, reports = read()
    seconds = defaultdict(list)
    for report in reports:
        for name, taken in report.items():
            seconds[name].append(taken)
    means = {name: round(sum(taken) / len(taken), 3) for name, taken in sorted(seconds.items())}
    write(DURATIONS, json.dumps(means, indent=0) + "\n")
    odd = 0
    for name, group in sorted(shards.items()):
        for shard in sorted(group, key=lambda shard: shard.number):
            taken, ran = sum(shard.seconds.values()), [unit_of(test, shard.collected) for test in shard.seconds]
            count = len(ran) - ran.count(None)
            print(printable(f"{name}, shard {shard.number}/{shard.total}: {count} tests, {taken:.1f} s"))
        lines = [printable(f"{name}: {problem}") for problem in problems(group)]
        odd += len(lines)
        for line in [*lines[:SHOWN], *([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else advice(group))]:
            print(line)
    if odd:
        sys.exit("Not every test ran exactly once.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
