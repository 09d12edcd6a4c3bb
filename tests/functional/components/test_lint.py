"""What `lint` reports, and its last line when it fails."""

from __future__ import annotations

import json

from tools.runner import Pipe
from tools.samples.baked import BakedProject


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
    assert done.last_line("lint").startswith("Mend what is named above; 'ruff check --fix'")


def test_a_type_error(project: BakedProject, pipe: Pipe, warm: dict[str, str]) -> None:
    with (project.path / "src" / "my_service" / "app.py").open("a", encoding="utf-8") as app:
        app.write('\n\nANSWER: int = "42"\n')
    done = pipe(project.path, "lint", variables=warm)
    assert done.results == {"lint": "failed"}
    assert "src/my_service/app.py" in done.log("lint")
    assert "[assignment]" in done.log("lint")
    assert done.last_line("lint").startswith("Mend what is named above")
