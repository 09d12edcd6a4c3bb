"""What a package says of itself, in any of the files that packages have had. Nothing of it is run."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement

from tools.adopt.repository import RefusedError, Repository

FILES = ("pyproject.toml", "setup.cfg", "setup.py")
# Where tests name what they need, besides pyproject.toml.
REQUIREMENTS = re.compile(r"(requirements[-_/])?(dev|test|tests|testing)([-_]requirements)?\.txt")
# Modules beside a package.
OTHERS = re.compile(r"(tests?|docs?|examples?|setup|conftest|noxfile|tasks)$|test_")
EXTRAS = ("test", "tests", "testing", "dev")
# What ends a requirement in a line for pip: a comment, an option such as --hash, or the sign of a line that goes on.
ENDS = re.compile(r"\s*\\$|(?:^|\s)(?:#|--)")


class Known(NamedTuple):
    """A value, and where it stands."""

    value: str
    source: str


class Package(NamedTuple):
    """What is known of the package in a folder, the content of its `pyproject.toml`, and what its tests need."""

    folder: str
    known: dict[str, Known]
    pyproject: dict[str, Any]
    tests: list[str]


def normalized(name: str) -> str:
    """Return the one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def within(folder: str, path: str) -> str:
    """Return a path of a package as one of the repository."""
    return path if folder == "." else f"{folder}/{path}"


def table(content: Any, *names: str) -> dict[str, Any]:
    """Return a table within tables, empty where there is none."""
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


def listed(content: Any) -> list[Any]:
    """Return the entries of a list, or a text as the only one; none of what is neither."""
    return [content] if isinstance(content, str) else [*content] if isinstance(content, (list, tuple, set)) else []


