"""A project that people have changed takes a later version of the template."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.commands import commit_all, copy_working_tree, run
from tools.options import DECLARED, DEFAULTS, ROOT
from tools.requirements import MissingRequirementError
from tools.samples.baked import BakedProject
from tools.template import FOLDER, edit, tagged_copy

VERSION = DECLARED["_component_version"]
CRUFT = (sys.executable, "-m", "cruft")
CITATION = '    ("citation", True): Owned(paths=("CITE",)),\n'
# The last version whose .gitlab-ci.yml had every job written out.
WRITTEN_OUT = "e198269a72593ae8f4ad073014a99219921f2b56"
HOSTILE = {
    "author_name": 'Robert "Bob" O\'Connor',
    "project_description": "100% C:\\new {x} }} %} #} `$HOME` é",
    "signing": "key",
}


@pytest.fixture(scope="module")
def old_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the template with a version behind it: what is here now, and one more option."""
    template = tagged_copy(tmp_path_factory.mktemp("old") / "py-ci-template")
    declared = template / "cookiecutter.json"
    edit(declared, '"pre_commit": true,', '"pre_commit": true,\n  "citation": true,')
    edit(declared, '"pre_commit": "Add', '"citation": "Say how to cite it",\n    "pre_commit": "Add')
    edit(template / "project.py", "OWNED = {", f"OWNED = {{\n{CITATION}")
    (template / FOLDER / "CITE").write_text("{{ cookiecutter.author_name }}\n", encoding="utf-8")
    commit_all(template, "Ask for a citation")
    run("git", "tag", "--force", VERSION, cwd=template)
    return template


def change_template(template: Path) -> None:
    """Release a version in which a job, a filter and the options are others, and a file has another name."""
    edit(template / "templates" / "lint.yml", "  timeout: ", "  timeout: 1h 7m # ")
    # A new option, in words of the person, through a filter that the old template does not have.
    declared = template / "cookiecutter.json"
    edit(declared, '"pre_commit": true,', '"pre_commit": true,\n  "security": true,')
    edit(declared, '"pre_commit": "Add', '"security": "Add a security policy",\n    "pre_commit": "Add')
    (template / FOLDER / "SECURITY.md").write_text("{{ 'By ' ~ cookiecutter.author_name | shout }}\n", encoding="utf-8")
    with (template / "local_extensions.py").open("a", encoding="utf-8") as filters:
        filters.write("\n\nFILTERS['shout'] = str.upper\n")
    # An option is gone, and what it owned.
    edit(declared, '  "citation": true,\n', "")
    edit(declared, '    "citation": "Say how to cite it",\n', "")
    edit(template / "project.py", CITATION, "")
    (template / FOLDER / "CITE").unlink()
    run("git", "mv", f"{FOLDER}/CONTRIBUTING.md", f"{FOLDER}/HACKING.md", cwd=template)
    edit(template / FOLDER / "HACKING.md", "# Contributing", "# Hacking")
    edit(declared, f'"_component_version": "{VERSION}"', '"_component_version": "0.2.0"')
    commit_all(template, "Release 0.2.0")
    run("git", "tag", "0.2.0", cwd=template)


def change_project(project: BakedProject) -> None:
    """Work on a project as people do, in the files that came from the template too."""
    path = project.path
    source, tests = path / "src" / "my_service", path / "tests"
    (source / "farewell.py").write_text(
        '"""Says goodbye."""\n\n\n'
        'def farewell(name: str) -> str:\n    """Return a goodbye."""\n    return f"Bye, {name}!"\n',
        encoding="utf-8",
    )
    (tests / "test_farewell.py").write_text(
        "from my_service.farewell import farewell\n\n\n"
        'def test_says_goodbye() -> None:\n    assert farewell("Ada") == "Bye, Ada!"\n',
        encoding="utf-8",
    )
    edit(path / "pyproject.toml", "dependencies = []", 'dependencies = ["certifi"]')
    edit(path / "pyproject.toml", "line-length = 100", "line-length = 90")
    edit(path / "CONTRIBUTING.md", "## Set up\n", "## Whom to ask\n\nThe team.\n\n## Set up\n")
    edit(path / "CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- Says goodbye.\n")
    (path / "README.md").write_text("# Mine now\n", encoding="utf-8")
    (path / ".editorconfig").unlink()
    with (path / ".gitlab-ci.yml").open("a", encoding="utf-8") as pipeline:
        pipeline.write("\nnightly:\n  stage: test\n  script: [echo nightly]\n")


