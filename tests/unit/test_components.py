"""The components, as GitLab offers them to any project."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from project import pipeline
from scripts.__main__ import brought_up_to_date
from tools.adopt.__main__ import FOLDER
from tools.components import FOREIGN, component, component_names, inputs_of, jobs_of, load, reached
from tools.expander import Expander
from tools.gitlab_ci_local import EVENTS
from tools.options import DECLARED, DEFAULTS, ROOT
from tools.schema import check

GLOBAL_KEYWORDS = {"cache", "default", "image", "include", "services", "stages", "variables", "workflow"}


@pytest.fixture(params=component_names())
def name(request: pytest.FixtureRequest) -> str:
    """Each component in turn."""
    return str(request.param)


def parts(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a component's inputs and its jobs."""
    return inputs_of(name), jobs_of(name)


def test_its_header_is_valid_by_gitlabs_schema(name: str, tmp_path: Path) -> None:
    header, _ = component(name).split("\n---\n")
    (tmp_path / "header.yml").write_text(header, encoding="utf-8")
    check(tmp_path / "header.yml")


def test_is_one_job_of_its_name_and_sets_nothing_for_others(name: str) -> None:
    _, jobs = parts(name)
    variants = [job for job in jobs if job.startswith(f".{name}-")]
    assert jobs.keys() - set(variants) == {name}
    assert not jobs.keys() & GLOBAL_KEYWORDS
    # What runs when, and what comes from where and goes where, is the same in all of them.
    allowed = {"before_script", "environment", "id_tokens", "variables"} if name != "test" else {"parallel"}
    assert {key for variant in variants for key in jobs[variant]} <= allowed


@pytest.fixture(scope="module")
def together() -> str:
    """A pipeline that includes all components, without an input."""
    stages = list(dict.fromkeys(job.stage for job in pipeline({**DECLARED, **DEFAULTS})))
    included = [{"local": f".gitlab/ci/{each}.yml"} for each in component_names()]
    # As docs/existing.md says.
    workflow = {"rules": [{"if": "$CI_PIPELINE_SOURCE"}]}
    return yaml.safe_dump({"stages": stages, "workflow": workflow, "include": included})


def test_all_together_are_valid_without_an_input(together: str, expander: Expander) -> None:
    expander.validate(together)
    assert "$[[" not in expander.preview(together).read_text(encoding="utf-8")


@pytest.mark.parametrize("event", EVENTS)
def test_a_job_runs_only_where_those_run_that_it_needs(event: str, together: str, expander: Expander) -> None:
    """GitLab refuses the whole pipeline otherwise."""
    jobs = load(expander.preview(together))
    running = {name.partition(": [")[0] for name in expander.jobs(together, event)}
    for name in running:
        for need in jobs[name].get("needs") or []:
            if need.get("optional"):
                continue
            assert need["job"] in running, name
            # The answer holds for any change; where it depends on that, it has to be the same for both.
            rules = jobs[need["job"]].get("rules", [])
            if event == "merge request" and any("changes" in rule for rule in rules):
                assert jobs[name]["rules"][-len(rules) :] == rules, name


def test_every_input_is_described_and_used(name: str) -> None:
    inputs, _ = parts(name)
    _, jobs = component(name).split("\n---\n")
    for input_name, spec in inputs.items():
        assert spec["description"].endswith("."), input_name
        assert f"inputs.{input_name} " in jobs, input_name


def test_a_text_that_could_hurt_is_refused(name: str) -> None:
    inputs, _ = parts(name)
    for input_name, spec in inputs.items():
        if spec.get("type", "string") == "string" and "options" not in spec:
            assert re.search(spec["regex"], spec["default"]), input_name
            assert not re.search(spec["regex"], "x\ny: [1]"), input_name


def test_inputs_reach_a_script_only_through_variables(name: str) -> None:
    _, jobs = parts(name)
    for job in jobs.values():
        for script in (job.get("before_script"), job.get("script")):
            # A whole list of commands is the caller's own script, or a part of ours; a value inside a command is not.
            commands = script if isinstance(script, list) else [script]
            assert all(command == f"$[[ inputs.{name}_commands ]]" or "$[[" not in str(command) for command in commands)


def test_functional_tests_are_found_by_the_name_of_a_component() -> None:
    names = {name.replace("-", "_") for name in component_names()}
    files = (ROOT / "tests" / "functional" / "components").glob("*.py")
    assert {file.stem.removeprefix("test_") for file in files} <= names


