"""The smallest change that gives a repository the pipeline and the link to the template, and what it leaves out."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import yaml

from tools.adopt.answers import pythons_in
from tools.adopt.metadata import EXTRAS, OTHERS, Known, Package, normalized, table, within
from tools.adopt.repository import RefusedError, Repository

PIPELINE, BEFORE, LINK, SETTINGS = ".gitlab-ci.yml", ".gitlab/ci-before.yml", ".cruft.json", "pyproject.toml"
LOCK = "uv.lock"
LINT = "# Until the findings are fixed, they are a warning.\n{name}:\n  allow_failure: true\n"
GROUPS = ("test", "lint")
# What of a pipeline is a table, but no job: https://docs.gitlab.com/ci/yaml/#keywords
KEYWORDS = ("cache", "default", "image", "include", "spec", "variables", "workflow")
# Where settings name a file that a build makes.
VERSIONS = (
    ("setuptools_scm", "version_file"),
    ("setuptools_scm", "write_to"),
    ("hatch", "build", "hooks", "vcs", "version-file"),
    ("pdm", "version", "write_to"),
)
# Why a file that stays as it is may matter.
MATTERS = {
    "Dockerfile": "the pipeline builds no image before kind=service",
    "MANIFEST.in": "without the template's, what is in the source distribution depends on git",
    "README.md": "",
    "build-requirements.txt": "without the template's, two builds of a tag may differ",
    "renovate.json": "the template's leaves alone what an update of the template moves",
    "toxfile.py": "",
}


@dataclass
class Plan:
    """What would be in the commit, and what is said of it."""

    answers: dict[str, dict[str, Known]]
    files: dict[str, str] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    todo: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it, as a person reads it on a terminal."""
        lines = []
        for folder, answers in self.answers.items():
            lines.append("Answers:" if folder == "." else f"Answers for {folder}:")
            width = max(map(len, answers))
            lines += [f"  {name:{width}}  {known.value}  ({known.source})" for name, known in answers.items()]
        for title, part in (("Changes", self.changes), ("Stays as it is", self.stays), ("To do", self.todo)):
            lines += [f"{title}:", *(f"  {line}" for line in part)] if part else []
        return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def jobs_in(pipeline: str) -> str:
    """Say which jobs a pipeline has."""

    class Loader(yaml.SafeLoader):
        """Knows GitLab's own tag, whatever it refers to."""

    Loader.add_multi_constructor("!", lambda *_: None)
    try:
        # Below a header, if there is one.
        content = [None, *yaml.load_all(pipeline, Loader=Loader)][-1]
    except (yaml.YAMLError, RecursionError, ValueError):
        return "those of a file that cannot be read"
    found = table(content)
    jobs = [str(name) for name, job in found.items() if isinstance(job, dict) and name not in KEYWORDS]
    said = [*(name for name in jobs if not name.startswith(".")), *["those that it includes"] * ("include" in found)]
    return ", ".join(said) or "none"


def names_of(requirements: Sequence[Any], groups: Mapping[str, Any], *within: str) -> set[str]:
    """Return the normalized names in a list of requirements, and in the groups that it includes."""
    found = {normalized(re.split(r"[^\w.-]", each)[0]) for each in requirements if isinstance(each, str)}
    for each in requirements:
        name = table(each).get("include-group")
        if isinstance(name, str) and name not in within and isinstance(groups.get(name), list):
            found |= names_of(groups[name], groups, *within, name)
    return found


def entry(each: Any) -> str:
    """Return an entry of a dependency group as TOML has it."""
    group = table(each).get("include-group")
    return f"{{ include-group = {json.dumps(group)} }}" if group else json.dumps(each, ensure_ascii=False)


