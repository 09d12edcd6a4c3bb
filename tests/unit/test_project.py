"""What a project has, by its answers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from project import OWNED, absent_paths, has_job, pipeline, pythons
from scripts import preflight
from tools.components import component_names, inputs_of
from tools.options import DECLARED, ROOT, SWITCHES, Combination, all_combinations, name_of
from tools.pipeline.key import KEY, PASSWORD
from tools.project import wanted
from tools.project.answers import Answers
from tools.project.command import NAME
from tools.template import FOLDER

TYPES = {"string": str, "boolean": bool, "array": list, "number": int}


def answers(**given: Any) -> dict[str, Any]:
    """Return all answers of a project, the defaults where none is given."""
    names = {"project_slug": "my-service", "package_name": "my_service"}
    return {**DECLARED, **all_combinations()[0], **names, **given}


def test_versions_run_from_the_oldest_to_the_newest() -> None:
    given = {"_python_versions": ["3.9", "3.10", "3.11"], "python_version": "3.10"}
    assert pythons(given) == ["3.10", "3.11"]


def test_every_value_that_brings_something_owns_it() -> None:
    valued = {(name, value) for name, values in SWITCHES.items() for value in values}
    assert OWNED.keys() == {(name, value) for name, value in valued if value not in (False, "none")}
    assert all(owned.words for owned in OWNED.values())


def test_what_is_owned_is_there() -> None:
    assert {job for owned in OWNED.values() for job in owned.jobs} <= set(component_names())
    for owned in OWNED.values():
        assert all((ROOT / FOLDER / path).is_file() for path in owned.paths)


def test_a_project_has_the_paths_of_its_options() -> None:
    image, program = {"Dockerfile", ".dockerignore"}, {"src/my_service/__main__.py", "src/my_service/app.py"}
    library = {"src/my_service/greeting.py", "tests/test_greeting.py"}
    site = {"docs/changelog.md", "docs/conf.py", "docs/index.md"}
    assert set(absent_paths(answers())) == library | site
    assert set(absent_paths(answers(docs=True))) == library
    assert set(absent_paths(answers(kind="command"))) == library | site | image
    assert set(absent_paths(answers(kind="library"))) == image | site | program | {"tests/test_app.py"}


def test_a_job_is_there_where_all_options_that_own_it_want_it() -> None:
    assert has_job(answers(), "lint")
    assert has_job(answers(), "sign-image")
    assert not has_job(answers(kind="command"), "sign-image")
    assert not has_job(answers(signing="none"), "sign-image")
    assert has_job(answers(publish="pypi"), "attest-pypi")
    assert not has_job(answers(publish="pypi", signing="key"), "attest-pypi")


# It tells a service the name of every package, which the people of a project have to want.
OFFERED = {"audit"}


def test_every_component_is_in_some_pipeline_or_one_that_people_add() -> None:
    found = {job.component for combination in all_combinations() for job in pipeline(answers(**combination))}
    assert found | OFFERED == set(component_names())
    assert not found & OFFERED


@pytest.mark.parametrize("options", all_combinations(), ids=name_of)
def test_jobs_stand_in_the_order_of_stages_and_have_inputs_that_gitlab_takes(options: Combination) -> None:
    jobs = pipeline(answers(**options))
    stages = list(dict.fromkeys(job.stage for job in jobs))
    assert [job.stage for job in jobs] == sorted((job.stage for job in jobs), key=stages.index)
    for job in jobs:
        declared = inputs_of(job.component)
        assert job.inputs.keys() <= declared.keys(), job.component
        for name, value in job.inputs.items():
            spec = declared[name]
            assert isinstance(value, TYPES[spec.get("type", "string")]), name
            assert value in spec.get("options", [value]), name
            assert re.search(spec.get("regex", ""), str(value)), name
        assert declared["stage"]["default"] == job.stage


def test_an_organisation_sets_inputs_where_they_are_declared_and_the_audience_of_tokens() -> None:
    ours = {"audience": "https://sigstore.example.org", "git_container_image": "registry.example.org/git"}
    jobs = {job.component: job for job in pipeline(answers(_component_inputs=ours))}
    assert jobs["drift"].inputs["git_container_image"] == ours["git_container_image"]
    assert not jobs["lint"].inputs.keys() & ours.keys()
    assert jobs["sign"].inputs["audience"] == ours["audience"]
    assert jobs["sign"].id_tokens == jobs["sign-image"].id_tokens == {"SIGSTORE_ID_TOKEN": ours["audience"]}


def test_preflight_names_the_command_for_each_setting_that_it_complains_of(monkeypatch: pytest.MonkeyPatch) -> None:
    given = answers(signing="key", gitlab_namespace="org", gitlab_host="gitlab.com")
    (scoped,) = [job.inputs["scoped_variables"] for job in pipeline(given) if job.component == "preflight"]
    assert scoped.split() == [KEY, PASSWORD]
    assert inputs_of("sign")["environment"]["default"] == wanted.SIGNING
    names = {name: given[name] for name in Answers.__annotations__}
    (tags,) = [each for each in wanted.settings(Answers(**names), "main") if each.path == "protected_tags"]
    monkeypatch.setenv("CI_COMMIT_TAG", "v1.0.0")
    monkeypatch.setenv("CI_COMMIT_REF_PROTECTED", "false")
    for name in scoped.split():
        monkeypatch.setenv(name, "seen")
    remedies = [remedy for _, remedy in (preflight.tag(), preflight.secrets(scoped.split()))]
    for remedy, parts in zip(remedies, ([tags.attributes["name"]], ["protected", wanted.SIGNING]), strict=True):
        assert all(part in str(remedy) for part in [NAME, *parts]), remedy