def test_what_a_fork_sets_for_all_components_is_an_input() -> None:
    known = {input_name for name in component_names() for input_name in parts(name)[0]}
    assert set(DECLARED["_component_inputs"]) <= known


def test_has_its_programs_as_they_are(name: str) -> None:
    assert component(name) == brought_up_to_date(component(name)), "run: python -m scripts"


def test_jobs_say_why_they_are_there(name: str) -> None:
    _, jobs = component(name).split("\n---\n")
    assert jobs.startswith("# ")


def test_components_agree_on_the_defaults_of_common_inputs() -> None:
    for input_name in ("python_container_image", "python_version"):
        specs = [inputs[input_name] for inputs, _ in map(parts, component_names()) if input_name in inputs]
        assert len(specs) > 1
        assert all(spec["default"] == specs[0]["default"] for spec in specs)
    inputs, _ = parts("lint")
    assert inputs["python_version"]["default"] in DECLARED["_python_versions"]


def pins(text: str) -> dict[str, str]:
    """Return the versions that a text pins, by the name of the distribution."""
    found = set(re.findall(r"\b([a-z][a-z-]*)==([0-9][\w.]*)", text))
    assert len(dict(found)) == len(found), "a tool has two versions"
    return dict(found)


# They sign, verify, publish, or hand on what these jobs take.
TRUSTED = {"preflight-keyless", "digests", "digests-image", "cosign", "sign", "sign-image", "attest-pypi", "verify"}
TRUSTED |= {"verify-image", "publish-signatures", "publish-gitlab", "publish-pypi", "publish-image", "verify-published"}
TRUSTED |= {"pages", "release", "sbom-image"}
# The variants that some extend set none of what is looked at here.
EVERY_JOB = {name: parts(name)[1][name] for name in component_names()}


def test_no_variable_of_foreign_code_reaches_a_job_that_runs_none(together: str, expander: Expander) -> None:
    """Neither where all components are together, nor where one has those alone that it names."""
    assert EVERY_JOB.keys() == FOREIGN | TRUSTED | {"audit", "drift", "preflight"}
    # What is in an image comes from the same build.
    assert reached(load(expander.preview(together))) == {"build-image"}


def test_jobs_that_are_given_files_begin_in_an_empty_folder() -> None:
    """The release has the changelog of the repository, and cosign its public key: they take a clone of their own."""
    strategies = {name: job.get("variables", {}).get("GIT_STRATEGY") for name, job in EVERY_JOB.items()}
    cloned = {"cosign", "release"}
    extending = {name for name in TRUSTED if EVERY_JOB[name].get("extends") in TRUSTED}
    assert {name: strategies[name] for name in TRUSTED - extending} == {
        name: "clone" if name in cloned else "empty" for name in TRUSTED - extending
    }
    assert {EVERY_JOB[name]["extends"] for name in extending} == {"sign", "verify"}
    assert "none" not in strategies.values()


# Whatever installs something, or runs something that it fetches.
INSTALLS = re.compile(
    r"^.*\b(?:pip3? (?:install|download|wheel)|uv (?:run|sync|tool)|uvx|pipx|ensurepip|npm|npx|apt|apt-get|apk|dnf|yum"
    r"|cargo|gem|go (?:get|install|run)|curl|wget)\b.*$",
    re.MULTILINE,
)
BY_HASH = re.compile(r"pip install .*--no-deps .*--require-hashes --only-binary :all: .*<<'LOCK'$")
REQUIREMENT = re.compile(r"[\w.-]+==[\w.]+(?: ; .+)?(?: \\\n +--hash=sha256:[0-9a-f]{64})+\n")
# What the project says, its wheel, and in the last step of verify-published the wheel that was verified.
OF_THE_PROJECT = re.compile(
    r'uv sync --locked |uv pip install (?:--python \.venv (?:--no-deps )?)?(?:--group "\$|"\$1"$|dist/\*\.whl$)'
    r"|uv pip install --no-deps \.venv/wheels/\*\.whl$"
)


