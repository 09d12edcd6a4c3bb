"""The Jinja filters, as functions."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from cookiecutter.utils import create_env_with_context
from hypothesis import given
from markdown_it import MarkdownIt

import local_extensions
from local_extensions import folder_name, from_version, markdown_text, quoted, shell_word, unroll
from tests.answers import LINES
from tests.baked import run

COMPONENT = """\
# A component.
spec:
  inputs:
    stage:
      default: test
    image:
    versions:
      type: array
      default: ["3.11", "3.12"]
    strict:
      type: boolean
      default: true
---
# Why the job is there.
job:
  stage: $[[ inputs.stage ]]
  image: "$[[ inputs.image ]]"
  strict: $[[ inputs.strict ]]
  parallel:
    matrix:
      - PYTHON: $[[inputs.versions]]
"""


def test_unroll_writes_inputs_and_defaults_in_and_keeps_comments() -> None:
    assert unroll(COMPONENT, {"image": "python:3.13", "strict": False}) == (
        "# Why the job is there.\n"
        "job:\n"
        "  stage: test\n"
        '  image: "python:3.13"\n'
        "  strict: false\n"
        "  parallel:\n"
        "    matrix:\n"
        '      - PYTHON: ["3.11", "3.12"]\n'
    )


def test_unroll_refuses_an_input_that_the_component_does_not_have() -> None:
    with pytest.raises(ValueError, match="unknown inputs: colour, size"):
        unroll(COMPONENT, {"image": "x", "size": 1, "colour": "red"})


def test_unroll_refuses_to_leave_an_input_out() -> None:
    with pytest.raises(ValueError, match="missing inputs: image"):
        unroll(COMPONENT, {})


@pytest.mark.parametrize("slug", ["a", "my-service", "0", "a" * 50])
def test_folder_name_is_the_slug(slug: str) -> None:
    assert folder_name(slug) == slug


@pytest.mark.parametrize(
    "slug", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "a:b", "-a", "a\n", "a\0", "a" * 51, "é"]
)
def test_folder_name_is_harmless_for_what_cannot_name_a_folder(slug: str) -> None:
    assert folder_name(slug) == "refused-project-slug"


def test_versions_run_from_the_oldest_to_the_newest() -> None:
    assert from_version(["3.9", "3.10", "3.11"], "3.10") == ["3.10", "3.11"]


@given(LINES)
def test_quoted_text_is_the_same_in_toml_and_yaml(line: str) -> None:
    assert tomllib.loads(f"key = {quoted(line)}") == {"key": line}
    assert yaml.safe_load(f"key: {quoted(line)}") == {"key": line}


@given(LINES)
def test_markdown_shows_the_text_as_it_is(line: str) -> None:
    tokens = MarkdownIt().parse(f"# {markdown_text(line)}\n\n{markdown_text(line)}\n")
    kinds = ["heading_open", "inline", "heading_close", "paragraph_open", "inline", "paragraph_close"]
    assert [token.type for token in tokens] == kinds
    for inline in (tokens[1], tokens[4]):
        assert "".join(child.content for child in inline.children or ()) == line


@given(LINES)
def test_a_shell_reads_one_word(line: str) -> None:
    assert run("sh", "-c", f"printf %s {shell_word(line)}") == line


def test_filters_are_read_anew_for_each_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under `cruft update`, where the file changes between the old and the new template."""
    newer = tmp_path / "local_extensions.py"
    newer.write_text('FILTERS = {"shout": str.upper}\n', encoding="utf-8")
    monkeypatch.setattr(local_extensions, "__file__", str(newer))
    environment = create_env_with_context({"cookiecutter": {"_extensions": ["local_extensions.Filters"]}})
    assert environment.from_string("{{ 'a' | shout }}").render() == "A"