def lacking(package: Package, rendered: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what the dependency groups of the package lack, as values of TOML by the names of the groups."""
    groups, theirs = table(package.pyproject, "dependency-groups"), table(rendered, "dependency-groups")
    wanted = {}
    for name in GROUPS:
        there = groups.get(name)
        ours: list[Any] = [{"include-group": each} for each in EXTRAS if isinstance(groups.get(each), list)]
        own = there if isinstance(there, list) else [*ours, *package.tests] if name == "test" else []
        known = names_of(own, groups)
        more = [each for each in theirs[name] if isinstance(each, str) and not names_of([each], {}) <= known]
        entries = [entry(each) for each in (more if there is not None else [*own, *more])]
        if there is None and name == "lint":
            entries.append(entry({"include-group": "test"}))
        if entries:
            wanted[name] = entries
    return wanted


def settings(package: Package, repository: Repository, rendered: str, name: str) -> tuple[str, list[str]]:
    """Return `pyproject.toml` with what the jobs need besides what is in it, and what was added."""
    path = within(package.folder, SETTINGS)
    text = old = repository.read(path) or ""
    if text and not text.endswith("\n"):
        text += "\n"
    ending = "\r\n" if "\r\n" in text else "\n"
    added: list[str] = []

    def add(header: str, lines: str, what: str) -> None:
        nonlocal text
        lines = lines.replace("\n", ending)
        found = re.search(rf"^\[{re.escape(header)}\][ \t]*(#.*)?\r?\n", text, re.MULTILINE)
        if found:
            text = text[: found.end()] + lines + text[found.end() :]
        else:
            text += f"{ending if text else ''}[{header}]{ending}{lines}"
        added.append(what)

    groups = table(package.pyproject, "dependency-groups")
    wanted = lacking(package, tomllib.loads(rendered))
    ours = re.search(r"(?m)^\[dependency-groups\]", text)
    for group in wanted.keys() & groups.keys():
        first = f"{', '.join(wanted[group])}, "
        head, header, tail = re.split(r"(?m)(^\[dependency-groups\].*$)", text, maxsplit=1) if ours else (text, "", "")
        begun = re.search(rf"^{group}\s*=\s*\[", tail, re.MULTILINE)
        text = head + header + (tail[: begun.end()] + first + tail[begun.end() :] if begun else tail)
        added.append(f"{first.strip(', ')} in the dependency group {group}")
    if new := [name for name in wanted if name not in groups]:
        lines = "".join(f"{name} = [{', '.join(wanted[name])}]\n" for name in new)
        add("dependency-groups", lines, f"the dependency groups {' and '.join(new)}")
    inside = partial(within, package.folder)
    others = {each: repository.read(inside(each)) or "" for each in ("setup.cfg", "tox.ini", "mypy.ini")}
    tool = table(package.pyproject, "tool")
    elsewhere = inside(".coveragerc") in repository or any("[coverage:" in each for each in others.values())
    coverage = table(tool, "coverage", "run")
    lines = "" if "relative_files" in coverage else "relative_files = true\n"
    if "coverage" not in tool:
        lines = f'branch = true\n{lines}source_pkgs = ["{name}"]\n'
    if "omit" not in coverage and (written := versions_in(tool)):
        # It is where the package was built, and not in the job that reports.
        lines += f"omit = {json.dumps(written)}\n"
    if lines and not elsewhere:
        add("tool.coverage.run", lines, "the settings of coverage")
    if "mypy" not in tool and not others["mypy.ini"] and "[mypy" not in others["setup.cfg"]:
        add("tool.mypy", f"files = {json.dumps(modules(repository, package.folder, name))}\n", "what mypy looks at")
    try:
        content = tomllib.loads(text)
    except ValueError:
        content = {}
    missing = lacking(package._replace(pyproject=content), tomllib.loads(rendered))
    if missing or not contains(content, package.pyproject):
        raise RefusedError("adopt-files", f"{path} cannot be added to. Write into it first: {'; '.join(added)}.")
    return (text if added else old), added


def versions_in(tool: Mapping[str, Any]) -> list[str]:
    """Return patterns of the files into which a build writes the version."""
    found = (table(tool, *place).get(name) for *place, name in VERSIONS)
    return [f"*/{each.rpartition('/')[2]}" for each in found if isinstance(each, str)]


def modules(repository: Repository, folder: str, name: str) -> list[str]:
    """Return where the modules of that name are, in the folder of a package or in one in it; else all of it."""
    start = "" if folder == "." else f"{folder}/"
    ours = re.compile(rf"(?:([\w.-]+)/)?{re.escape(name)}(?=/.+\.py$|\.py$)(?:\.py)?")
    inside = (ours.match(path.removeprefix(start)) for path in repository.paths if path.startswith(start))
    found = {match[0] for match in inside if match and not OTHERS.match(match[1] or "")}
    return sorted(found) or ["."]


def contains(new: Any, old: Any) -> bool:
    """Tell whether all that was in a document still is."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and contains(new[key], value) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return all(each in new for each in old)
    return bool(new == old)


def pipeline_of_several(rendered: Mapping[str, dict[str, str]], suffixes: Mapping[str, str]) -> str:
    """Return a pipeline with the jobs of each package that work in a folder, and the others once."""
    first = next(iter(rendered.values()))
    head = first[PIPELINE].partition("\ninclude:\n")[0]
    lines = [f"{head}\ninclude:\n"]
    for folder, files in rendered.items():
        for entry in yaml.safe_load(files[PIPELINE])["include"]:
            component = files[entry["local"]]
            given = dict(entry.get("inputs", {}))
            own = {"directory": folder, **({"job_suffix": suffixes[folder]} if suffixes[folder] else {})}
            if all(f"\n    {name}:\n" in component for name in own):
                given = {**given, **own}
            elif files is not first or (len(rendered) > 1 and "\n      default: .pre\n" not in component):
                # It takes what the jobs of one package hand on.
                continue
            lines.append(f"  - local: {entry['local']}\n")
            lines.append(f"    inputs: {json.dumps(given, ensure_ascii=False)}\n" if given else "")
            if "rules" in entry:
                lines.append(f"    rules: {json.dumps(entry['rules'])}\n")
            elif "job_suffix" in given and entry["local"].endswith(("/build.yml", "/sbom.yml")):
                # Which package a tag is of, nobody knows here.
                lines.append("    rules: [{if: $CI_COMMIT_TAG == null}]\n")
    return "".join(lines)


def suffix(answers: Mapping[str, Known]) -> str:
    """Return what the names of the jobs of a package end in."""
    return f"-{answers['project_slug'].value}"


def fitting(plan: Plan, package: Package, rendered: dict[str, str]) -> dict[str, str]:
    """Return the files with a pipeline that runs the tests with those Pythons alone that the package takes."""
    wanted = package.known.get("requires_python", Known("", "")).value
    lists = re.compile(r'(?<=python_versions)("?: )(\[.*?\])')
    every = max((json.loads(found[1]) for found in lists.findall(rendered[PIPELINE])), key=len)
    taken = pythons_in(wanted, every)
    if not taken:
        plan.todo.append(f"{package.folder} takes {wanted}, no Python of the template: its jobs fail until it does")
        return rendered

    def chosen(found: re.Match[str]) -> str:
        # The newest of a merge request is the newest that there is.
        left = {python if python in taken else taken[-1] for python in json.loads(found[2])}
        return found[1] + json.dumps([python for python in taken if python in left])

    return {**rendered, PIPELINE: lists.sub(chosen, rendered[PIPELINE])}


def make_plan(
    repository: Repository,
    packages: Sequence[Package],
    answers: Mapping[str, dict[str, Known]],
    rendered: dict[str, dict[str, str]],
    revision: str,
) -> Plan:
    """Return what to change: new files, tables at the end of `pyproject.toml`, and the pipeline that gives way."""
    if LINK in repository:
        raise RefusedError("adopt-files", f"The repository has a {LINK} already; 'cruft update' keeps it up to date.")
    plan = Plan(dict(answers))
    at_root = [each.folder for each in packages] == ["."]
    suffixes = {each.folder: suffix(answers[each.folder]) if packages[1:] else "" for each in packages}
    if len(set(suffixes.values())) < len(packages):
        raise RefusedError("adopt-package", "Two packages have the same name, which jobs are named after.")
    rendered = {each.folder: fitting(plan, each, rendered[each.folder]) for each in packages}
    first = rendered[packages[0].folder]
    jobs = {path: text for files in rendered.values() for path, text in files.items() if path.startswith(".gitlab/ci/")}
    pipeline = first[PIPELINE] if at_root else pipeline_of_several(rendered, suffixes)
    findings = [LINT.format(name=f"lint{each}") for each in suffixes.values()]
    plan.files = {PIPELINE: "\n".join([pipeline, *findings]), **jobs}
    if PIPELINE in repository:
        old = repository.read(PIPELINE)
        if old is None:
            raise RefusedError("adopt-files", f"{PIPELINE} is no plain file of text: make it one.")
        plan.files[BEFORE] = old
        plan.changes.append(
            f"{BEFORE}: {PIPELINE} as it was. Nothing includes it; its jobs run no more: {jobs_in(old)}"
        )
    plan.changes.append(f"{PIPELINE}: the pipeline of the template; findings of lint are a warning")
    if jobs:
        plan.changes.append(f".gitlab/ci/: {len(jobs)} files with its jobs")
    for path in plan.files:
        if path != PIPELINE or PIPELINE not in repository:
            repository.refuse_to_overwrite(path)
    for package in packages:
        path = within(package.folder, SETTINGS)
        name = answers[package.folder]["package_name"].value
        text, added = settings(package, repository, rendered[package.folder][SETTINGS], name)
        if added:
            if path not in repository:
                repository.refuse_to_overwrite(path)
            elif repository.read(path) is None:
                raise RefusedError("adopt-files", f"{path} is no plain file of text: make it one.")
            plan.files[path] = text
            plan.changes.append(f"{path}: {', '.join(added)}")
        if added and within(package.folder, LOCK) in repository:
            plan.todo.append(
                f"{within(package.folder, LOCK)} is older now: the jobs fail until 'uv lock' has renewed it"
            )
        inside = [each for each in repository.paths if package.folder == "." or each.startswith(f"{package.folder}/")]
        if not any(re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", each) for each in inside):
            plan.todo.append(f"{package.folder} has no test that pytest finds: the job test fails until there is one")
    compare(plan, repository, first, revision, at_root=at_root)
    return plan


def compare(plan: Plan, repository: Repository, rendered: Mapping[str, str], revision: str, *, at_root: bool) -> None:
    """Write the link, which leaves out the files that the repository does not take, and say which those are."""
    absent, kept = [], []
    for path, text in rendered.items():
        if path == LINK or (path in plan.files and (at_root or path != PIPELINE) and path != SETTINGS):
            continue
        if path not in repository and path not in plan.files:
            absent.append(path)
        elif at_root and path not in plan.files:
            old = repository.read(path)
            if old == text:
                continue
            # The ends of lines are part of them: they may be all that differs.
            lines = difflib.unified_diff((old or "").splitlines(keepends=True), text.splitlines(keepends=True), n=0)
            count = sum(line[:1] in "+-" for line in lines) - 2
            why = MATTERS.get(path, "")
            plan.stays.append(f"{path}: the template's differs in {count} lines{why and f'; {why}'}")
        kept.append(path)
    if absent:
        plan.stays.append(f"not there, and left out: {', '.join(absent)}")
    link = json.loads(rendered[LINK])
    link["checkout"] = revision or link["checkout"]
    link["skip"] = sorted({*absent, *kept})
    plan.files[LINK] = json.dumps(link, indent=2) + "\n"
    plan.changes.append(
        f"{LINK}: the link to {link['template']}, by which 'cruft update' moves the files of the pipeline"
    )
