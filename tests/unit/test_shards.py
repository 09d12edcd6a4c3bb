"""How tests are divided, and what is said where not every one ran exactly once."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import random
import re
import subprocess
import sys
import unittest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import shards_joined
from scripts.__main__ import text_of
from scripts.division import LONGEST, candidates, divided, unit_of

NAMES = st.lists(st.text(min_size=1), max_size=30)
SECONDS = st.floats(min_value=0, max_value=1e9)


@given(names=NAMES, shards=st.integers(1, 9), known=st.dictionaries(st.text(), SECONDS, max_size=30), data=st.data())
def test_each_test_is_in_one_shard_in_whatever_order(
    names: list[str], shards: int, known: dict[str, float], data: st.DataObject
) -> None:
    parts = divided(names, shards, known)
    assert sorted(name for part in parts for name in part) == sorted(set(names))
    shuffled = dict(data.draw(st.permutations(list(known.items()))))
    assert divided(data.draw(st.permutations(names)), shards, shuffled) == parts


def test_shards_take_as_long_as_each_other_and_a_new_test_is_a_median() -> None:
    chance = random.Random(0)  # noqa: S311
    known = {f"t.test_{number}": chance.lognormvariate(0, 1.5) for number in range(1000)}
    sums = [sum(known[name] for name in part) for part in divided(known, 8, known)]
    assert max(sums) < 1.001 * sum(sums) / 8
    assert divided(["t.a", "t.b", "t.c", "t.new"], 2, {"t.a": 1, "t.b": 2, "t.c": 9}) == [
        {"t.c"},
        {"t.a", "t.b", "t.new"},
    ]
    assert {len(part) for part in divided(known, 8, {})} == {125}


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("t.a.A.test", "t.a"),
        ("t.ab.A.test", None),
        ("t.b.test[x@y]@group", "t.b.test[x@y]"),
        (".setUpModule (t.a)", "t.a"),
        (".setUpClass (t.a.A)", "t.a"),
        ("unittest.loader.ModuleSkipped.t.a", "t.a"),
        (".README_md", "README_md"),
    ],
)
def test_a_name_in_a_report_belongs_to_a_test_or_a_module(name: str, unit: str | None) -> None:
    assert unit_of(name, {"t.a", "t.b.test[x@y]", "README_md"}) == unit


def test_a_unit_of_unittest_is_a_module_or_what_is_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PY_CI_SHARD", "1/2")
    monkeypatch.setenv("CI_JOB_ID", "1")
    shard = importlib.import_module("scripts.shard")
    Path("test_in_shards.py").write_text("import unittest\nclass A(unittest.TestCase):\n    def test(self): ...\n")
    Path("test_broken.py").write_text("1 / 0")
    Path("README.md").write_text(">>> 1\n1\n")
    # What is found stays on the path.
    monkeypatch.syspath_prepend(Path.cwd())
    tests = unittest.TestLoader().discover(".")
    tests.addTests(doctest.DocFileSuite("README.md", module_relative=False))
    example = doctest.DocTestParser().get_doctest(">>> 1", {}, "app.run", None, None)
    tests.addTest(doctest.DocTestCase(example))
    assert set(map(shard.unit, shard.tests_of(tests))) == {"test_in_shards", "test_broken", "README_md", "app.run"}


def report(*tests: str, seconds: float = 1) -> str:
    """Return a JUnit report with tests of the class `t`."""
    cases = "".join(f'<testcase classname="t" name="{test}" time="{seconds}"/>' for test in tests)
    return f"<testsuites>{cases}</testsuites>"


def leave(job: str, name: str, shard: str, collected: list[str] | None, xml: str | None) -> None:
    """Leave in the current folder what a job leaves."""
    folder = Path(".from-test", job, ".test-reports")
    folder.mkdir(parents=True)
    (folder / f"{job}.job").write_text(f"{name}\n{shard}\n", encoding="utf-8")
    if collected is not None:
        lines = "".join(f"{json.dumps(f't.{each}')}\n" for each in collected)
        (folder / f"{job}.collected").write_text(lines, encoding="utf-8")
    if xml is not None:
        (folder / f"{job}.xml").write_text(xml, encoding="utf-8")


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what is said of tests that did not run exactly once."""
    with pytest.raises(SystemExit, match=r"^Not every test ran exactly once\.$"):
        shards_joined.main()
    return [line for line in capsys.readouterr().out.splitlines() if ", shard " not in line]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_shards_of_several_pythons_that_ran_all(capsys: pytest.CaptureFixture[str]) -> None:
    leave("1", "test: [3.11, 1/2]", "1/2", ["a", "b"], report("a", "a", "extra"))
    leave("2", "test: [3.11, 2/2]", "2/2", ["b", "a"], report("b", "extra"))
    leave("3", "test: [3.13,1/2]", "1/2", ["a"], report("a", seconds=2))
    leave("4", "test: [3.13,2/2]", "2/2", ["a"], None)
    leave("5", "test: [3.12]", "", None, report("a", seconds=3))
    assert shards_joined.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "test: [3.11], shard 1/2: 1 tests, 3.0 s",
        "test: [3.11], shard 2/2: 1 tests, 2.0 s",
        "test: [3.13], shard 1/2: 1 tests, 2.0 s",
        "test: [3.13], shard 2/2: 0 tests, 0.0 s",
    ]
    known = json.loads(Path(".test-durations.json").read_text(encoding="utf-8"))
    assert known == {"t.a": pytest.approx(7 / 3, abs=0.001), "t.b": 1, "t.extra": 1}


