"""Every way to make a project with the template, and to make it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.baked import BakedProject, run
from tests.options import DECLARED, DEFAULTS, ROOT

VERSION = DECLARED["_component_version"]
COOKIECUTTER = (sys.executable, "-m", "cookiecutter")
CRUFT = (sys.executable, "-m", "cruft")


def made_in(folder: Path, slug: str = "my-service") -> BakedProject:
    """Return the project of a folder."""
    return BakedProject(folder / slug, DEFAULTS)


def contents(project: BakedProject) -> dict[str, str]:
    """Return the text of every file but the link to the template."""
    return {name: project.read(name) for name in project.files - {".cruft.json"}}


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, str]:
    """The files of the default project."""
    run(*COOKIECUTTER, ROOT, "--no-input", "--output-dir", tmp_path / "expected")
    return contents(made_in(tmp_path / "expected"))


def test_from_a_folder_with_relative_paths(expected: dict[str, str], tmp_path: Path) -> None:
    relative = os.path.relpath(ROOT, tmp_path)
    run(*COOKIECUTTER, relative, "--no-input", cwd=tmp_path)
    assert contents(made_in(tmp_path)) == expected


def test_from_a_git_address_at_a_tag(template_repository: Path, tmp_path: Path) -> None:
    address = template_repository.as_uri()
    run(*COOKIECUTTER, f"git+{address}", "--checkout", VERSION, "--no-input", cwd=tmp_path)
    link = json.loads(made_in(tmp_path).read(".cruft.json"))
    assert link["template"] == address
    assert link["checkout"] == VERSION
    assert link["commit"] == run("git", "rev-parse", VERSION, cwd=template_repository).strip()


def test_typed_with_the_enter_key_alone(expected: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*COOKIECUTTER, ROOT], cwd=tmp_path, input="\n" * 16, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert contents(made_in(tmp_path)) == expected
    for prompt in ("Name of the project (My Service)", "1 - MIT: short and permissive", "Build a container image"):
        assert prompt in done.stdout
    asked = [name for name in DECLARED if not name.startswith("_")]
    assert not [name for name in asked if f"] {name}" in done.stdout], "a question is not in words"


def test_replayed(tmp_path: Path) -> None:
    run(*COOKIECUTTER, ROOT, "--no-input", "--output-dir", tmp_path / "first", "project_name=Again", "docker=no")
    run(*COOKIECUTTER, ROOT, "--replay", "--output-dir", tmp_path / "second")
    first, second = (made_in(tmp_path / folder, "again") for folder in ("first", "second"))
    assert contents(first) == contents(second)
    assert "Dockerfile" not in second.files


def test_by_cruft(template_repository: Path, expected: dict[str, str], tmp_path: Path) -> None:
    run(*CRUFT, "create", template_repository, "--output-dir", tmp_path, "--no-input")
    project = made_in(tmp_path)
    assert contents(project) == expected
    assert json.loads(project.read(".cruft.json"))["template"] == str(template_repository)
    project.run(*CRUFT, "check")


def test_again_over_itself_with_a_switch_turned_off(tmp_path: Path) -> None:
    command = (*COOKIECUTTER, ROOT, "--no-input", "--overwrite-if-exists", "--output-dir", tmp_path)
    run(*command)
    first = contents(made_in(tmp_path))
    run(*command)
    assert contents(made_in(tmp_path)) == first
    run(*command, "docker=no", "pre_commit=no")
    assert first.keys() - contents(made_in(tmp_path)).keys() == {
        "Dockerfile",
        ".dockerignore",
        ".pre-commit-config.yaml",
    }
    run(*command)
    assert contents(made_in(tmp_path)) == first


def test_a_refusal_is_short_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COOKIECUTTER, ROOT, "--no-input", "project_name=Class", "author_email=me", "python_version=3.9"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("  - ")] == [
        "  - package_name 'class' is a Python keyword; choose another, such as \"class_app\".",
        "  - author_email 'me' is not an email address; use one such as \"team@example.com\".",
        "  - python_version '3.9' is not supported; choose one of 3.11, 3.12, 3.13, 3.14, 3.15.",
    ]
    assert len(lines) == 6
    assert "Traceback" not in done.stdout


def test_a_refusal_over_a_project_leaves_it_as_it_was(tmp_path: Path) -> None:
    command = (*COOKIECUTTER, ROOT, "--no-input", "--overwrite-if-exists", "--output-dir", tmp_path)
    run(*command)
    before = contents(made_in(tmp_path))
    for answer in ("author_email=me", "project_slug=../my-service"):
        assert subprocess.run([*command, "docker=no", answer], capture_output=True, check=False).returncode == 1
        assert contents(made_in(tmp_path)) == before
        assert [path.name for path in tmp_path.iterdir()] == ["my-service"]


def test_a_project_that_exists_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "my-service").mkdir()
    (tmp_path / "my-service" / "README.md").write_text("Mine\n", encoding="utf-8")
    done = subprocess.run([*COOKIECUTTER, ROOT, "--no-input"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"already exists" in done.stdout
    assert [path.name for path in (tmp_path / "my-service").iterdir()] == ["README.md"]


def test_without_git_on_the_machine(tmp_path: Path) -> None:
    printed = run(*COOKIECUTTER, ROOT, "--no-input", cwd=tmp_path, env={**os.environ, "PATH": str(tmp_path)})
    assert "Git could not be run; install it first." in printed
    assert not (tmp_path / "my-service" / ".git").exists()
    assert (tmp_path / "my-service" / "pyproject.toml").exists()


def test_no_name_in_the_template_is_refused_by_windows() -> None:
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in names:
        for part in name.split("/"):
            assert not set(part) & set('<>:"\\|?*'), name
            assert not part.endswith((".", " ")), name
            assert part.partition(".")[0].lower() not in ("aux", "con", "nul", "prn"), name
        assert name.isascii(), name
