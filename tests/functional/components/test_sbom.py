"""What `sbom` takes for the wheel of the build."""

from __future__ import annotations

import json

from tools.commands import run
from tools.runner import Pipe
from tools.samples.baked import BakedProject


def test_a_wheel_of_the_repository_is_not_that_of_the_build(
    project: BakedProject, pipe: Pipe, warm: dict[str, str]
) -> None:
    folder = project.path / "dist"
    folder.mkdir()
    (folder / "evil-1.0-py3-none-any.whl").write_bytes(b"")
    run("git", "add", "--force", "dist", cwd=project.path)
    done = pipe(project.path, "sbom", variables=warm)
    assert done.results == {"build": "passed", "sbom": "passed"}, done.output
    bill = json.loads(done.artifact("sbom", "sbom.cdx.json").read_text(encoding="utf-8"))
    assert [component["name"] for component in bill["components"]] == ["my-service"]