def test_what_jobs_bring_is_locked_by_hashes_and_all_else_the_project_chooses(name: str) -> None:
    _, jobs = parts(name)
    scripts = [job.get(key, []) for job in jobs.values() for key in ("before_script", "script")]
    text = "\n".join(line for script in scripts for line in script if isinstance(line, str))
    for line in INSTALLS.findall(text):
        if BY_HASH.search(line):
            continue
        assert OF_THE_PROJECT.search(line), line
        assert "==" not in line
        assert name in FOREIGN or (name, line) == ("verify-published", "uv pip install --python .venv dist/*.whl")
    locks = re.findall(r"<<'LOCK'\n# >>> \S+\n(.*?)# <<< \S+\nLOCK$", text, re.MULTILINE | re.DOTALL)
    assert len(locks) == text.count("<<'LOCK'")
    for lock in locks:
        assert re.fullmatch(f"(?:{REQUIREMENT.pattern})+", lock), lock


def test_uv_reads_neither_settings_nor_a_cache_where_no_foreign_code_has_a_business() -> None:
    """uv does not compare what is in its cache with a hash."""
    with_uv = [name for name in EVERY_JOB if "# >>> scripts/uv.sh" in component(name)]
    quiet = [name for name in with_uv if EVERY_JOB[name]["variables"].get("GIT_STRATEGY") == "empty"]
    assert set(with_uv) & TRUSTED <= set(quiet)
    for name in quiet:
        assert EVERY_JOB[name]["variables"]["UV_NO_CONFIG"] == EVERY_JOB[name]["variables"]["UV_NO_CACHE"] == "1", name


# Variables by which other programs are told what to do.
OF_TOOLS = re.compile(r"UV_\w+|GIT_STRATEGY|COVERAGE_FILE|SYFT_\w+|BUILDAH_ISOLATION|PYTHONSAFEPATH")


def test_variables_of_jobs_are_none_that_a_group_has_for_something_else(name: str) -> None:
    _, jobs = parts(name)
    for job in jobs.values():
        matrix = [key for row in (job.get("parallel") or {}).get("matrix", []) for key in row]
        for variable in [*job.get("variables", {}), *matrix]:
            assert variable.startswith("PY_CI_") or OF_TOOLS.fullmatch(variable), variable


def test_every_python_that_a_component_starts_is_isolated(name: str) -> None:
    _, jobs = parts(name)
    text = re.sub(r"# >>> (\S+)\n.*?# <<< \1", "", str(jobs), flags=re.DOTALL)
    started = re.findall(r"(?:(?<=[\s({&|])|\.venv/bin/)python3? (-\S+)", text.replace("\\n", "\n"))
    assert set(started) <= {"-I"}, started


def test_a_text_input_is_a_text_whatever_is_in_it(name: str) -> None:
    """Without quotes around it, YAML would read `null` or `1.10` as something else."""
    inputs, _ = parts(name)
    texts = {key for key, spec in inputs.items() if spec.get("type", "string") == "string"}
    _, jobs = component(name).split("\n---\n")
    for key in texts:
        assert f"$[[ inputs.{key} ]]" not in re.sub(r'"[^"\n]*"', "", jobs), key


def test_a_tool_has_one_version() -> None:
    ours = pins(" ".join(map(component, component_names())))
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    for tool, version in pins(" ".join(groups["tests"])).items():
        assert ours.get(tool, version) == version, tool


def test_the_provenance_names_the_version_of_the_components() -> None:
    _, jobs = parts("cosign")
    assert jobs["cosign"]["variables"]["PY_CI_TEMPLATE_VERSION"] == DECLARED["_component_version"]


@pytest.mark.parametrize("folder", [".", "packages/api", "a.b/c-d/_e", "packages/api.v2"])
def test_a_package_can_be_in_a_folder(folder: str) -> None:
    assert FOLDER.fullmatch(folder)
    assert all(re.fullmatch(pattern, folder) for pattern in of_directories())


@pytest.mark.parametrize(
    "folder",
    ["", "..", "../x", "a/../b", "a/..", "./a", "a//b", "a/", "/etc", "a b", "-x", ".git", "a/.b", "a$(id)", "a\nb"],
)
def test_a_package_is_nowhere_else(folder: str) -> None:
    assert not FOLDER.fullmatch(folder)
    assert not any(re.fullmatch(pattern, folder) for pattern in of_directories())


def of_directories() -> set[str]:
    """Return the expressions that GitLab compares the input `directory` with."""
    declared = [inputs_of(name).get("directory") for name in component_names()]
    return {str(spec["regex"]) for spec in declared if spec}