def test_what_is_missing_double_or_not_the_same_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    leave("1", "test: [3.11, 1/3]", "1/3", ["a", "b", "c", "\x1b[31m"], report("a", "b"))
    leave("2", "test: [3.11, 2/3]", "2/3", ["a", "b", "\x1b[31m"], report("b"))
    assert said(capsys) == [
        "test: [3.11]: 0 jobs are shard 3/3",
        "test: [3.11]: t.[31m ran in none",
        "test: [3.11]: t.b ran in 1, 2",
        "test: [3.11]: t.c ran in none; not collected by 2",
    ]
    leave("3", "test: [3.11, 3/3]", "3/3", None, report("c"))
    assert said(capsys)[0] == "test: [3.11]: shard 3/3 left no list of tests"


def test_reports_are_data(capsys: pytest.CaptureFixture[str]) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + report("&b;")
    leave("1", "test: [3.11, 1/2]", "1/2", ["a", "b"], bomb)
    leave(
        "2",
        "test: [3.11, 2/2]",
        "2/2",
        ["a", "b"],
        report("a", "b", seconds=float("nan")).removesuffix("</testsuites>"),
    )
    with Path(".from-test/2/.test-reports/2.collected").open("a", encoding="utf-8") as file:
        file.write(f'{{"no": "name"}}\nnot JSON\n{"[" * 100_000}\n')
    assert shards_joined.main() == 0
    out = capsys.readouterr().out
    assert "A report is cut short or odd: a JUnit report has no document type" in out
    assert "A report is cut short or odd: no element found" in out


@given(text=st.text(alphabet=".a@(", max_size=40), times=st.integers(1, 8000))
def test_a_name_as_long_as_somebody_likes_costs_by_its_length(text: str, times: int) -> None:
    assert sum(map(len, candidates(text * times))) <= 2 * len(text) * times + LONGEST**2


def test_a_division_that_is_much_better_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    leave("1", "test: [3.11, 1/2]", "1/2", list("abcd"), report(*"abc", seconds=5))
    leave("2", "test: [3.11, 2/2]", "2/2", list("abcd"), report("d", seconds=5))
    assert shards_joined.main() == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "The longest could take 10.0 s and not 15.0 s: commit .test-durations.json of this job."


SUITE = '''
import subprocess, sys, unittest
import pytest
HOSTILE = ["a\\nb", "\\x1b[31m", "x::y", "[", "a@b", "<&>", "..", "a/b.py", ""]

@pytest.mark.parametrize("n", range(len(HOSTILE)), ids=HOSTILE)
def test_hostile(n): pass

class TestX:
    class TestY:
        def test_in(self): """
        >>> 1 + 1
        2
        """

class TestCase(unittest.TestCase):
    def test_case(self):
        with self.subTest(i=1): pass

@pytest.mark.skip
def test_skipped(): pass

@pytest.mark.xfail
def test_xfails(): assert 0

def test_removed(): assert 0

@pytest.mark.xdist_group("g")
@pytest.mark.parametrize("x", [1, 2, 3])
def test_grouped(x): pass

def test_that_runs_pytest(tmp_path):
    (tmp_path / "test_i.py").write_text("def test_1(): pass\\ndef test_2(): pass\\n")
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider"], cwd=tmp_path, capture_output=True)
    assert b"2 passed" in done.stdout, done.stdout
'''
TESTS = 18
# A hook that comes last: what it removes is no test of any shard.
CONFTEST = """
import pytest

@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_collection_modifyitems(items):
    yield
    items[:] = [item for item in items if "removed" not in item.name]
"""


@pytest.mark.parametrize(("shards", "arguments"), [(3, ()), (3, ("-n1", "--dist=loadgroup")), (19, ("-k", "hostile"))])
def test_shards_of_pytest(
    shards: int, arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the names are, with doctests and pytest-xdist, and where shards have no tests."""
    # Durations that are damaged say nothing.
    Path(".test-durations.json").write_text("[" * 100_000, encoding="utf-8")
    (tmp_path / "py_ci_shard.py").write_text(text_of("scripts/shard.py"), encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(SUITE, encoding="utf-8")
    numbers = range(1, shards + 1)
    for number in numbers if shards == 3 else (1, 19):
        shard = {"PY_CI_SHARD": f"{number}/{shards}", "CI_JOB_ID": str(number), "PYTHONPATH": str(tmp_path)}
        Path(".test-reports").mkdir(exist_ok=True)
        leave(str(number), f"test: [3.11, {number}/{shards}]", shard["PY_CI_SHARD"], None, None)
        command = [sys.executable, "-m", "pytest", "--doctest-modules", f"--junitxml=.test-reports/{number}.xml"]
        # Without what is installed here, most of which is slow to load.
        plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "py_ci_shard,xdist.plugin"}
        env = {**os.environ, **shard, **plugins}
        for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
            env.pop(name, None)
        done = subprocess.run([*command, *arguments], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        for file in Path(".test-reports").iterdir():
            file.rename(Path(".from-test", str(number), file))
    if shards == 3:
        assert shards_joined.main() == 0
        counts = re.findall(r": (\d+) tests", capsys.readouterr().out)
        assert sum(map(int, counts)) == 2 * TESTS
