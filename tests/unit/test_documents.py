"""The documents say what the template does today."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from project import OWNED, pipeline
from tools.commands import run
from tools.components import component, component_names, inputs_of, jobs_of, load
from tools.documents import anchors, block, column, linked, names, page, rows, tables
from tools.expander import Expander
from tools.options import DECLARED, DEFAULTS, IDENTITY, ROOT, SWITCHES
from tools.reference import COMMAND, GENERATED, brought_up_to_date
from tools.template import render

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEST_COMMAND = "python3 -m venv .venv && .venv/bin/pip install --quiet tox-uv && .venv/bin/tox"

# Each component's job, and the variants that it may extend.
CONTENTS = {name: jobs_of(name) for name in component_names()}

# The pipeline of the template itself.
OWN = load(ROOT / ".gitlab-ci.yml")

# What has a name in the components, in the template, or in what makes and runs it.
FILES = [
    name
    for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    if name.startswith(("templates/", "tools/", "hooks/", "{{")) or "/" not in name
    if not name.endswith(".md") and (ROOT / name).is_file()
]
SOURCES = "\n".join([*FILES, *map(page, FILES)])
WORDS = {*re.findall(r"[\w-]+", SOURCES), *re.findall(r"\w+", SOURCES)}
# Names in the documents that others gave.
ELSEWHERE = {
    "AST_ENABLE_MR_PIPELINES": "GitLab's own scanners",
    "BUILDAH_FORMAT": "Buildah",
    "CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX": "GitLab, beside the address of its dependency proxy",
    "CLONE_NEWUSER": "Linux",
    "KUBERNETES_CPU_REQUEST": "GitLab Runner",
    "KUBERNETES_MEMORY_REQUEST": "GitLab Runner",
    "NPM_CONFIG_REGISTRY": "npm",
    "PYTEST_ADDOPTS": "pytest",
    "RENOVATE_ALLOWED_COMMANDS": "Renovate",
    "RENOVATE_GITHUB_COM_TOKEN": "Renovate",
    "RENOVATE_TOKEN": "Renovate",
    "after_script": "GitLab",
    "forbidden-word": "the example of a component",
    "pre_gen_project": "Cookiecutter",
    "qemu-user-static": "Debian",
    "read_api": "GitLab",
    "tamper": "the workshop's attacker",
    "workshop-service": "the workshop's project",
    "write_repository": "GitLab",
}


def test_the_cosign_of_the_documents_is_the_pinned_one() -> None:
    version = CONTENTS["cosign"]["cosign"]["variables"]["PY_CI_COSIGN_VERSION"]
    assert f"cosign@{version}`" in page("docs/workshop.md")
    assert f"the released {version.removeprefix('v')}." in page("docs/signing.md")


def test_every_option_is_documented_with_its_values() -> None:
    documented = rows(page("docs/options.md"), "option")
    assert list(documented) == [name for name in DECLARED if not name.startswith("_")]
    for name, values in SWITCHES.items():
        words = [{True: "yes", False: "no"}.get(value, f"`{value}`") for value in values]
        assert documented[name][0] == ", ".join(words), name
    assert documented["license"][1] == ", ".join(f"`{value}`" for value in IDENTITY["license"])
    oldest, newest = DECLARED["_python_versions"][0], DECLARED["_python_versions"][-1]
    assert documented["python_version"][0] == oldest
    assert f"from {oldest} to {newest}" in documented["python_version"][1]


def test_every_setting_of_a_fork_is_documented() -> None:
    documented = rows(page("docs/options.md"), "setting")
    of_the_engine = {"_copy_without_render", "_extensions", "_jinja2_env_vars"}
    settings = {name for name in DECLARED if re.match(r"_[a-z]", name)}
    assert documented.keys() == settings - of_the_engine


@pytest.mark.parametrize("document", GENERATED, ids=lambda path: path.name)
def test_what_follows_from_the_components_is_up_to_date(document: Path) -> None:
    current = brought_up_to_date(document) == document.read_text(encoding="utf-8")
    assert current, f"{document.name} is not what the components are now: run `{COMMAND}`"


@pytest.mark.parametrize("name", component_names())
def test_the_reference_shows_every_input_as_it_is_declared(name: str) -> None:
    """In the section of the component, or in a table of inputs that several components have."""
    reference = page("docs/reference.md")
    _, _, text = reference.partition(f"\n## `{name}`\n")
    own = text.partition("\n## ")[0].partition("\n<!--")[0]
    shown = [(key, *cells) for key, cells in rows(own, "input").items()]
    for head, *several in tables(reference):
        if head[-1] == "components":
            for *cells, names in several:
                if name in names.split(", "):
                    shown.append((cells[0].strip("`"), *cells[1:]))
    (accepted,) = re.findall(r"has the input `stage`, which accepts (`.+`)\.", reference)
    for number, (first, *cells) in enumerate(shown):
        if first == inputs_of(name)["stage"]["default"] and len(cells) == 1:
            shown[number] = ("stage", f"`{first}`", accepted, cells[0])
    assert sorted(key for key, *_ in shown) == sorted(inputs_of(name))
    several_have = re.findall(r"^\[Shared inputs\].+: (.+)\.$", own, re.MULTILINE)
    assert {key for part in several_have for key in re.findall(r"`(\w+)`", part)} == (
        inputs_of(name).keys() - rows(own, "input").keys() - {"stage"}
    )
    for key, default, accepted, description in shown:
        spec = inputs_of(name)[key]
        assert description == spec["description"]
        value = spec["default"] if isinstance(spec["default"], str) else json.dumps(spec["default"])
        assert default == (f"`{value}`" if value else "nothing")
        kinds = {"array": "a list", "boolean": "`true`, `false`"}
        expected = ", ".join(f"`{option}`" for option in spec.get("options", ())) or f"`{spec.get('regex')}`"
        assert accepted == kinds.get(spec.get("type", "string"), expected)


def test_the_graph_is_the_pipeline_that_runs(expander: Expander) -> None:
    written = render(".gitlab-ci.yml", {**DEFAULTS, "pipeline": "components"})
    pipeline = load(expander.preview(written))
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    drawn = block(page("docs/pipeline.md"), "## The graph", "mermaid")
    nodes = dict(re.findall(r"^    (\w+)\(?\[([\w-]+)\]\)?$", drawn, re.MULTILINE))
    stages = {
        stage: [nodes[node] for node in re.findall(r"^    (\w+)", inside, re.MULTILINE)]
        for stage, inside in re.findall(r'subgraph \w+ \["(.+)"\]\n((?:    .+\n)*)', drawn)
    }
    assert list(stages) == [stage for stage in pipeline["stages"] if stage != ".post"]
    assert {name: stage for stage, inside in stages.items() for name in inside} == {
        name: job["stage"] for name, job in jobs.items()
    }

    def edges(arrow: str) -> set[tuple[str, str]]:
        found = re.findall(rf"^  (\w+) {re.escape(arrow)} (\w+)$", drawn, re.MULTILINE)
        return {(nodes.get(start, start), nodes.get(end, end)) for start, end in found}

    assert edges("-->") == {(need["job"], name) for name, job in jobs.items() for need in job.get("needs") or []}
    assert edges("-.->") == {(other, name) for name, job in jobs.items() for other in job.get("dependencies") or []}
    order = list(stages)
    waiting = {job["stage"] for job in jobs.values() if job.get("needs") is None} - {".pre"}
    node = {stage: re.sub(r"\W", "_", f"stage_{stage}") for stage in order}
    assert edges("==>") == {(node[order[order.index(stage) - 1]], node[stage]) for stage in waiting}

    always = {job.partition(":")[0] for job in expander.jobs(written, "merge request")}
    assert {nodes[node] for node in re.findall(r"(\w+)\(\[", drawn)} == jobs.keys() - always


def test_every_job_is_described_with_a_link_to_its_inputs() -> None:
    _, _, text = page("docs/pipeline.md").partition("\n## The jobs\n")
    described = rows(text, "job")
    jobs = [found[1] for cell in described if (found := re.fullmatch(r"\[`(.+)`\]\(reference\.md#\1\)", cell))]
    assert len(jobs) == len(described)
    assert {job.component for job in pipeline({**DECLARED, **DEFAULTS})} <= set(jobs) <= CONTENTS.keys()
    assert all(words for (words,) in described.values())


def test_every_variable_that_jobs_get_from_outside_is_documented() -> None:
    """It is one that a script reads, and neither GitLab, another job nor the job itself sets."""
    documented = rows(page("docs/components.md"), "variable")
    every = "".join(map(component, CONTENTS))
    handed_on = {*re.findall(r'echo "([A-Z][A-Z0-9_]*)=', every), "PWD"}
    handed_on |= {
        f"PY_CI_{name}_DIGEST"
        for name in ("COSIGN", "PROVENANCE", "PUBLIC_KEY", "SHA256SUMS", "SBOM", "IMAGE", "IMAGE_SBOM")
    }
    for name, content in CONTENTS.items():
        script = "\n".join(
            str(line) for job in content.values() for line in (*job.get("before_script", ()), *job.get("script", ()))
        )
        read = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]*)", script))
        read |= set(re.findall(r'environ(?:\.get\(|\[)"([A-Z][A-Z0-9_]*)"', script))
        own = set(re.findall(r"\b([A-Z][A-Z0-9_]*)=", script))
        # A job that extends another has its variables.
        for each in (*content.values(), *CONTENTS.get(content[name].get("extends"), {}).values()):
            own |= {*each.get("variables", {}), *each.get("id_tokens", {}), *str(each.get("parallel", "")).split("'")}
        outside = {word for word in read - own - handed_on if not word.startswith(("CI_", "GITLAB_"))}
        assert outside <= documented.keys(), name
    assert {"PIP_INDEX_URL", "SIGSTORE_TRUSTED_ROOT", "COSIGN_PRIVATE_KEY"} <= documented.keys()


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


def test_the_readme_shows_lines_of_the_pipeline_that_a_project_gets() -> None:
    written = iter(render(".gitlab-ci.yml", {**DEFAULTS, "pipeline": "components"}).splitlines())
    shown = [line for line in block(page("README.md"), "## What you get", "yaml").splitlines() if line != "  # ..."]
    assert len(shown) > 5
    assert all(line in written for line in shown), "in this order"


def test_ci_calls_the_test_command_of_the_readme() -> None:
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == TEST_COMMAND
    assert TEST_COMMAND in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_readme_links_to_every_document() -> None:
    assert {str(path.relative_to(ROOT)) for path in DOCUMENTS} - {"README.md"} <= set(linked(ROOT / "README.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    for link in linked(document):
        name, _, anchor = link.partition("#")
        if name.startswith("https:"):
            continue
        target = document.parent / name if name else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_names_in_the_documents_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for name in names(text):
        if re.fullmatch(r"[a-z0-9]+([_-][a-z0-9]+)+", name):
            assert name in WORDS or name in ELSEWHERE, name
        for variable in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", name):
            assert variable in WORDS or variable in ELSEWHERE, variable
        option, _, value = name.partition(": ")
        if option in SWITCHES and value:
            assert value in [{True: "yes", False: "no"}.get(each, each) for each in SWITCHES[option]], name


KINDS: dict[str, set[str]] = {
    "component": set(CONTENTS),
    "input": {key for name in CONTENTS for key in inputs_of(name)},
    "job": {*CONTENTS, *(name for name, job in OWN.items() if isinstance(job, dict) and "script" in job)},
    "option": {name for name in DECLARED if not name.startswith("_")},
    "stage": {inputs_of(name)["stage"]["default"] for name in CONTENTS},
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_called_a_job_or_an_input_is_one(kind: str, document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    listed = re.findall(rf"\b{kind}s? ((?:`[\w-]+`(?:, (?:and )?|\s(?:and|or)\s)?)+)", " ".join(text.split()))
    cells = column(text, kind) + (column(text, "stopped by") if kind == "job" else [])
    named = [name for part in [*listed, *cells] for name in re.findall(r"`([\w-]+)`", part)]
    assert set(named) <= KINDS[kind] | ELSEWHERE.keys()


def test_the_lines_of_preflight_that_the_documents_name_are_there() -> None:
    (lines,) = re.findall(r" rows: .+? = \[\n(.*?)\n +\]\n", component("preflight"), re.DOTALL)
    checks = set(re.findall(r'^ +\("(\w+)"', lines, re.MULTILINE))
    named = re.findall(r"line `(\w+)` of\s+`preflight`", "".join(path.read_text("utf-8") for path in DOCUMENTS))
    assert len(checks) == 12
    assert set(named) <= checks
    assert named


def test_documents_that_messages_name_exist() -> None:
    of_projects = {path for owned in OWNED.values() for path in owned.paths}
    named = {*re.findall(r"(?<![\w/])docs/[\w-]+\.md", SOURCES)} - of_projects
    assert named
    assert all((ROOT / name).exists() for name in named)
