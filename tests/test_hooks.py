"""The hooks, as functions."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from hooks import post_gen_project, pre_gen_project
from tests.baked import commit_all, run
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


def test_switches_remove_what_is_off_and_keep_what_is_on(tmp_path: Path) -> None:
    for paths in post_gen_project.OWNED_PATHS.values():
        for path in paths:
            (tmp_path / path).touch()
    post_gen_project.apply_switches(tmp_path, GOOD)
    assert [path.name for path in tmp_path.iterdir()] == [".pre-commit-config.yaml"]
    post_gen_project.apply_switches(tmp_path, GOOD)  # nothing left to remove is no error


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A folder in git that could be a template."""
    folder = tmp_path / "template"
    folder.mkdir()
    (folder / "cookiecutter.json").write_text("{}\n", encoding="utf-8")
    run("git", "init", "--quiet", cwd=folder)
    commit_all(folder)
    return folder


def test_a_working_copy_is_linked_by_its_folder(template: Path) -> None:
    link = post_gen_project.template_link(template, GOOD)
    assert link is not None
    assert link["template"] == str(template)
    assert link["commit"] == run("git", "rev-parse", "HEAD", cwd=template).strip()
    assert link["checkout"] == "1.0.0"
    assert link["directory"] is None
    assert link["context"]["cookiecutter"] == {k: v for k, v in GOOD.items() if not k.startswith("_")}


def test_a_clone_is_linked_by_the_address_that_it_came_from(template: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", template.as_uri(), clone)
    assert (post_gen_project.template_link(clone, GOOD) or {})["template"] == template.as_uri()
    commit_all(clone, "Not pushed")
    assert (post_gen_project.template_link(clone, GOOD) or {})["template"] == str(clone)


def test_a_token_in_the_address_is_not_written_down(template: Path) -> None:
    run("git", "remote", "add", "origin", "https://oauth2:secret@gitlab.com/org/py-ci-template.git", cwd=template)
    run("git", "update-ref", "refs/remotes/origin/main", "HEAD", cwd=template)
    link = post_gen_project.template_link(template, GOOD)
    assert link is not None
    assert link["template"] == "https://gitlab.com/org/py-ci-template.git"


def test_a_template_in_a_subfolder_is_linked_with_it(template: Path) -> None:
    inner = template / "python"
    inner.mkdir()
    (inner / "cookiecutter.json").write_text("{}\n", encoding="utf-8")
    commit_all(template)
    assert (post_gen_project.template_link(inner, GOOD) or {})["directory"] == "python"


def test_a_template_that_git_does_not_hold_is_not_linked(template: Path) -> None:
    inner = template / "untracked"
    inner.mkdir()
    (inner / "cookiecutter.json").write_text("{}\n", encoding="utf-8")
    assert post_gen_project.template_link(inner, GOOD) is None


def test_a_template_without_a_commit_is_not_linked(tmp_path: Path) -> None:
    (tmp_path / "cookiecutter.json").write_text("{}\n", encoding="utf-8")
    run("git", "init", "--quiet", cwd=tmp_path)
    run("git", "add", "--all", cwd=tmp_path)
    assert post_gen_project.template_link(tmp_path, GOOD) is None


def test_the_project_is_finished_and_says_what_to_do(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "a folder"
    project.mkdir()
    assert post_gen_project.main(project, template, GOOD) == 0
    assert json.loads((project / ".cruft.json").read_text(encoding="utf-8"))["directory"] is None
    printed = capsys.readouterr().out
    assert f"cd '{project}'" in printed
    assert "git remote add origin https://gitlab.com/group/subgroup/my-service.git" in printed
    assert "git init" not in printed
    assert "cannot update" not in printed


def test_cruft_writes_the_link_itself(template: Path, tmp_path: Path) -> None:
    under_cruft = {k: v for k, v in GOOD.items() if k not in ("_repo_dir", "_checkout")}
    project = tmp_path / "project"
    project.mkdir()
    assert post_gen_project.main(project, template, under_cruft) == 0
    assert not (project / ".cruft.json").exists()


def test_a_missing_git_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert post_gen_project.main(tmp_path, tmp_path, GOOD) == 0
    printed = capsys.readouterr().out
    assert "  git init --initial-branch main\n" in printed
    assert "Git could not be run; install it first." in printed


def test_another_repository_in_the_environment_is_left_alone(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the template is run from a hook of git."""
    other = tmp_path / "other"
    monkeypatch.setenv("GIT_DIR", str(other))
    project = tmp_path / "project"
    project.mkdir()
    post_gen_project.main(project, template, GOOD)
    assert (project / ".git").is_dir()
    assert not other.exists()


def test_a_file_that_cannot_be_written_is_reported_in_a_sentence(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    (project / ".cruft.json").mkdir(parents=True)
    assert post_gen_project.main(project, template, GOOD) == 1
    error = capsys.readouterr().err
    assert error.startswith("The project could not be finished: ")
    assert error.endswith("Is the folder writable?\n")


def test_windows_gets_its_own_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    steps = post_gen_project.next_steps(tmp_path, GOOD, has_git=True, linked=True)
    assert f'cd "{tmp_path}"' in steps
    assert r".venv\Scripts\activate" in steps
    assert "python3" not in steps


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
