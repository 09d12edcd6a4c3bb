"""The release of a tag is as the job makes it, whoever has made one before."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project

TAG = "v1.2.3"
CHANGES = "- It is *new*."


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project on GitLab, in the job `release` of which this runs."""
    folder = tmp_path_factory.mktemp("release")
    (folder / "CHANGELOG.md").write_text(f"# Changes\n\n## 1.2.3\n\n{CHANGES}\n", encoding="utf-8")
    (folder / "links").mkdir()
    (folder / "links" / "packages").write_text("a.whl https://example.com/a.whl package\n", encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    with GitLab(folder / "gitlab", "") as gitlab:
        project = gitlab.add_project("group/another")
        job = {
            "CI_COMMIT_TAG": TAG,
            "CI_COMMIT_SHA": "0" * 40,
            "CI_PIPELINE_URL": f"{gitlab.url}/group/another/-/pipelines/7",
        }
        with patch.dict(os.environ, {**gitlab.variables(project), **job}), patch("scripts.gitlab_api.PAUSES", ()):
            yield project
    os.chdir(before)


@pytest.fixture(scope="module")
def program(here: Project) -> ModuleType:
    """The program, which reads the variables of its job."""
    return importlib.reload(importlib.import_module("scripts.release"))


def run(program: ModuleType) -> None:
    """Do what the job does."""
    page = program.release()
    program.refuse_others(page)
    program.complete(page)


def page(here: Project) -> Path:
    """Return where GitLab has the release."""
    return here.folder / "releases" / f"{TAG}.json"


TEXT = st.one_of(st.sampled_from(["", "evil", CHANGES, "OURS", "OURS\nevil", "evil\nOURS", TAG]), st.text(max_size=20))
TIMES = st.sampled_from(["2026-01-01T00:00:00.000Z", "2036-01-01T00:00:00.000Z", "OURS"])
LINK = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["a.whl", "b.whl"]),
        "url": st.sampled_from(["https://example.com/a.whl", "https://example.com/evil"]),
        "link_type": st.sampled_from(["package", "other"]),
    }
)


@given(
    changed=st.fixed_dictionaries(
        {},
        optional={
            "description": st.one_of(TEXT, st.none()),
            "name": TEXT,
            "released_at": TIMES,
            "milestones": st.lists(st.just({"title": "evil"}), max_size=1),
            "links": st.lists(LINK, max_size=2, unique_by=(lambda link: link["name"], lambda link: link["url"])),
        },
    ),
    pipeline=st.sampled_from(["7", "8"]),
)
@settings(deadline=None)
def test_a_release_is_ours_or_the_job_is_red(
    changed: dict[str, Any], pipeline: str, here: Project, program: ModuleType
) -> None:
    page(here).unlink(missing_ok=True)
    run(program)
    ours = json.loads(page(here).read_text(encoding="utf-8"))
    assert CHANGES in ours["description"]
    there = {**ours, "description": ours["description"].replace("pipelines/7)", f"pipelines/{pipeline})")}
    for key in changed.keys() - {"links"}:
        value = changed[key]
        there[key] = value.replace("OURS", str(ours[key])) if isinstance(value, str) else value
    if "links" in changed:
        there["assets"] = {"links": [{"id": n, **link} for n, link in enumerate(changed["links"], 1)]}
    page(here).write_text(json.dumps(there), encoding="utf-8")
    ok = (
        (there["description"] or "").replace(f"pipelines/{pipeline})", "pipelines/7)").strip() == ours["description"]
        and there["name"] == TAG
        and not there.get("milestones")
        and there["released_at"][:10] == ours["created_at"][:10]
        and all(
            (link["name"], link["url"], link["link_type"]) == ("a.whl", "https://example.com/a.whl", "package")
            for link in there["assets"]["links"]
        )
    )
    if ok:
        run(program)
        now = json.loads(page(here).read_text(encoding="utf-8"))
        assert [(link["name"], link["url"]) for link in now["assets"]["links"]] == [
            ("a.whl", "https://example.com/a.whl")
        ]
    else:
        with pytest.raises(SystemExit, match=r"Delete it\.|Take them out\."):
            run(program)
