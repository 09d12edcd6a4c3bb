"""Refuses bad answers before anything is written: all of them at once, one line each.

A hook costs what Python costs to start, so this one gets by without `re`, which `string` needs too.
"""

import keyword
import sys
import unicodedata

LOWER = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
ALPHANUMERIC = LOWER + LOWER.upper() + DIGITS

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
DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in DIGITS)}

# Characters that reorder the text around them (Unicode TR 36): what is read is not what is there.
REORDERING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# What RFC 5322 allows between the dots of an address, before the @.
ATOM = {*ALPHANUMERIC, *"!#$%&'*+/=?^_`{|}~-"}


def one_line(answer: str, longest: int) -> str | None:
    """Say what hurts in a line of text wherever it is written, or None."""
    categories = {unicodedata.category(character) for character in answer}
    if not answer:
        return "is empty; type one"
    if len(answer) > longest:
        return f"has {len(answer)} characters; use at most {longest}"
    if categories & {"Cc", "Zl", "Zp"}:
        return "has a line break or a control character; leave it out"
    if "Cs" in categories or any(ord(character) & 0xFFFE == 0xFFFE for character in answer):
        return "has a character that is not valid Unicode text; type it again"
    if REORDERING & set(answer):
        return "has an invisible character that reorders text; leave it out"
    if answer != answer.strip():
        return "begins or ends with a space; leave it out"
    if any("{" + mark in answer for mark in ("{", "%", "#")):
        return "has an opening brace of Jinja, which an update of the project would run; put a space after it"
    return None


def made_of(parts: list[str], characters: str) -> bool:
    """Tell whether every part has something, and nothing but these characters."""
    return all(part and set(part) <= set(characters) for part in parts)


def normalized(answer: str, joint: str) -> str:
    """Return a name like the answer, of lower-case letters, digits and single joints."""
    kept = "".join(c if c in LOWER + DIGITS else " " for c in answer.lower())
    return joint.join(kept.split())


def project_slug(answer: str) -> str | None:
    """Say what is wrong with the name of a distribution (PEP 503, PEP 508), or None."""
    if not made_of(answer.split("-"), LOWER + DIGITS):
        example = normalized(answer, "-") or "my-service"
        return f'is not a normalized name; use lower-case letters, digits and single hyphens, such as "{example}"'
    if answer in TOOLS | DEVICES:
        return f'is taken by a tool or by the system; choose another, such as "{answer}-app"'
    return None


def package_name(answer: str) -> str | None:
    """Say what is wrong with a name to import, or None."""
    if not made_of([answer], LOWER + DIGITS + "_") or answer[0] not in LOWER:
        example = normalized(answer, "_")
        if example[:1] not in LOWER or not example:
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
    if is_domain(domain) and len(port) < 2 and made_of(port, DIGITS) and made_of(path, ALPHANUMERIC + "_-"):
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
            shown = ascii(answer if len(answer) <= 60 else f"{answer[:57]}...")
            found.append(f"{name} {shown} {problem}.")
    return found


def main(answers: dict) -> int:
    """Print every problem; return the exit status."""
    found = problems(answers)
    if found:
        print("The project was not made. Please change:", *found, sep="\n  - ", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main({{cookiecutter | python_literal}}))