def by_cookiecutter(template: Path, folder: Path, answers: dict[str, str]) -> None:
    """Make a project at the old version with plain Cookiecutter."""
    given = [f"{name}={value}" for name, value in answers.items()]
    address = f"git+{template.as_uri()}"
    made = (sys.executable, "-m", "cookiecutter", address, "--checkout", VERSION, "--no-input", "--output-dir", folder)
    # Not in the folder of the template, whose filters Python would find first.
    run(*made, *given, cwd=folder)


def by_cruft(template: Path, folder: Path, answers: dict[str, str]) -> None:
    """Make a project at the old version with cruft."""
    given = ("--no-input", "--checkout", VERSION, "--extra-context", json.dumps(answers))
    run(*CRUFT, "create", template.as_uri(), "--output-dir", folder, *given, cwd=folder)


@pytest.fixture
def template(old_template: Path, tmp_path: Path) -> Path:
    """The template, to be changed."""
    run("git", "clone", "--quiet", old_template, tmp_path / "template")
    return tmp_path / "template"


@pytest.mark.parametrize(("make", "flavour"), [(by_cookiecutter, "self-contained"), (by_cruft, "components")])
def test_a_changed_project_takes_a_changed_template(
    make: Callable[[Path, Path, dict[str, str]], None], flavour: str, template: Path, tmp_path: Path
) -> None:
    answers = {**HOSTILE, "pipeline": flavour}
    make(template, tmp_path, answers)
    project = BakedProject(tmp_path / "my-service", DEFAULTS)
    commit_all(project.path)
    project.run(*CRUFT, "check")
    assert (project.path / "CITE").exists()
    change_project(project)
    commit_all(project.path, "Work")
    change_template(template)

    printed = project.run(*CRUFT, "update", "--skip-apply-ask", "--checkout", "0.2.0")
    assert "Next:" not in printed
    updated = BakedProject(project.path, DEFAULTS)
    status = updated.run("git", "status", "--porcelain").splitlines()
    assert {line[3:] for line in status} == {
        ".cruft.json",
        ".gitlab/ci/lint.yml" if flavour == "self-contained" else ".gitlab-ci.yml",
        "CITE",
        "CONTRIBUTING.md -> HACKING.md",
        "SECURITY.md",
    }
    assert not any("<<<<<<<" in updated.read(name) for name in updated.files)
    assert not [name for name in updated.files if name.endswith(".rej")]

    # What the template changed is here, and what people changed has stayed.
    assert updated.read("SECURITY.md") == 'By ROBERT "BOB" O\'CONNOR\n'
    assert updated.read("HACKING.md").startswith("# Hacking\n")
    assert "## Whom to ask" in updated.read("HACKING.md")
    if flavour == "self-contained":
        assert "1h 7m" in updated.read(".gitlab/ci/lint.yml")
    else:
        assert "/lint@0.2.0" in updated.read(".gitlab-ci.yml")
    assert updated.read(".gitlab-ci.yml").endswith("script: [echo nightly]\n")
    assert updated.read("README.md") == "# Mine now\n"
    assert not {"CITE", "CONTRIBUTING.md", ".editorconfig"} & updated.files

    link = json.loads(updated.read(".cruft.json"))
    assert link["checkout"] == "0.2.0"
    kept = link["context"]["cookiecutter"]
    assert {name: kept[name] for name in answers} == answers
    assert kept["security"] is True
    assert "citation" not in kept

    commit_all(project.path, "Update the template")
    assert "Nothing to do" in project.run(*CRUFT, "update", "--skip-apply-ask", "--checkout", "0.2.0")
    updated.run("uv", "venv", "--quiet")
    updated.run("uv", "pip", "install", "--quiet", "--python", ".venv", "--editable", ".", "--group", "test")
    assert "passed" in updated.run(".venv/bin/python", "-m", "pytest", "tests")


@pytest.fixture
def grown_up(tmp_path: Path) -> Path:
    """The template as it was when it wrote every job out, and as it is now, as the versions 0.1.0 and 0.2.0."""
    folder = tmp_path / "template"
    folder.mkdir()
    archive = tmp_path / "old.tar"
    try:
        run("git", "archive", "--output", archive, WRITTEN_OUT)
    except AssertionError as unknown:
        raise MissingRequirementError(f"the history is missing, clone all of it: {unknown}") from None
    run("tar", "-xf", archive, cwd=folder)
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    commit_all(folder)
    run("git", "tag", VERSION, cwd=folder)
    run("git", "rm", "-r", "--quiet", ".", cwd=folder)
    folder.mkdir(exist_ok=True)
    copy_working_tree(ROOT, folder)
    commit_all(folder, "Include the jobs")
    run("git", "tag", "0.2.0", cwd=folder)
    return folder


