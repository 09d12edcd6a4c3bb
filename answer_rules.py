"""The rules for answers: what is wrong with each, in a line that says what to do.

The filter `check` runs this file; it is not imported, as `local_extensions.Filters` explains.
"""

from __future__ import annotations

import json
import keyword
import sys
import unicodedata
from collections.abc import Mapping
from string import ascii_letters, ascii_lowercase, digits
from typing import Any

ALPHANUMERIC = ascii_letters + digits

# The longest answer, in characters: PyPI's limit for a summary, and for an address RFC 5321's.
LONGEST_LINE = 512
LONGEST = {
    "project_name": 100,
    "project_slug": 50,
    "package_name": 50,
    "author_name": 100,
    "author_email": 254,
    "gitlab_host": 253,
    "gitlab_namespace": 255,
}

# A project of one of these names could not be installed beside the tools of its own tests.
TOOLS = {
    "build",
    "check-wheel-contents",
    "coverage",
    "mypy",
    "pip",
    "pre-commit",
    "pytest",
    "pytest-cov",
    "pytest_cov",
    "ruff",
    "setuptools",
    "tests",
    "tox",
    "twine",
    "unittest-xml-reporting",
    "xmlrunner",
}

# Names that Windows refuses for a file or folder.
DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in digits)}

# Characters that reorder the text around them (Unicode TR 36): what is read is not what is there.
REORDERING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# What RFC 5322 allows between the dots of an address, before the @.
ATOM = {*ALPHANUMERIC, *"!#$%&'*+/=?^_`{|}~-"}


# What Cookiecutter takes for yes and no.
WORDS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}


def boolean(answer: Any) -> bool | None:
    """Return a yes or no, which may be a word, or None where it is neither.

    Cookiecutter 2.6 leaves the words of its command line as they are, and later ones those of a replay file.
    """
    if isinstance(answer, str):
        return WORDS.get(answer.strip().lower())
    return answer if isinstance(answer, bool) else None


def one_line(answer: str, longest: int) -> str | None:
    """Say what hurts in a line of text wherever it is written, or None."""
    categories = {unicodedata.category(character) for character in answer}
    if not answer:
        return "is empty; type one"
    if len(answer) > longest:
        return f"has {len(answer)} characters; use at most {longest}"
    if categories & {"Cc", "Zl", "Zp"}:
        return "has a line break or a control character; leave it out"
    # U+FFFD stands for what could not be read.
    if "Cs" in categories or "\ufffd" in answer or any(ord(character) & 0xFFFE == 0xFFFE for character in answer):
        return "has a character that is not valid Unicode text; type it again"
    if REORDERING & set(answer):
        return "has an invisible character that reorders text; leave it out"
    if answer != answer.strip():
        return "begins or ends with a space; leave it out"
    if any(mark in answer for mark in ("{{", "{%", "{#")):
        return "has an opening brace of Jinja, which an update of the project would run; put a space after it"
    return None


def made_of(parts: list[str], characters: str) -> bool:
    """Tell whether every part has something, and nothing but these characters."""
    return all(part and set(part) <= set(characters) for part in parts)


def normalized(answer: str, joint: str) -> str:
    """Return a name like the answer, of lower-case letters, digits and single joints."""
    kept = "".join(c if c in ascii_lowercase + digits else " " for c in answer.lower())
    return joint.join(kept.split())


def project_slug(answer: str) -> str | None:
    """Say what is wrong with the name of a distribution (PEP 503, PEP 508), or None."""
    if not made_of(answer.split("-"), ascii_lowercase + digits):
        example = normalized(answer, "-") or "my-service"
        return f'is not a normalized name; use lower-case letters, digits and single hyphens, such as "{example}"'
    if answer in TOOLS | DEVICES:
        return f'is taken by a tool or by the system; choose another, such as "{answer}-app"'
    return None


def package_name(answer: str) -> str | None:
    """Say what is wrong with a name to import, or None."""
    if not made_of([answer], ascii_lowercase + digits + "_") or answer[0] not in ascii_lowercase:
        example = normalized(answer, "_")
        if example[:1] not in ascii_lowercase or not example:
            example = f"app_{example}".strip("_")
        return f'is not a name to import; use lower-case letters, digits and underscores, such as "{example}"'
    for taken, what in (
        (keyword.kwlist, "is a Python keyword"),
        (sys.stdlib_module_names, "is a module of Python's standard library"),
        (TOOLS | DEVICES, "is taken by a tool or by the system"),
    ):
        if answer in taken:
            return f'{what}; choose another, such as "{answer}_app"'
    return None


def is_domain(answer: str) -> bool:
    """Tell whether the answer is a host name in letters, digits and hyphens (RFC 1123)."""
    labels = answer.split(".")
    return made_of(labels, ALPHANUMERIC + "-") and all(
        len(label) <= 63 and not label.startswith("-") and not label.endswith("-") for label in labels
    )


def author_email(answer: str) -> str | None:
    """Say what is wrong with an address (RFC 5322's dot-atom form), or None."""
    local, _, domain = answer.partition("@")
    if len(local) <= 64 and all(part and set(part) <= ATOM for part in local.split(".")) and is_domain(domain):
        return None
    return 'is not an email address; use one such as "team@example.com"'


def gitlab_host(answer: str) -> str | None:
    """Say what is wrong with a host, which may have a port and a path, or None."""
    authority, *path = answer.split("/")
    domain, *port = authority.split(":")
    if is_domain(domain) and len(port) < 2 and made_of(port, digits) and made_of(path, ALPHANUMERIC + "_-"):
        return None
    return 'is not a host; leave out "https://" and a slash at the end, as in "gitlab.example.com"'


def gitlab_namespace(answer: str) -> str | None:
    """Say what is wrong with the path of a group, or None (https://docs.gitlab.com/user/reserved_names/)."""
    parts = answer.split("/")
    allowed = made_of(parts, ALPHANUMERIC + "_.-")
    if allowed and not any(part[0] in "-." or part.endswith((".", ".git", ".atom")) for part in parts):
        return None
    return 'is not the path of a group; use it as in its address, such as "group/subgroup"'


CHECKS = {check.__name__: check for check in (project_slug, package_name, author_email, gitlab_host, gitlab_namespace)}


def problem(name: str, answer: Any, declared: Any) -> str | None:
    """Say what is wrong with an answer, or None; `declared` is what `cookiecutter.json` has for it.

    The engine lets no other choice be typed, but takes anything from a file of answers.
    """
    if isinstance(declared, bool):
        return "is not supported; choose one of yes, no" if boolean(answer) is None else None
    if not isinstance(answer, str):
        return "is not text; write it in quotes"
    if isinstance(declared, list):
        return None if answer in declared else f"is not supported; choose one of {', '.join(declared)}"
    return one_line(answer, LONGEST.get(name, LONGEST_LINE)) or (CHECKS[name](answer) if name in CHECKS else None)


def shown(answer: Any) -> str:
    """Return an answer as ASCII, and not too much of it: a terminal must be able to show it."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return ascii(text) if isinstance(answer, str) else text


def problems(answers: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
    """Return a line for each answer that cannot be used: its name, the answer, why, and the remedy.

    Takes the answers by name, and what `cookiecutter.json` declares.
    """
    # The oldest Python is no choice for the engine, whose menu would not follow the list.
    questions = {**declared, "python_version": answers["_python_versions"]}
    found = []
    for name in questions:
        if not name.startswith("_") and name in answers:
            wrong = problem(name, answers[name], questions[name])
            if wrong:
                found.append(f"{name} {shown(answers[name])} {wrong}.")
    return found
