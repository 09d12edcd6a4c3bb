"""The documents say what the template does today."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.options import DECLARED, IDENTITY, ROOT, SWITCHES
from tests.pipeline import component, component_names, inputs_of

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEST_COMMAND = "python3 -m venv .venv && .venv/bin/pip install --quiet tox-uv && .venv/bin/tox"


def rows(document: str, first: str) -> dict[str, list[str]]:
    """Return the rows of every table of a document whose first column has that heading."""
    found = {}
    for table in re.findall(rf"^\| {first} \|.*\n\|[- |]+\n((?:\|.*\n)+)", document, re.MULTILINE):
        for line in table.splitlines():
            name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            found[name.strip("` ")] = cells
    return found


def test_every_option_is_documented_with_its_values() -> None:
    documented = rows((ROOT / "docs" / "options.md").read_text(encoding="utf-8"), "option")
    assert list(documented) == [name for name in DECLARED if not name.startswith("_")]
    for name, values in SWITCHES.items():
        words = [{True: "yes", False: "no"}.get(value, f"`{value}`") for value in values]
        assert documented[name][0] == ", ".join(words), name
    assert documented["license"][1] == ", ".join(f"`{value}`" for value in IDENTITY["license"])
    oldest, newest = DECLARED["_python_versions"][0], DECLARED["_python_versions"][-1]
    assert documented["python_version"][0] == oldest
    assert f"from {oldest} to {newest}" in documented["python_version"][1]


def test_every_setting_of_a_fork_is_documented() -> None:
    documented = rows((ROOT / "docs" / "options.md").read_text(encoding="utf-8"), "setting")
    of_the_engine = {"_copy_without_render", "_extensions", "_jinja2_env_vars"}
    settings = {name for name in DECLARED if re.match(r"_[a-z]", name)}
    assert documented.keys() == settings - of_the_engine


def test_every_input_of_a_component_is_documented() -> None:
    documented = rows((ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8"), "input")
    inputs = {name: inputs_of(name) for name in component_names()}
    assert documented.keys() == set().union(*inputs.values())
    for name, (where, default) in documented.items():
        having = {component for component in inputs if name in inputs[component]}
        if where == "all":
            assert having == inputs.keys()
        elif where.startswith("all but"):
            assert having == inputs.keys() - set(re.findall(r"`([\w-]+)`", where))
        else:
            assert having == set(re.findall(r"`([\w-]+)`", where))
        for job in having:
            value = inputs[job][name]["default"]
            words = value if name.endswith("_commands") else [value if isinstance(value, str) else json.dumps(value)]
            shown = [word for word in words if word and not word.startswith("$GITLAB")]
            assert all(word in default for word in shown), (job, name)


def test_every_remedy_of_a_job_is_documented() -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")]
    text = " ".join(" ".join(pages).split())
    for name in component_names():
        for remedy in re.findall(r'REMEDY="(.+)"', component(name)):
            shown = remedy.replace("$PYTHON_VERSION", "3.x").replace("$PUBLIC_KEY", "cosign.pub")
            shown = shown.replace("$IDENTITY", "--key cosign.pub --insecure-ignore-tlog")
            assert f"**`{shown}`**" in text, name


def test_every_option_has_a_prompt_in_words_with_a_recommendation_where_there_is_a_choice() -> None:
    prompts = DECLARED["__prompts__"]
    assert list(prompts) == [name for name in DECLARED if not name.startswith("_")]
    for name, prompt in prompts.items():
        words = prompt if isinstance(prompt, str) else prompt["__prompt__"]
        assert " " in words or words[0].isupper(), name
        if isinstance(prompt, dict):
            assert list(prompt) == ["__prompt__", *DECLARED[name]], name
        if name in SWITCHES or name == "license":
            assert "(recommended" in str(prompt), name


def test_the_readme_begins_with_the_two_commands() -> None:
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 2
    assert "cookiecutter" in blocks[0]
    assert blocks[1].strip() == TEST_COMMAND


def test_ci_calls_the_test_command_of_the_readme() -> None:
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == TEST_COMMAND
    assert TEST_COMMAND in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (document.parent / target).exists(), target