@pytest.mark.parametrize("answers", [{}, {"signing": "key", "kind": "command"}, {"pipeline": "components"}], ids=str)
def test_jobs_that_were_written_out_become_files(answers: dict[str, str], grown_up: Path, tmp_path: Path) -> None:
    # The older version asked for an image in place of the kind.
    kind = answers.get("kind", "service")
    answers = {**answers, "project_description": "Any."}
    by_cookiecutter(grown_up, tmp_path, {**answers, "docker": "yes" if kind == "service" else "no"})
    project = BakedProject(tmp_path / "my-service", DEFAULTS)
    # As the changelog says.
    link = json.loads(project.read(".cruft.json"))
    link["context"]["cookiecutter"]["kind"] = kind
    (project.path / ".cruft.json").write_text(json.dumps(link), encoding="utf-8")
    commit_all(project.path)
    included = answers.get("pipeline") == "components"
    assert ("include:" in project.read(".gitlab-ci.yml")) == included
    with (project.path / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write('\n[tool.ours]\nkey = "value"\n')
    commit_all(project.path, "Work")
    project.run(*CRUFT, "update", "--skip-apply-ask", "--checkout", "0.2.0")
    assert "[tool.ours]" in project.read("pyproject.toml")

    # As a new project has it.
    fresh = tmp_path / "fresh"
    given = [f"{name}={value}" for name, value in answers.items()]
    run(sys.executable, "-m", "cookiecutter", grown_up, "--no-input", "--output-dir", fresh, *given, cwd=tmp_path)
    new = BakedProject(fresh / "my-service", DEFAULTS)
    assert {name for name in project.files if name.startswith(".gitlab")} == {
        name for name in new.files if name.startswith(".gitlab")
    }
    for name in new.files - {".cruft.json", "pyproject.toml"}:
        assert (project.path / name).read_bytes() == (new.path / name).read_bytes(), name


def test_a_job_of_ones_own_beside_jobs_that_were_written_out_is_left_to_people(grown_up: Path, tmp_path: Path) -> None:
    by_cookiecutter(grown_up, tmp_path, {})
    project = BakedProject(tmp_path / "my-service", DEFAULTS)
    commit_all(project.path)
    nightly = "\nnightly:\n  stage: test\n  script: [echo nightly]\n"
    with (project.path / ".gitlab-ci.yml").open("a", encoding="utf-8") as pipeline:
        pipeline.write(nightly)
    commit_all(project.path, "Work")
    project.run(*CRUFT, "update", "--skip-apply-ask", "--checkout", "0.2.0")
    assert project.run("git", "diff", "--name-only", "--diff-filter=U").split() == [".gitlab-ci.yml"]
    assert nightly in project.read(".gitlab-ci.yml")
    # As the changelog says.
    project.run("git", "checkout", "--theirs", ".gitlab-ci.yml")
    updated = project.read(".gitlab-ci.yml")
    assert "  - local: .gitlab/ci/lint.yml\n" in updated
    assert "script:" not in updated


def test_a_line_that_both_changed_is_left_to_people(template: Path, tmp_path: Path) -> None:
    by_cookiecutter(template, tmp_path, {})
    project = BakedProject(tmp_path / "my-service", DEFAULTS)
    commit_all(project.path)
    edit(project.path / "pyproject.toml", "fail_under = 90", "fail_under = 95")
    commit_all(project.path, "Work")
    edit(template / FOLDER / "pyproject.toml", "fail_under = 90", "fail_under = 80")
    commit_all(template, "Lower the threshold")
    project.run(*CRUFT, "update", "--skip-apply-ask")
    assert project.run("git", "diff", "--name-only", "--diff-filter=U").split() == ["pyproject.toml"]
    assert "<<<<<<< ours\nfail_under = 95\n=======\nfail_under = 80\n>>>>>>> theirs" in project.read("pyproject.toml")


def test_an_answer_that_a_later_template_refuses_stops_the_update(template: Path, tmp_path: Path) -> None:
    by_cookiecutter(template, tmp_path, {})
    project = BakedProject(tmp_path / "my-service", DEFAULTS)
    commit_all(project.path)
    edit(template / "answer_rules.py", '"project_name": 100', '"project_name": 5')
    commit_all(template, "Ask for short names")
    done = subprocess.run(
        [*CRUFT, "update", "--skip-apply-ask"], cwd=project.path, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    *_, problem, explained = done.stderr.splitlines()
    assert problem == "  - project_name 'My Service' has 10 characters; use at most 5."
    assert explained.endswith("docs/troubleshooting.md#answers")
    assert project.run("git", "status", "--porcelain") == ""
