"""What `lint` reports, and its last line when it fails."""

from __future__ import annotations

import json
import re

from tools.runner import Pipe
from tools.samples.baked import BakedProject, edit


def test_a_lint_finding(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    with (project.path / "src" / "my_service" / "app.py").open("a", encoding="utf-8") as app:
        app.write("\nimport os\n")
    done = pipe(project.path, "lint", variables=warm)
    assert done.results == {"lint": "failed"}
    findings = json.loads(done.report("lint", "gl-code-quality-report.json").read_text(encoding="utf-8"))
    found = {
        (finding["check_name"], finding["location"]["path"], finding["location"]["positions"]["begin"]["line"])
        for finding in findings
    }
    lines = project.path.joinpath("src/my_service/app.py").read_text(encoding="utf-8").splitlines()
    assert ("F401", "src/my_service/app.py", len(lines)) in found
    assert "F401" in done.log("lint")
    page = "https://gitlab.com/org/py-ci-template/-/blob/0.1.0/docs/troubleshooting.md"
    assert done.log("lint").splitlines()[-2] == f"See {page}#lint-findings"
    assert done.last_line("lint").startswith("Fix what is named above; 'ruff check --fix'")


def test_a_type_error(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    with (project.path / "src" / "my_service" / "app.py").open("a", encoding="utf-8") as app:
        app.write('\n\nANSWER: int = "42"\n')
    done = pipe(project.path, "lint", variables=warm)
    assert done.results == {"lint": "failed"}
    assert "src/my_service/app.py" in done.log("lint")
    assert "[assignment]" in done.log("lint")
    assert done.last_line("lint").startswith("Fix what is named above")


def test_a_package_that_only_a_tool_brings(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    edit(
        project,
        "src/my_service/app.py",
        "import version\n",
        "import version\n\nfrom packaging.version import Version\n",
    )
    edit(project, "src/my_service/app.py", "PROGRAM =", 'OLDEST = Version("1")\nPROGRAM =')
    done = pipe(project.path, "lint", variables=warm)
    assert done.results == {"lint": "failed"}
    assert "Success: no issues found" in done.log("lint"), "mypy finds it, because pytest brings it"
    assert "DEP003 'packaging' imported but it is a transitive dependency" in plain(done.log("lint"))
    assert done.last_line("lint").startswith("Fix what is named above")


NEW = "\n\ndef twice(number):\n    return 2 * number\n"
TESTED = "\n\ndef test_twice():\n    from my_service.app import twice\n\n    assert twice(2) == 4\n"


def test_a_first_function_needs_no_docstring_and_no_annotations(
    project: BakedProject, pipe: Pipe, python: str, warm: dict[str, str]
) -> None:
    app = project.path / "src" / "my_service" / "app.py"
    tests = project.path / "tests" / "test_app.py"
    app.write_text(app.read_text(encoding="utf-8") + NEW, encoding="utf-8")
    edit(
        project, "src/my_service/app.py", 'return f"Hello, {name}!"', 'return twice(f"Hello, {name}!")[: len(name) + 8]'
    )
    tests.write_text(tests.read_text(encoding="utf-8") + TESTED, encoding="utf-8")
    done = pipe(project.path, "lint", variables=warm)
    assert done.results == {"lint": "passed"}, done.output
    # One line makes it strict.
    edit(project, "pyproject.toml", '# extend-select = ["ANN", "D"]', 'extend-select = ["ANN", "D"]')
    done = pipe(project.path, "lint", variables=warm)
    assert done.results == {"lint": "failed"}
    for rule in ("ANN001", "ANN201", "D103"):
        assert f"{rule} " in done.log("lint")


def plain(log: str) -> str:
    """Return a log without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", log)
