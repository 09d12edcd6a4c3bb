"""The hooks, as functions."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from hooks import post_gen_project, pre_gen_project
from tests.baked import run
from tests.options import DECLARED

GOOD: dict[str, Any] = {
    "project_name": "My Service",
    "project_slug": "my-service",
    "package_name": "my_service",
    "project_description": "Greets people.",
    "author_name": 'Robert "Bob" O\'Connor',
    "author_email": "bob@example.com",
    "gitlab_host": "gitlab.com",
    "gitlab_namespace": "group/subgroup",
    "python_version": "3.11",
    "docker": False,
    "pre_commit": True,
    "__project_url": "https://gitlab.com/group/subgroup/my-service",
    "_python_versions": DECLARED["_python_versions"],
    "_template": "gl:org/py-ci-template",
    "_repo_dir": "anywhere",
    "_checkout": "1.0.0",
}


def problem(**answer: str) -> str:
    """Return the only line that an answer causes, or nothing."""
    lines = pre_gen_project.problems({**GOOD, **answer})
    assert len(lines) <= 1
    return "".join(lines)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("project_name", "Żółw & Söhne: 100% {braces} #1 \\o/ 😀"),
        ("project_name", "שלום"),
        ("project_slug", "a"),
        ("project_slug", "a" * 50),
        ("project_slug", "2048-game"),
        ("package_name", "match"),
        ("package_name", "a" * 50),
        ("author_email", "first.o'last+tag@mail.example.co.uk"),
        ("gitlab_host", "gitlab.example.com:8443/gitlab"),
        ("gitlab_host", "localhost"),
        ("gitlab_namespace", "a/b.c/d-e_f"),
        ("python_version", "3.15"),
    ],
)
def test_a_good_answer_passes(name: str, answer: str) -> None:
    assert problem(**{name: answer}) == ""


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        ("project_name", "", "is empty; type one"),
        ("project_name", "x" * 101, "has 101 characters; use at most 100"),
        ("project_name", "two\nlines", "has a line break or a control character"),
        ("project_name", "null\x00byte", "has a line break or a control character"),
        ("project_name", "\u2028", "has a line break or a control character"),
        ("project_name", "\udcff", "not valid Unicode"),
        ("project_name", "\uffff", "not valid Unicode"),
        ("project_name", "safe\u202etxt", "invisible character that reorders text"),
        ("project_name", " x", "begins or ends with a space"),
        ("author_name", "{{ 7 * 7 }}", "opening brace of Jinja"),
        ("author_name", "{% raw", "opening brace of Jinja"),
        ("author_name", "{# x", "opening brace of Jinja"),
        ("project_slug", "My_Service", 'such as "my-service"'),
        ("project_slug", "../../x", 'such as "x"'),
        ("project_slug", "..", 'such as "my-service"'),
        ("project_slug", "-x", 'such as "x"'),
        ("project_slug", "a--b", 'such as "a-b"'),
        ("project_slug", "a/b", 'such as "a-b"'),
        ("project_slug", "a\\b", 'such as "a-b"'),
        ("project_slug", "/etc", 'such as "etc"'),
        ("project_slug", "a" * 51, "use at most 50"),
        ("project_slug", "pytest", 'choose another, such as "pytest-app"'),
        ("project_slug", "nul", 'choose another, such as "nul-app"'),
        ("package_name", "class", 'is a Python keyword; choose another, such as "class_app"'),
        ("package_name", "json", "is a module of Python's standard library"),
        ("package_name", "coverage", "is taken by a tool"),
        ("package_name", "com1", "is taken by a tool or by the system"),
        ("package_name", "2048_game", 'such as "app_2048_game"'),
        ("package_name", "My-Service", 'such as "my_service"'),
        ("package_name", "a.b", 'such as "a_b"'),
        ("package_name", "é", 'such as "app"'),
        ("author_email", "nobody", "is not an email address"),
        ("author_email", "a@b@c", "is not an email address"),
        ("author_email", "a..b@example.com", "is not an email address"),
        ("author_email", f"{'a' * 65}@example.com", "is not an email address"),
        ("author_email", "a@-example.com", "is not an email address"),
        ("gitlab_host", "https://gitlab.com", 'leave out "https://"'),
        ("gitlab_host", "gitlab.com/", "is not a host"),
        ("gitlab_host", "git lab.com", "is not a host"),
        ("gitlab_host", "user@gitlab.com", "is not a host"),
        ("gitlab_namespace", "/group", "is not the path of a group"),
        ("gitlab_namespace", "group/", "is not the path of a group"),
        ("gitlab_namespace", "group/../x", "is not the path of a group"),
        ("gitlab_namespace", "-group", "is not the path of a group"),
        ("gitlab_namespace", "group.git", "is not the path of a group"),
        ("python_version", "3.10", "is not supported; choose one of 3.11, 3.12,"),
        ("python_version", "3", "is not supported"),
    ],
)
def test_a_bad_answer_is_refused_with_its_remedy(name: str, answer: str, expected: str) -> None:
    line = problem(**{name: answer})
    assert line.startswith(name)
    assert expected in line
    assert line.isascii()
    assert len(line) < 240


def test_all_problems_are_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert pre_gen_project.main({**GOOD, "project_slug": "A", "author_email": "b", "python_version": "2.7"}) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "The project was not made. Please change:"
    assert [line.split()[1] for line in lines[1:]] == ["project_slug", "author_email", "python_version"]


def test_good_answers_are_not_commented_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert pre_gen_project.main(GOOD) == 0
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project, in which the hook runs."""
    project = tmp_path / "it's a project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


