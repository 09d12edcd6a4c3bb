"""Runs one shard of the tests, `PY_CI_SHARD=2/4`, as a plugin of pytest or in place of `python -m xmlrunner`.

Which shard a test is in follows from the names that are collected and the durations in the repository, and from nothing
else: all shards of a commit agree, whenever each of them runs, in whatever order it collects, and also one that is
retried. The job `coverage` compares what each of them has collected with the reports.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import unittest
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts.division import divided

# Tests may change the folder.
DURATIONS = Path(".test-durations.json").absolute()
COLLECTED = Path(".test-reports", f"{os.environ['CI_JOB_ID']}.collected").absolute()
SHARD, SHARDS = map(int, os.environ["PY_CI_SHARD"].split("/"))
NO_TESTS = 5
# Set in what a run of pytest starts.
RUNS = "PY_CI_SHARD_RUNS"


def measured() -> dict[str, float]:
    """Return the seconds of each test in an earlier run; what is missing, or no such file, says nothing."""
    try:
        known = json.loads(DURATIONS.read_text(encoding="utf-8"))
        return {name: float(seconds) for name, seconds in known.items() if 0 <= float(seconds) < 1e9}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def chosen(units: Iterable[str], *, listed: bool = True) -> set[str]:
    """Return the units of this shard, and hand on the list of all."""
    names = sorted(set(units))
    if listed:
        with COLLECTED.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(name)}\n" for name in names)
    return divided(names, SHARDS, measured())[SHARD - 1]


def title() -> str:
    """Return a line about the shard."""
    return f"shard {SHARD}/{SHARDS}, by the durations of {len(measured())} tests in {DURATIONS.name}"


def is_empty_by_right() -> bool:
    """Tell whether there are tests, and this shard has none of them."""
    if not COLLECTED.exists():
        return False
    names = [json.loads(line) for line in COLLECTED.read_text(encoding="utf-8").splitlines()]
    return bool(names) and not divided(names, SHARDS, measured())[SHARD - 1]


def name_in_report(item: Any) -> str:
    """Return the name of a test of pytest in its JUnit report."""
    from _pytest.junitxml import bin_xml_escape, mangle_test_address

    *names, last = mangle_test_address(item.nodeid)
    prefix = item.config.getoption("junitprefix", None)
    return ".".join([*([prefix] if prefix else []), *names]) + f".{bin_xml_escape(last)}"


class Shard:
    """The hooks of one run of pytest; workers of pytest-xdist do the same, each by itself."""

    def pytest_report_header(self) -> str:
        """Say which shard it is."""
        return title()

    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist that it works for this run."""
        node.workerinput[RUNS] = True

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> Iterator[None]:
        """Leave to this shard what is its own, of what all others have left."""
        yield
        names = {item: name_in_report(item) for item in items}
        worker = getattr(config, "workerinput", {}).get("workerid")
        ours = chosen(names.values(), listed=worker in (None, "gw0"))
        config.hook.pytest_deselected(items=[item for item in items if names[item] not in ours])
        items[:] = [item for item in items if names[item] in ours]

    def pytest_sessionfinish(self, session: Any, exitstatus: int) -> None:
        """Pass where this shard has no test."""
        if exitstatus == NO_TESTS and is_empty_by_right():
            session.exitstatus = 0


# What pytest.hookimpl sets: where unittest runs, pytest may not be there. The outermost wrapper is also behind hooks
# that are wrappers or last themselves, and those of a conftest.py that is read late.
Shard.pytest_configure_node.pytest_impl = {"optionalhook": True}  # type: ignore[attr-defined]
Shard.pytest_collection_modifyitems.pytest_impl = {"hookwrapper": True, "tryfirst": True}  # type: ignore[attr-defined]


def pytest_configure(config: Any) -> None:
    """Begin with the run that the job has started; tests may run pytest too."""
    if getattr(config, "workerinput", {}).get(RUNS, RUNS not in os.environ):
        os.environ[RUNS] = "1"
        config.pluginmanager.register(Shard())


def tests_of(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """Return the tests of a suite and of those within it."""
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from tests_of(each)
        else:
            yield each


def unit(test: unittest.TestCase) -> str:
    """Return the module of a test, also of one that stands for a module that could not be loaded or is skipped.

    A test whose name does not begin with its module, as a doctest, is a unit of its own.
    """
    name, module = test.id(), type(test).__module__
    if module == "unittest.loader":
        return name.split(".", 3)[3]
    return module if name.startswith(f"{module}.") else name


def main() -> None:
    """Run what xmlrunner would, but of the modules those of this shard."""
    discover = unittest.TestLoader.discover

    def discover_ours(*args: Any, **options: Any) -> unittest.TestSuite:
        # Tests may discover others.
        unittest.TestLoader.discover = discover  # type: ignore[method-assign]
        tests = list(tests_of(discover(*args, **options)))
        ours = chosen(map(unit, tests))
        print(title(), flush=True)
        return unittest.TestSuite(test for test in tests if unit(test) in ours)

    unittest.TestLoader.discover = discover_ours  # type: ignore[method-assign]
    try:
        runpy.run_module("xmlrunner", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        sys.exit(0 if end.code == NO_TESTS and is_empty_by_right() else end.code)


if __name__ == "__main__":
    main()
