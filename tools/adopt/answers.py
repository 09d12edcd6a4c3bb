"""The answers to the questions of the template, from what is known of a package, each with where it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from tools.adopt.metadata import Known, Package, normalized
from tools.adopt.repository import RefusedError, Repository

# The address of a project: a page's, whose port is that of GitLab, with SSH's scheme, or as SSH has it without one.
REMOTE = re.compile(
    r"(?:https?://(?:[^/@]*@)?([^/]+)/|ssh://(?:[^/@]*@)?([^/:]+)(?::\d+)?/|(?:[^/:@]*@)?([^/:]{2,}):(?!//))/*(.+)/[^/]+"
)
LICENSES = {
    r"\bmit\b": "MIT",
    r"apache": "Apache-2.0",
    r"\bbsd\b(?!.*[12])": "BSD-3-Clause",
    r"\bgpl(?!.*only).*3": "GPL-3.0-or-later",
}
UPLOADS = re.compile(r"twine upload|poetry publish|uv publish|flit publish|hatch publish|setup\.py .*upload")
# Cookiecutter would run what follows.
JINJA = re.compile(r"\{(?=[{%#])")


def pythons_in(wanted: str, alive: Sequence[str]) -> list[str]:
    """Return those Pythons, of those alive, of which a range of versions takes a release; all where it is no range."""
    try:
        taken = SpecifierSet(wanted)
    except InvalidSpecifier:
        return list(alive)
    return [python for python in alive if any(f"{python}.{release}" in taken for release in range(50))]


def where_published(pipeline: str) -> Known:
    """Return where the pipeline that is there publishes the package."""
    if UPLOADS.search(pipeline):
        gitlab = re.search(r"packages/pypi|CI_API_V4_URL", pipeline)
        return Known("gitlab" if gitlab else "pypi", "the pipeline that is there uploads it")
    return Known("none", "the pipeline that is there uploads nothing")


def derived(package: Package, repository: Repository, declared: Mapping[str, Any], pipeline: str) -> dict[str, Known]:
    """Return the answers that follow from the package, its repository and the pipeline that is there."""
    known, found = package.known, dict[str, Known]()
    if "name" in known:
        slug = normalized(known["name"].value)
        found["project_slug"] = Known(slug, known["name"].source)
        found["project_name"] = Known(slug.replace("-", " ").title(), known["name"].source)
    if "package_name" in known:
        found["package_name"] = known["package_name"]
    for name, ours in (("description", "project_description"), ("author_name",) * 2, ("author_email",) * 2):
        if name in known:
            found[ours] = known[name]
        elif name != "description" and (value := repository.setting(name.replace("author_", "user."))):
            found[ours] = Known(value, "git")
    if remote := REMOTE.fullmatch(repository.remote().rstrip("/").removesuffix(".git")):
        found["gitlab_host"] = Known(remote[1] or remote[2] or remote[3], "the remote origin")
        found["gitlab_namespace"] = Known(remote[4].strip("/"), "the remote origin")
    licence = known.get("license", Known("", ""))
    named = [
        ours
        for word, ours in LICENSES.items()
        if re.search(word, licence.value.lower()) and ours in declared["license"]
    ]
    found["license"] = Known(named[0], licence.source) if named else Known(declared["license"][-1], "no other is known")
    wanted = known.get("requires_python", Known("", "nothing says which"))
    alive = declared["_python_versions"]
    oldest = [*pythons_in(wanted.value, alive), alive[-1]][0]
    found["python_version"] = Known(oldest, f"{wanted.source} {wanted.value}".strip())
    slug = found["project_slug"].value if "project_slug" in found else ""
    scripts = known.get("scripts", Known("", ""))
    command = bool(slug) and slug in scripts.value.split()
    found["kind"] = (
        Known("command", scripts.source) if command else Known("library", "no program of the package's name")
    )
    found["test_runner"] = Known("pytest", "it runs tests of unittest too")
    found["signing"] = Known("none", "a later step")
    found["publish"] = where_published(pipeline)
    found["docs"] = found["pre_commit"] = Known("no", "a later step")
    return {name: Known(JINJA.sub("{ ", each.value), each.source) for name, each in found.items()}


def answers_of(
    package: Package, repository: Repository, declared: Mapping[str, Any], pipeline: str, given: Mapping[str, str]
) -> dict[str, Known]:
    """Return the answers, those that a person gives first; refuse where one is missing, or nobody asks it."""
    questions = [name for name in declared if not name.startswith("_")]
    if unknown := sorted(given.keys() - set(questions)):
        raise RefusedError("adopt-answers", f"No question of the template: {', '.join(unknown)}. It asks {questions}.")
    if hurt := sorted(name for name, value in given.items() if JINJA.search(value)):
        raise RefusedError("adopt-answers", f"{', '.join(hurt)} has an opening brace of Jinja; put a space after it.")
    found = {
        **derived(package, repository, declared, pipeline),
        **{name: Known(value, "given") for name, value in given.items()},
    }
    needed = ("project_slug", "package_name", "gitlab_host", "gitlab_namespace")
    if missing := [name for name in needed if name not in found]:
        wanted = " ".join(f"{name}=..." for name in missing)
        raise RefusedError("adopt-answers", f"The repository does not say all: add {wanted} to the command.")
    return {name: found[name] for name in questions if name in found}
