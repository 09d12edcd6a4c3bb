"""The rules for answers, as functions."""

from __future__ import annotations

from typing import Any

import pytest

from answer_rules import problems
from tools.options import DECLARED, DEFAULTS

GOOD: dict[str, Any] = {
    **DECLARED,
    **DEFAULTS,
    "project_name": "My Service",
    "project_slug": "my-service",
    "package_name": "my_service",
    "project_description": "Greets people.",
    "author_name": 'Robert "Bob" O\'Connor',
    "author_email": "bob@example.com",
    "gitlab_host": "gitlab.com",
    "gitlab_namespace": "group/subgroup",
    "python_version": "3.11",
}


def problem(**answer: Any) -> str:
    """Return the only line that an answer causes, or nothing."""
    lines = problems({**GOOD, **answer}, DECLARED)
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
        ("license", "Proprietary"),
        ("pre_commit", False),
        ("pre_commit", "Yes"),
    ],
)
def test_a_good_answer_passes(name: str, answer: Any) -> None:
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
        ("project_name", "x\ufffd", "not valid Unicode"),
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
        ("project_slug", "pytest-cov", 'choose another, such as "pytest-cov-app"'),
        ("project_slug", "nul", 'choose another, such as "nul-app"'),
        ("package_name", "class", 'is a Python keyword; choose another, such as "class_app"'),
        ("package_name", "json", "is a module of Python's standard library"),
        ("package_name", "coverage", "is taken by a tool"),
        ("package_name", "pytest_cov", "is taken by a tool"),
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
        ("python_version", 3.11, "3.11 is not text; write it in quotes"),
        ("signing", "maybe", "is not supported; choose one of keyless, key, none"),
        ("signing", "Key", "is not supported; choose one of keyless, key, none"),
        ("signing", ["key"], '["key"] is not text'),
        ("pre_commit", "maybe", "'maybe' is not supported; choose one of yes, no"),
        ("pre_commit", 1, "1 is not supported; choose one of yes, no"),
        ("pre_commit", None, "null is not supported; choose one of yes, no"),
        ("project_name", None, "null is not text; write it in quotes"),
        ("project_name", {"a": "x" * 100}, "is not text"),
        ("package_name", True, "true is not text"),
    ],
)
def test_a_bad_answer_is_refused_with_its_remedy(name: str, answer: Any, expected: str) -> None:
    line = problem(**{name: answer})
    assert line.startswith(name)
    assert expected in line
    assert line.isascii()
    assert len(line) < 240


def test_all_problems_are_said_at_once() -> None:
    lines = problems({**GOOD, "project_slug": "A", "author_email": "b", "python_version": "2.7"}, DECLARED)
    assert [line.split()[0] for line in lines] == ["project_slug", "author_email", "python_version"]
