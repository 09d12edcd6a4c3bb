"""The Jinja filters that the template uses, loaded by Cookiecutter through `_extensions`."""

from __future__ import annotations

import json
import logging
import os
import re
import runpy
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from jinja2 import Environment
from jinja2.ext import Extension

# PEP 503's normal form; the length keeps file names and lines of code within everybody's limits.
SLUG = re.compile(r"(?=.{1,50}\Z)[a-z0-9]+(-[a-z0-9]+)*\Z")
INPUT = re.compile(r"\$\[\[\s*inputs\.(\w+)\s*\]\]")


def absolute_path(path: str) -> str:
    """Return a path that holds wherever the reader stands."""
    return os.path.abspath(path)


def folder_name(slug: str) -> str:
    """Return the slug, or a harmless name where the slug cannot name a folder.

    Cookiecutter makes the folder before `pre_gen_project` can refuse the slug, and leaves behind
    the parents that a slash in it made. With this name the refusal leaves nothing.
    """
    return slug if SLUG.match(slug) else "refused-project-slug"


def quoted(value: Any) -> str:
    """Return a value as JSON, which is valid TOML for a string and valid YAML for anything."""
    return json.dumps(value, ensure_ascii=False)


def markdown_text(text: str) -> str:
    """Escape a line of plain text so that Markdown shows it as it is (CommonMark 0.31, 2.4)."""
    text = re.sub(r"([\\`*_\[\]<>~$|]|&(?=#?\w+;))", r"\\\1", text)
    text = re.sub(r"^(\d*)([#+.)-])", r"\1\\\2", text)  # would begin a heading or a list
    return re.sub(r"(?<=\s)(#+)$", r"\\\1", text)  # would close a heading


def shell_word(text: str) -> str:
    """Quote a text so that a POSIX shell reads it as one word."""
    return shlex.quote(text)


def from_version(versions: list[str], oldest: str) -> list[str]:
    """Return the versions from the oldest supported one to the newest.

    Raises ValueError where the oldest is not among them; `pre_gen_project` refuses it first.
    """
    return versions[versions.index(oldest) :]


def unroll(component: str, inputs: Mapping[str, Any]) -> str:
    """Write a GitLab CI/CD component out as GitLab would include it with these inputs.

    Takes the text of a component and its inputs by name; returns the text of its jobs. Raises
    ValueError for an input that the component does not declare and for a missing one without a
    default. https://docs.gitlab.com/ci/inputs/
    """
    header, jobs = component.split("\n---\n", maxsplit=1)
    declared: dict[str, dict[str, Any] | None] = yaml.safe_load(header)["spec"]["inputs"]
    unknown = sorted(inputs.keys() - declared.keys())
    if unknown:
        raise ValueError(f"unknown inputs: {', '.join(unknown)}")
    defaults = {name: spec["default"] for name, spec in declared.items() if spec and "default" in spec}
    values = {**defaults, **inputs}
    missing = sorted(declared.keys() - values.keys())
    if missing:
        raise ValueError(f"missing inputs: {', '.join(missing)}")

    def value(match: re.Match[str]) -> str:
        chosen = values[match[1]]
        return chosen if isinstance(chosen, str) else quoted(chosen)

    return INPUT.sub(value, jobs)


FILTERS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (absolute_path, folder_name, from_version, markdown_text, quoted, shell_word, unroll)
}


def drop_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback out of a log record: a refused answer is not a crash."""
    record.exc_info = None
    return True


class Filters(Extension):
    """Adds the filters of this file, as it is on disk now, to Jinja.

    `cruft update` renders the old and the new template in one process and from one folder; the
    imported module would still be the old one when the new template asks for a new filter.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters.update(runpy.run_path(__file__)["FILTERS"])
        # Where a hook fails, its own message is the one to read; the engine would log a
        # traceback of itself after it.
        hooks_logger = logging.getLogger("cookiecutter.hooks")
        if drop_traceback not in hooks_logger.filters:
            hooks_logger.addFilter(drop_traceback)
