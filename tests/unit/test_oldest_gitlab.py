"""The oldest GitLab and GitLab Runner: what the documents say of them, and which pipelines that GitLab can read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scripts.preflight import OLDEST_GITLAB, OLDEST_RUNNER, older
from tools.components import component_names, inputs_of
from tools.documents import page, tables
from tools.options import ROOT, all_combinations
from tools.schema import check
from tools.template import render

CLAIM = f"GitLab {OLDEST_GITLAB} and GitLab Runner {OLDEST_RUNNER}"


@pytest.mark.parametrize("document", ["README.md", "docs/requirements.md", "docs/runners.md", "docs/adopting.md"])
def test_the_documents_say_which_are_the_oldest(document: str) -> None:
    assert f"{CLAIM} or newer" in " ".join(page(document).split())


@pytest.mark.parametrize(("heading", "oldest"), [("GitLab", OLDEST_GITLAB), ("Runner", OLDEST_RUNNER)])
def test_the_oldest_is_what_the_newest_of_the_needs_is(heading: str, oldest: str) -> None:
    """Of what no project can leave out, which the first table has; GitLab itself is not older than its runner."""
    needs = tables(page("docs/requirements.md"))[0]
    column = needs[0].index(heading)
    versions = [row[column] for row in needs[1:] if older(row[column], "0.0") is not None]
    newest = max(versions, key=lambda version: [int(part) for part in version.split(".")])
    assert newest == oldest or (heading == "GitLab" and older(newest, oldest) and oldest == OLDEST_RUNNER)


def test_the_limit_of_components_is_compared_with_how_many_there_are() -> None:
    (row,) = (row for row in tables(page("docs/requirements.md"))[0] if "components in one project" in row[0])
    assert row[0] == f"{len(component_names())} components in one project"
    assert "30, before that 10" in row[-1]
    assert len(component_names()) <= 30


# As GitLab and its runner write them: releases, what runs on gitlab.com, candidates, builds of a commit.
@pytest.mark.parametrize("form", ["{}", "{}.0", "{}.0-ee", "{}.0-pre", "{}.2-rc42-ee", "{}.0~pre.246.g71914659"])
def test_a_version_is_read_in_every_form(form: str) -> None:
    assert all(older(form.format(version), "18.4") for version in ("9.10", "17.11", "18.0", "18.3"))
    assert not any(older(form.format(version), "18.4") for version in ("18.4", "18.10", "19.0", "100.0"))


@pytest.mark.parametrize(
    "text", ["", "18", "latest", "v18.4", "-1.0", "1.", "1,0", "18.4x", "1.0\n2", "1.0\x1b[31m", "१.२"]
)
def test_what_is_no_version_is_neither_old_nor_new(text: str) -> None:
    assert older(text, "18.4") is None


def test_the_oldest_gitlab_reads_every_pipeline_that_a_project_may_have(oldest_schema: Path, tmp_path: Path) -> None:
    """As the file of the project is, before GitLab includes anything; what comes of it is checked beside the newest."""
    texts = sorted({render(".gitlab-ci.yml", combination) for combination in all_combinations()})
    files = [tmp_path / f"{number}.yml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, encoding="utf-8")
    check(*files, schema=oldest_schema)


def test_the_oldest_gitlab_reads_the_pipeline_of_the_template(oldest_schema: Path) -> None:
    check(ROOT / ".gitlab-ci.yml", schema=oldest_schema)


def test_the_oldest_gitlab_knows_what_inputs_may_say() -> None:
    """Its schema has nothing about them; its documents have these since 16.11 at the latest."""
    for name in component_names():
        for key, spec in inputs_of(name).items():
            assert spec.keys() <= {"default", "description", "options", "regex", "type"}, f"{name}: {key}"
            assert spec.get("type", "string") in {"string", "array", "boolean", "number"}, f"{name}: {key}"


def test_what_only_a_newer_gitlab_reads_is_refused(oldest_schema: Path, tmp_path: Path) -> None:
    file = tmp_path / "newer.yml"
    job = {"script": "true", "artifacts": {"paths": ["dist"], "access": "maintainer"}}
    file.write_text(yaml.safe_dump({"job": job}), encoding="utf-8")
    check(file)
    with pytest.raises(AssertionError, match="'maintainer' is not one of"):
        check(file, schema=oldest_schema)