def of_pyproject(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return what the tables of PEP 621 and Poetry say, the former first."""
    project, poetry = table(content, "project"), table(content, "tool", "poetry")
    licence = project.get("license")
    yield "license", table(licence).get("text") if isinstance(licence, dict) else licence
    yield "requires_python", project.get("requires-python")
    yield "scripts", " ".join(table(project, "scripts"))
    for author in listed(project.get("authors")):
        yield from (("author_name", table(author).get("name")), ("author_email", table(author).get("email")))
    for each in (project, poetry):
        yield from ((name, each.get(name)) for name in ("name", "description"))
    yield "license", poetry.get("license")
    yield "requires_python", poetry_range(table(poetry, "dependencies").get("python"))
    yield "scripts", " ".join(table(poetry, "scripts"))
    for author in listed(poetry.get("authors")):
        if found := re.fullmatch(r"([^<>]*?)\s*<([^<>]*)>", str(author)):
            yield from (("author_name", found[1]), ("author_email", found[2]))


def configured(text: str) -> configparser.RawConfigParser:
    """Return the sections of a `setup.cfg`, none where it cannot be read."""
    settings = configparser.RawConfigParser(strict=False)
    try:
        settings.read_string(text)
    except configparser.Error:
        return configparser.RawConfigParser()
    return settings


def of_setup_cfg(settings: configparser.RawConfigParser) -> Iterator[tuple[str, Any]]:
    """Return what the sections of setuptools say."""
    for name in ("name", "description", "license", "author", "author_email"):
        value = settings.get("metadata", name, fallback="")
        # `attr:` and `file:` say where a value comes from.
        yield name.replace("author", "author_name") if name == "author" else name, re.sub("^(attr|file):.*", "", value)
    yield "requires_python", settings.get("options", "python_requires", fallback="")
    yield "scripts", console_scripts(settings.get("options.entry_points", "console_scripts", fallback=""))


def console_scripts(lines: Any) -> str:
    """Return the names of programs, of which each stands before an equals sign."""
    given = lines.splitlines() if isinstance(lines, str) else listed(lines)
    return " ".join(str(line).partition("=")[0].strip() for line in given if "=" in str(line))


def setup_call(text: str) -> dict[str, Any]:
    """Return the arguments of `setup()` that are written out, or are a name for what is."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    named = {
        target.id: statement.value
        for statement in module.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    found = {}
    for call in ast.walk(module):
        # `setup(...)`, or `setuptools.setup(...)`.
        if isinstance(call, ast.Call) and "setup" in (getattr(call.func, "id", ""), getattr(call.func, "attr", "")):
            for argument in call.keywords:
                value = argument.value
                written = named.get(value.id, value) if isinstance(value, ast.Name) else value
                try:
                    found[argument.arg or ""] = ast.literal_eval(written)
                except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                    continue
    return found


def of_setup_py(given: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return what the arguments of `setup()` say."""
    for name in ("name", "description", "license", "author_email"):
        yield name, given.get(name)
    yield "author_name", given.get("author")
    yield "requires_python", given.get("python_requires")
    points = given.get("entry_points")
    yield "scripts", console_scripts(points.get("console_scripts") if isinstance(points, dict) else points)


def poetry_range(value: Any) -> str:
    """Return Poetry's range of versions as pip writes it; nothing where it is another form."""
    text = value.get("version") if isinstance(value, dict) else value
    if not isinstance(text, str) or text == "*":
        return ""
    if found := re.fullmatch(r"\^(\d+)((?:\.\d+)*)", text.strip()):
        numbers = [found[1], *found[2].split(".")[1:]]
        # The first number that is not zero stays.
        fixed = next((n for n, number in enumerate(numbers) if int(number)), len(numbers) - 1)
        return f">={'.'.join(numbers)},<{'.'.join([*numbers[:fixed], str(int(numbers[fixed]) + 1)])}"
    if found := re.fullmatch(r"~(\d+)(\.\d+)?((?:\.\d+)*)", text.strip()):
        return f">={found[0][1:]},=={found[1]}{found[2] or ''}.*"
    return (
        f"=={text}" if re.fullmatch(r"\d[\w.]*", text) else text if re.fullmatch(r"[<>=!~][\w.,<>=!~ *]*", text) else ""
    )


def tests_need(
    repository: Repository,
    folder: str,
    pyproject: dict[str, Any],
    cfg: configparser.RawConfigParser,
    setup: dict[str, Any],
) -> list[str]:
    """Return the requirements of the tests, as far as they are written out; the first of a name counts."""
    lines: list[Any] = []
    for path in repository.paths:
        if REQUIREMENTS.fullmatch(path.removeprefix("" if folder == "." else f"{folder}/")):
            lines += (repository.read(path) or "").splitlines()
    extras = {**table(setup.get("extras_require")), **table(pyproject, "project", "optional-dependencies")}
    for each in (setup.get("tests_require"), *(extras.get(name) for name in EXTRAS)):
        lines += listed(each)
    written = [("options", "tests_require"), *(("options.extras_require", name) for name in EXTRAS)]
    lines += [line for place in written for line in cfg.get(*place, fallback="").splitlines()]
    poetry = table(pyproject, "tool", "poetry")
    groups = [table(poetry, "dev-dependencies"), *(table(poetry, "group", name, "dependencies") for name in EXTRAS)]
    # What comes from a folder or from git is not what an index has under that name.
    lines += [
        f"{name}{poetry_range(version)}"
        for group in groups
        for name, version in group.items()
        if "version" in table(version) or not isinstance(version, dict)
    ]
    found: dict[str, str] = {}
    for line in lines:
        text = ENDS.split(str(line).strip())[0].strip()
        try:
            read = Requirement(text)
        except (InvalidRequirement, RecursionError):
            continue
        if not read.url and normalized(read.name) != "python":
            found.setdefault(normalized(read.name), text)
    return list(found.values())


def import_names(repository: Repository, folder: str) -> list[str]:
    """Return what can be imported, by the files of the package: folders with `__init__.py`, else modules."""
    start = re.escape("" if folder == "." else f"{folder}/")
    for pattern in (r"src/(\w+)/__init__\.py", r"(\w+)/__init__\.py", r"(?:src/)?(\w+)\.py"):
        found = (re.fullmatch(start + pattern, path) for path in repository.paths)
        names = sorted({match[1] for match in found if match})
        ours = [name for name in names if not OTHERS.match(name)]
        if ours:
            return ours
    return []


def read_package(repository: Repository, folder: str) -> Package:
    """Read the metadata of the package in a folder; refuse where there is none."""
    texts = {name: repository.read(within(folder, name)) for name in FILES}
    if not any(texts.values()):
        folders = (path.rpartition("/") for path in repository.paths)
        elsewhere = sorted({place for place, slash, name in folders if slash and name in FILES})
        hint = f"packages are in {', '.join(elsewhere)}: name each with --directory" if elsewhere else "no package"
        place = "the root of the repository" if folder == "." else folder
        raise RefusedError("adopt-package", f"There is no pyproject.toml, setup.cfg or setup.py in {place}; {hint}.")
    try:
        pyproject = tomllib.loads(texts["pyproject.toml"] or "")
    except (ValueError, RecursionError) as wrong:
        raise RefusedError("adopt-package", f"{within(folder, 'pyproject.toml')} cannot be read: {wrong}") from None
    cfg, setup = configured(texts["setup.cfg"] or ""), setup_call(texts["setup.py"] or "")
    known: dict[str, Known] = {}
    for source, values in (
        ("pyproject.toml", of_pyproject(pyproject)),
        ("setup.cfg", of_setup_cfg(cfg)),
        ("setup.py", of_setup_py(setup)),
    ):
        for name, value in values:
            if isinstance(value, str) and value.strip():
                known.setdefault(name, Known(" ".join(value.split()), within(folder, source)))
    names = import_names(repository, folder)
    alike = [name for name in names if "name" in known and normalized(name) == normalized(known["name"].value)]
    if alike or len(names) == 1:
        known["package_name"] = Known((alike or names)[0], "the files of the package")
    return Package(folder, known, pyproject, tests_need(repository, folder, pyproject, cfg, setup))