def test_switches_remove_what_is_off_and_keep_what_is_on(folder: Path) -> None:
    for paths in post_gen_project.OWNED_PATHS.values():
        for path in paths:
            (folder / path).touch()
    post_gen_project.apply_switches(GOOD)
    assert [path.name for path in folder.iterdir()] == [".pre-commit-config.yaml"]
    post_gen_project.apply_switches(GOOD)  # nothing left to remove is no error


def test_the_project_is_finished_and_says_what_to_do(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert post_gen_project.main(GOOD, '{"template": "é"}\n') == 0
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
    assert post_gen_project.main(GOOD, None) == 0
    assert not (folder / ".cruft.json").exists()
    assert "`cruft update` cannot update this project later" in capfd.readouterr().out


def test_under_cruft_the_link_is_left_alone(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert post_gen_project.main(GOOD, "") == 0
    assert not (folder / ".cruft.json").exists()
    assert "cannot update" not in capfd.readouterr().out


def test_a_missing_git_is_no_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert post_gen_project.main(GOOD, None) == 0
    printed = capfd.readouterr().out
    assert "  git init --initial-branch main\n" in printed
    assert "Git could not be run; install it first." in printed


def test_another_repository_in_the_environment_is_left_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the template is run from a hook of git."""
    other = tmp_path / "other"
    monkeypatch.setenv("GIT_DIR", str(other))
    post_gen_project.main(GOOD, None)
    assert (folder / ".git").is_dir()
    assert not other.exists()


def test_a_file_that_cannot_be_written_is_reported_in_a_sentence(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / ".cruft.json").mkdir()
    assert post_gen_project.main(GOOD, "{}") == 1
    error = capfd.readouterr().err
    assert error.startswith("The project could not be finished: ")
    assert error.endswith("Is the folder writable?\n")


def test_windows_gets_its_own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    steps = post_gen_project.next_steps(r"C:\My Projects\x", GOOD, has_git=True, linked=True)
    assert r'cd "C:\My Projects\x"' in steps
    assert r".venv\Scripts\activate" in steps
    assert "python3" not in steps


def test_windows_makes_the_repository_its_own_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "spawnvpe")
    assert post_gen_project.make_repository()
    assert (folder / ".git").is_dir()
    monkeypatch.setenv("PATH", str(folder))
    assert not post_gen_project.make_repository()


def test_jinja_changes_nothing_in_a_hook_but_its_last_lines() -> None:
    """A doubled brace anywhere else, as in an f-string, would be run by the engine."""
    for hook in (pre_gen_project, post_gen_project):
        functions, guard, _ = (
            Path(str(hook.__file__)).read_text(encoding="utf-8").partition('if __name__ == "__main__":')
        )
        assert guard
        assert not re.search(r"\{[{%#]", functions)


def test_hooks_use_only_the_standard_library() -> None:
    for hook in (pre_gen_project, post_gen_project):
        modules = {value.__name__ for value in vars(hook).values() if isinstance(value, type(os))}
        assert {module.partition(".")[0] for module in modules} <= sys.stdlib_module_names
