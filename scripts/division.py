"""Divides tests, by their names in JUnit reports: the class, a dot, the test."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Set

# What a test takes beside what is measured.
LEAST = 0.001
# Of a name whose parts are looked at: a name is as long as who wrote it likes, and each dot gives one more.
LONGEST = 1000


def candidates(name: str) -> Iterator[str]:
    """Return the name of a test and what contains it, the narrowest first.

    What unittest could not load, or skips as a whole, has another form: `.setUpModule (tests.test_app)`. The doctests
    of a file are `.README_md`. What pytest-xdist keeps in one worker has the name of its group behind an `@`.
    """
    yield name
    yield name.rpartition("@")[0]
    if len(name) > LONGEST:
        return
    name = re.sub(r"^unittest\.loader\.\w+\.|^\.(?:setUp(?:Class|Module) \((.+)\)$)?", r"\1", name)
    while name:
        yield name
        name = name.rpartition(".")[0]


def unit_of(name: str, units: Set[str]) -> str | None:
    """Return which of the units that shards are made of has a test: the test itself, or for unittest its module."""
    return next((each for each in candidates(name) if each in units), None)


def divided(units: Iterable[str], shards: int, known: Mapping[str, float]) -> list[set[str]]:
    """Return the units of each shard: the longest first, each to the shard that has least; a new one is a median.

    `known` are the seconds of tests. Neither their order nor that of the units counts.
    """
    names = set(units)
    seconds: dict[str, float] = {}
    for test in sorted(known):
        unit = unit_of(test, names)
        if unit:
            seconds[unit] = seconds.get(unit, LEAST) + known[test]
    median = statistics.median(seconds.values() or [1])
    parts: list[set[str]] = [set() for _ in range(shards)]
    loads = [(0.0, 0, shard) for shard in range(shards)]
    for name in sorted(names, key=lambda name: (-seconds.get(name, median), name)):
        load, count, shard = min(loads)
        parts[shard].add(name)
        loads[shard] = (load + seconds.get(name, median), count + 1, shard)
    return parts
