"""The two flavours of the pipeline, self-contained and components, are the same jobs."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tools.components import load
from tools.expander import Expander
from tools.options import (
    COMPONENT_PROJECT,
    DECLARED,
    DEFAULTS,
    SWITCHES,
    Combination,
    all_combinations,
    covering_combinations,
    name_of,
)
from tools.template import render

SELF_CONTAINED = [c for c in all_combinations() if c["pipeline"] == "self-contained"]
FLAVOURS = ["self-contained", "components"]


def test_a_pipeline_has_these_flavours() -> None:
    assert SWITCHES["pipeline"] == FLAVOURS


def expanded(expander: Expander, options: Combination, added: str = "") -> list[dict[str, Any]]:
    """Return what both flavours of a project's pipeline are when all is included, and fetched where it is elsewhere."""
    rendered = [render(".gitlab-ci.yml", {**options, "pipeline": flavour}) for flavour in FLAVOURS]
    return [load(expander.fetched(text + added)) for text in rendered]


@pytest.mark.parametrize("options", SELF_CONTAINED, ids=name_of)
def test_both_flavours_include_the_same_with_the_same_inputs(options: Combination) -> None:
    local, included = (
        yaml.safe_load(render(".gitlab-ci.yml", {**options, "pipeline": flavour})) for flavour in FLAVOURS
    )
    for job in local["include"]:
        name = job.pop("local").removeprefix(".gitlab/ci/").removesuffix(".yml")
        job["component"] = f"$CI_SERVER_FQDN/{COMPONENT_PROJECT}/{name}@{DECLARED['_component_version']}"
    declared = {name: included.pop(name) for name in included.keys() - local.keys()}
    assert local == included
    assert all(job.keys() == {"id_tokens"} for job in declared.values())


@pytest.mark.parametrize("options", [c for c in covering_combinations() if c["pipeline"] == "components"], ids=name_of)
def test_both_flavours_expand_to_the_same_jobs(options: Combination, expander: Expander) -> None:
    local, included = expanded(expander, options)
    assert local == included


@pytest.mark.parametrize(
    "change",
    [
        {"lint": {"tags": ["large"]}},
        {"lint": {"script": ["ruff check"]}},
        {"test": {"variables": {"PGHOST": "postgres"}}},
        {"test": {"parallel": {"matrix": [{"PY_CI_PYTHON": ["3.12"], "DJANGO": ["5.2", "6.0"]}]}}},
        {"build": {"rules": [{"if": "$CI_COMMIT_TAG"}]}},
        {"sign": {"tags": ["signing"], "timeout": "1 hour"}},
    ],
    ids=str,
)
def test_a_job_is_changed_by_its_name_in_both(change: dict[str, Any], expander: Expander) -> None:
    local, included = expanded(expander, DEFAULTS, f"\n{yaml.safe_dump(change)}")
    assert local == included
    unchanged, _ = expanded(expander, DEFAULTS)
    for name, keys in change.items():
        for key, value in keys.items():
            assert local[name][key] == ({**unchanged[name][key], **value} if key == "variables" else value)
        assert local[name].keys() == unchanged[name].keys() | keys.keys()


def test_the_default_branch_has_what_no_other_has_whatever_it_is_merged_into(expander: Expander) -> None:
    text = render(".gitlab-ci.yml", {**DEFAULTS, "docs": True})
    jobs = expander.jobs(text, "branch")
    # A merge request into a branch of production has another pipeline, in which nothing is published.
    assert expander.jobs(text, "default branch with a merge request") == jobs
    assert set(jobs) - set(expander.jobs(text, "another branch")) == {"digests-image", "publish-image", "pages"}


def test_an_organisation_means_the_same_in_both(expander: Expander) -> None:
    ours = {"_component_inputs": {"audience": "https://sigstore.example.org", "environment": "keys"}}
    local, included = expanded(expander, {**DEFAULTS, **ours})
    assert local == included
    for job in ("sign", "sign-image"):
        assert local[job]["id_tokens"] == {"SIGSTORE_ID_TOKEN": {"aud": "https://sigstore.example.org"}}
    keyed, also_keyed = expanded(expander, {**DEFAULTS, **ours, "signing": "key"})
    assert keyed == also_keyed
    assert keyed["sign"]["environment"]["name"] == "keys"
