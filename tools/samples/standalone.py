"""A project that was not made from the template, in a flat layout."""

from __future__ import annotations

from pathlib import Path

from tools.commands import run

PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "another"
version = "2.0"

[dependency-groups]
checks = ["pytest", "pytest-cov"]
"""


def make_standalone(repository: Path) -> Path:
    """Write the project, whose `.gitlab-ci.yml` is still to be written, and make it a repository."""
    (repository / "another").mkdir(parents=True)
    (repository / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (repository / "another" / "__init__.py").write_text("ANSWER = 42\n", encoding="utf-8")
    (repository / "test_another.py").write_text(
        "import another\n\n\ndef test_answer():\n    assert another.ANSWER == 42\n", encoding="utf-8"
    )
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=repository)
    return repository
