"""The hook, as functions."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from hooks import post_gen_project
from tools.commands import run

ABSENT = ["Dockerfile", ".dockerignore"]
URL = "https://gitlab.com/group/subgroup/my-service"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project, in which the hook runs."""
    project = tmp_path / "it's a project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


def test_what_belongs_to_an_option_that_is_off_is_removed(folder: Path) -> None:
    for path in (*ABSENT, ".pre-commit-config.yaml"):
        (folder / path).touch()
    post_gen_project.remove(ABSENT)
    assert [path.name for path in folder.iterdir()] == [".pre-commit-config.yaml"]
    post_gen_project.remove(ABSENT)  # nothing left to remove is no error


def test_a_folder_goes_with_the_last_file_of_an_option_and_stays_with_a_file_of_the_person(folder: Path) -> None:
    for path in ("docs/conf.py", "docs/index.md", "manual/conf.py", "manual/mine.md"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).touch()
    for _ in range(2):
        post_gen_project.remove(["docs/conf.py", "docs/index.md", "manual/conf.py"])
        assert [path.relative_to(folder).as_posix() for path in folder.rglob("*")] == ["manual", "manual/mine.md"]


def test_components_are_copied_or_removed(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "lint.yml"
    source.write_bytes("spec: é\r\n".encode())
    ours = folder / ".gitlab" / "ci" / "ours.yml"
    for _ in range(2):
        post_gen_project.bring_components({".gitlab/ci/lint.yml": str(source), ".gitlab/ci/image.yml": None})
        assert (folder / ".gitlab" / "ci" / "lint.yml").read_bytes() == source.read_bytes()
        ours.touch()
    post_gen_project.bring_components({".gitlab/ci/lint.yml": None})
    assert list(ours.parent.iterdir()) == [ours]


def test_the_project_is_finished_and_says_what_to_do(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert post_gen_project.main(ABSENT, {}, URL, '{"template": "é"}\n', {}) == 0
    assert (folder / ".cruft.json").read_bytes() == '{"template": "é"}\n'.encode()
    assert (folder / ".git" / "HEAD").read_text(encoding="utf-8") == "ref: refs/heads/main\n"
    printed, errors = capfd.readouterr()
    (line,) = (line for line in printed.splitlines() if line.startswith("  cd "))
    assert run("sh", "-c", f"{line} && pwd").strip() == str(folder)
    assert "git remote add origin https://gitlab.com/group/subgroup/my-service.git" in printed
    assert "git init" not in printed
    assert "cannot update" not in printed
    assert errors == ""


def test_a_template_outside_git_is_said(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert post_gen_project.main(ABSENT, {}, URL, None, {}) == 0
    assert not (folder / ".cruft.json").exists()
    assert "`cruft update` cannot update this project later" in capfd.readouterr().out


def test_what_will_not_work_is_said_last_with_the_paragraph_about_it(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert post_gen_project.main(ABSENT, {}, URL, "", {"one": "Fix this.", "two": "And that."}) == 0
    said = "\nFix this.\nSee docs/troubleshooting.md#one\nAnd that.\nSee docs/troubleshooting.md#two\n"
    assert capfd.readouterr().out.endswith(said)


def test_an_update_says_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert post_gen_project.main(ABSENT, {}, URL, "", {"one": "Fix this."}, silent=True) == 0
    assert capfd.readouterr() == ("", "")


def test_a_repository_around_the_project_is_said(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder.parent / ".git").mkdir()
    assert post_gen_project.main(ABSENT, {}, URL, "", {}) == 0
    printed = capfd.readouterr().out
    assert f"It is a repository of its own within {folder.parent}, which" in printed
    assert (folder / ".git").exists()


def test_under_cruft_the_link_is_left_alone(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert post_gen_project.main(ABSENT, {}, URL, "", {}) == 0
    assert not (folder / ".cruft.json").exists()
    assert "cannot update" not in capfd.readouterr().out


def test_a_missing_git_is_no_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert post_gen_project.main(ABSENT, {}, URL, None, {}) == 0
    printed = capfd.readouterr().out
    assert "  git init --initial-branch main\n" in printed
    assert "Git could not be run; install it first." in printed


def test_another_repository_in_the_environment_is_left_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the template is run from a hook of git."""
    other = tmp_path / "other"
    monkeypatch.setenv("GIT_DIR", str(other))
    post_gen_project.main(ABSENT, {}, URL, None, {})
    assert (folder / ".git").is_dir()
    assert not other.exists()


def test_a_file_that_cannot_be_written_is_reported_in_a_sentence(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / ".cruft.json").mkdir()
    assert post_gen_project.main(ABSENT, {}, URL, "{}", {}) == 1
    error = capfd.readouterr().err
    assert "docs/troubleshooting.md#unfinished\nThe project could not be finished: " in error
    assert error.endswith("Is the folder writable?\n")


def test_windows_gets_its_own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    steps = post_gen_project.next_steps(r"C:\My Projects\x", URL, has_git=True, has_uv=False)
    assert r'cd "C:\My Projects\x"' in steps
    assert r".venv\Scripts\activate" in steps
    assert "python3" not in steps


def test_the_next_steps_are_for_the_tools_that_are_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'not-there'}{os.pathsep}{programs}")
    post_gen_project.main(ABSENT, {}, URL, None, {})
    assert "  python -m pip install --editable . --group dev\n  tox\n" in capfd.readouterr().out
    (programs / "uv").touch(mode=0o755)
    post_gen_project.main(ABSENT, {}, URL, None, {})
    printed = capfd.readouterr().out
    assert "  uv sync\n  uv run tox\n" in printed
    assert "pip" not in printed
    assert "uvx" not in printed
    post_gen_project.main(ABSENT, {}, URL, None, {}, package="git+https://gitlab.com/org/it's.git@1.0.0")
    word = r"'py-ci-template[fleet] @ git+https://gitlab.com/org/it'\''s.git@1.0.0'"
    assert f"  uvx --from {word} py-ci-project\n" in capfd.readouterr().out


def test_jinja_changes_nothing_in_the_hook_but_its_last_lines() -> None:
    """A doubled brace anywhere else, as in an f-string, would be run by the engine."""
    hook = Path(str(post_gen_project.__file__)).read_text(encoding="utf-8")
    functions, guard, _ = hook.partition('if __name__ == "__main__":')
    assert guard
    assert not re.search(r"\{[{%#]", functions)


def test_the_hook_uses_only_the_standard_library() -> None:
    modules = {value.__name__ for value in vars(post_gen_project).values() if isinstance(value, type(os))}
    assert {module.partition(".")[0] for module in modules} <= sys.stdlib_module_names
