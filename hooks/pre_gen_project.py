"""Refuses bad answers before anything is written: all of them at once, one line each."""

import json
import keyword
import re
import sys
import unicodedata
from collections.abc import Callable

# The longest answer, in characters; 512 is PyPI's limit for a summary, 254 RFC 5321's for an address.
LONGEST = {
    "project_name": 100,
    "project_slug": 50,
    "package_name": 50,
    "project_description": 512,
    "author_name": 100,
    "author_email": 254,
    "gitlab_host": 253,
    "gitlab_namespace": 255,
    "python_version": 8,
}

# A project of one of these names could not be installed beside the tools of its own tests.
TOOLS = {"build", "coverage", "mypy", "pip", "pytest", "ruff", "setuptools", "tests", "tox", "twine", "xmlrunner"}

# Names that Windows refuses for a file or folder.
DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}

# Characters that reorder the text around them (Unicode TR 36): what is read is not what is there.
REORDERING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"


def one_line(answer: str, longest: int) -> str | None:
    """Say what hurts in a line of text wherever it is written, or None."""
    if not answer:
        return "is empty; type one"
    if len(answer) > longest:
        return f"has {len(answer)} characters; use at most {longest}"
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in answer):
        return "has a line break or a control character; leave it out"
    if any(unicodedata.category(c) == "Cs" or ord(c) & 0xFFFE == 0xFFFE for c in answer):
        return "has a character that is not valid Unicode text; type it again"
    if REORDERING & set(answer):
        return "has an invisible character that reorders text; leave it out"
    if answer != answer.strip():
        return "begins or ends with a space; leave it out"
    if re.search(r"[{](?:[{]|%|#)", answer):
        return "has an opening brace of Jinja, which an update of the project would run; put a space after it"
    return None


def project_slug(answer: str) -> str | None:
    """Say what is wrong with the name of a distribution (PEP 503, PEP 508), or None."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", answer):
        example = re.sub(r"[^a-z0-9]+", "-", answer.lower()).strip("-") or "my-service"
        return f'is not a normalized name; use lower-case letters, digits and single hyphens, such as "{example}"'
    if answer in TOOLS | DEVICES:
        return f'is taken by a tool or by the system; choose another, such as "{answer}-app"'
    return None


def package_name(answer: str) -> str | None:
    """Say what is wrong with a name to import, or None."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", answer):
        example = re.sub(r"[^a-z0-9]+", "_", answer.lower()).strip("_")
        example = example if example[:1].isalpha() else f"app_{example}".strip("_")
        return f'is not a name to import; use lower-case letters, digits and underscores, such as "{example}"'
    for taken, what in (
        (keyword.kwlist, "is a Python keyword"),
        (sys.stdlib_module_names, "is a module of Python's standard library"),
        (TOOLS | DEVICES, "is taken by a tool or by the system"),
    ):
        if answer in taken:
            return f'{what}; choose another, such as "{answer}_app"'
    return None


def author_email(answer: str) -> str | None:
    """Say what is wrong with an address (RFC 5322's dot-atom form), or None."""
    if re.fullmatch(rf"{ATOM}(\.{ATOM})*@{LABEL}(\.{LABEL})*", answer) and answer.index("@") <= 64:
        return None
    return 'is not an email address; use one such as "team@example.com"'


def gitlab_host(answer: str) -> str | None:
    """Say what is wrong with a host, which may have a port and a path, or None."""
    if re.fullmatch(rf"{LABEL}(\.{LABEL})*(:[0-9]+)?(/[A-Za-z0-9_-]+)*", answer):
        return None
    return 'is not a host; leave out "https://" and a slash at the end, as in "gitlab.example.com"'


def gitlab_namespace(answer: str) -> str | None:
    """Say what is wrong with the path of a group, or None.

    https://docs.gitlab.com/user/reserved_names/
    """
    for part in answer.split("/"):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", part) or part.endswith((".", ".git", ".atom")):
            return 'is not the path of a group; use it as in its address, such as "group/subgroup"'
    return None


CHECKS: dict[str, Callable[[str], str | None]] = {
    check.__name__: check for check in (project_slug, package_name, author_email, gitlab_host, gitlab_namespace)
}


def problems(answers: dict) -> list[str]:
    """Return a line for each answer that cannot be used: its name, the answer, why, and the remedy."""
    found = []
    for name, longest in LONGEST.items():
        answer = str(answers[name])
        problem = one_line(answer, longest)
        if not problem and name in CHECKS:
            problem = CHECKS[name](answer)
        if not problem and name == "python_version" and answer not in answers["_python_versions"]:
            problem = f"is not supported; choose one of {', '.join(answers['_python_versions'])}"
        if problem:
            # As ASCII, and not too much of it: a terminal must be able to show it.
            shown = json.dumps(answer if len(answer) <= 60 else f"{answer[:57]}...")
            found.append(f"{name} {shown} {problem}.")
    return found


def main(answers: dict) -> int:
    """Print every problem; return the exit status."""
    found = problems(answers)
    if found:
        print("The project was not made. Please change:", *found, sep="\n  - ", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(json.loads({{cookiecutter | jsonify | pprint}})))
