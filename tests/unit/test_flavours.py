"""The two flavours of the pipeline, self-contained and components, are the same jobs."""

from __future__ import annotations

import pytest

from tools.components import load
from tools.gitlab_ci_local import Expander, without_empty
from tools.options import SWITCHES, Combination, all_combinations, name_of
from tools.template import render

SELF_CONTAINED = [c for c in all_combinations() if c["pipeline"] == "self-contained"]


def test_a_pipeline_has_these_flavours() -> None:
    assert SWITCHES["pipeline"] == ["self-contained", "components"]


@pytest.mark.parametrize("options", SELF_CONTAINED, ids=name_of)
def test_both_flavours_expand_to_the_same_jobs(options: Combination, expander: Expander) -> None:
    unrolled = render(".gitlab-ci.yml", options)
    included = render(".gitlab-ci.yml", {**options, "pipeline": "components"})
    assert "include:" in included
    assert "include:" not in unrolled
    assert load(expander.preview(unrolled)) == without_empty(load(expander.preview(included)))
