"""What `build` refuses."""

from __future__ import annotations

from pathlib import Path

from tools.runner import Pipe
from tools.samples.package import COMPONENTS, VERSION


def test_a_tag_that_is_not_the_version_of_the_package_is_refused(
    another: Path, pipe: Pipe, python: str, warm: dict[str, str]
) -> None:
    (another / ".gitlab-ci.yml").write_text(
        f"""
include:
  - component: {COMPONENTS}/build@{VERSION}
    inputs:
      python_version: "{python}"
""",
        encoding="utf-8",
    )
    done = pipe(another, event="tag", variables=warm)
    assert done.results == {"build": "failed"}
    assert "The tag v1.0.0 does not name the version that was built: dist/another-2.0" in done.log("build")
