"""What `coverage` makes of the data of the whole matrix."""

from __future__ import annotations

from pathlib import Path

from tools.reports import xml
from tools.runner import Pipe
from tools.samples.baked import Bake, BakedProject, edit

NEVER_CALLED = '\n\ndef never() -> str:\n    """Say what no test asks for."""\n    return "never"\n'


def test_one_percentage_and_the_missing_lines_for_the_whole_matrix(
    bake: Bake, pipe: Pipe, pythons: dict[str, Path], warm: dict[str, str]
) -> None:
    oldest, *_, newest = pythons
    project = bake(_python_versions=[oldest, newest], python_version=oldest, kind="command")
    # Lines for each Python: neither alone reaches the threshold, and only the last line is missed by all.
    old, new = ("".join(f"    {name}_{n} = {n}\n" for n in range(9)) for name in ("OLD", "NEW"))
    branches = f"\n\nif sys.version_info[:2] == {tuple(map(int, oldest.split('.')))}:\n{old}else:\n{new}"
    source = project.read("src/my_service/app.py")
    (project.path / "src/my_service/app.py").write_text(
        source.replace("import argparse\n", "import argparse\nimport sys\n") + branches + NEVER_CALLED, encoding="utf-8"
    )
    lines = project.path.joinpath("src/my_service/app.py").read_text(encoding="utf-8").splitlines()
    done = pipe(project.path, "coverage", variables=warm)
    jobs = [f"test: [{oldest}]", f"test: [{newest}]", "coverage"]
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    (row,) = [line for line in done.log("coverage").splitlines() if line.startswith("src/my_service/app.py")]
    assert row.split()[-1] == str(len(lines)), row
    missed = [
        (file.attrib["filename"], int(line.attrib["number"]))
        for file in xml(done.report("coverage", "coverage.xml")).iter("class")
        for line in file.iter("line")
        if line.attrib["hits"] == "0"
    ]
    assert missed == [("src/my_service/app.py", len(lines))]
    total = next(line for line in done.log("coverage").splitlines() if line.startswith("TOTAL"))
    assert done.coverage == total.split()[-1] != "100%"


def test_coverage_below_the_threshold(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    edit(project, "pyproject.toml", "fail_under = 90", "fail_under = 99")
    with (project.path / "src" / "my_service" / "app.py").open("a", encoding="utf-8") as app:
        app.write('\n\ndef never() -> str:\n    """Say what no test asks for."""\n    return "never"\n')
    missing = len(project.path.joinpath("src/my_service/app.py").read_text(encoding="utf-8").splitlines())
    done = pipe(project.path, "coverage", variables=warm)
    assert done.results["coverage"] == "failed"
    assert f" {missing}" in next(line for line in done.log("coverage").splitlines() if "app.py" in line)
    assert "is less than fail-under=99" in done.log("coverage")
    assert done.last_line("coverage").startswith("Test the lines in the column Missing")
    again = pipe(project.path, "coverage", variables={**warm, "PY_CI_COVERAGE_THRESHOLD": "50"})
    assert again.results.get("coverage") == "passed", again.output


def test_a_plugin_on_the_path_is_found_and_a_file_of_the_project_is_no_module(
    project: BakedProject, pipe: Pipe, warm: dict[str, str]
) -> None:
    edit(project, "pyproject.toml", "[tool.coverage.run]\n", '[tool.coverage.run]\nplugins = ["our_plugin"]\n')
    (project.path / "ci").mkdir()
    (project.path / "ci" / "our_plugin.py").write_text("def coverage_init(registry, options): ...\n", encoding="utf-8")
    (project.path / "coverage.py").write_text("raise SystemExit('this is not coverage')\n", encoding="utf-8")
    done = pipe(project.path, "coverage", variables={**warm, "PYTHONPATH": "ci"})
    assert done.results["coverage"] == "passed", done.output


def test_what_a_test_says_was_measured_shows_nothing_of_another_file(
    project: BakedProject, pipe: Pipe, warm: dict[str, str], tmp_path: Path
) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text('TOKEN = "tell-nobody"\n', encoding="utf-8")
    tests = project.path / "tests" / "test_hostile.py"
    tests.write_text(
        f"""from pathlib import Path
from coverage import CoverageData
data = CoverageData(".coverage.0")
data.add_arcs({{{str(secret)!r}: [(-1, 1), (1, -1)]}})
data.write()
Path(".coverage.1").symlink_to({str(secret)!r})
""",
        encoding="utf-8",
    )
    done = pipe(project.path, "coverage", variables=warm)
    log = done.log("coverage")
    assert done.results["coverage"] == "failed"
    assert (
        f"test: [{project.options['python_version']}] handed on what is not taken: '.coverage.1' is not a plain" in log
    )
    again = tests.read_text(encoding="utf-8").replace("Path(", "0 and Path(")
    tests.write_text(again, encoding="utf-8")
    done = pipe(project.path, "coverage", variables=warm)
    log += done.log("coverage")
    assert str(secret) in log, done.output
    assert "tell-nobody" not in log
    assert b"tell-nobody" not in done.report("coverage", "coverage.xml").read_bytes()
    assert secret.read_text(encoding="utf-8") == 'TOKEN = "tell-nobody"\n'
