"""The job that says how far a project is behind its template."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.commands import commit_all, run
from tools.options import DECLARED
from tools.runner import Pipe, Pipeline
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.template import FOLDER, edit, tagged_copy

VERSION = DECLARED["_component_version"]
BEHIND = "Run 'cruft update' on your machine and push the result as a branch; until then the job warns."
NEWER = {"0.2.0": "- `lint` has a new rule.", "0.10.0": "- The threshold is lower.", "0.11.0rc1": "- Not yet."}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is made where somebody's code runs."""
    return tmp_path_factory.mktemp("ran") / "ran"


@pytest.fixture(scope="module")
def released(ran: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with releases after the one that is here now, which are hostile, and one that is not ready."""
    template = tagged_copy(tmp_path_factory.mktemp("released") / "py-ci-template")
    for name in ("hooks/post_gen_project.py", "answer_rules.py", "local_extensions.py"):
        edit(template / name, "\nimport ", f"\nopen({str(ran)!r}, 'w').close()\nimport ")
    (template / FOLDER / "environment").symlink_to("/proc/self/environ")
    for version, change in NEWER.items():
        edit(template / "CHANGELOG.md", "## Unreleased", f"## Unreleased\n\n## {version} - 2026-12-01\n\n{change}")
        commit_all(template, f"Release {version}")
        run("git", "tag", version, cwd=template)
    return template


@pytest.fixture(scope="module")
def baked(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project at the old version."""
    folder = tmp_path_factory.mktemp("baked")
    made = (sys.executable, "-m", "cookiecutter", f"git+{released.as_uri()}", "--checkout", VERSION, "--no-input")
    run(*made, "signing=none", "kind=command", cwd=folder)
    commit_all(folder / "my-service")
    return folder / "my-service"


@pytest.fixture
def template(gitlab: GitLab, released: Path) -> Project:
    """The template's project on GitLab."""
    return gitlab.add_project("org/py-ci-template", released)


@pytest.fixture
def here(gitlab: GitLab, template: Project, baked: Path, tmp_path: Path) -> Project:
    """The project on GitLab, which may read its template."""
    run("git", "clone", "--quiet", "--no-hardlinks", baked, tmp_path / "my-service")
    project = gitlab.add_project("your-group/my-service", tmp_path / "my-service")
    relink(tmp_path / "my-service", template=f"{gitlab.url}/{template.path}.git")
    template.allowed.append(project)
    return project


def relink(project: Path, **values: str) -> None:
    """Change what the project knows of its template."""
    file = project / ".cruft.json"
    link = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**link, **values}, indent=2) + "\n", encoding="utf-8")


@pytest.fixture
def nightly(pipe: Pipe, gitlab: GitLab, here: Project) -> Callable[[], Pipeline]:
    """Return a function that runs a schedule of the default branch, of which `drift` alone runs."""

    def night() -> Pipeline:
        assert here.repository
        done: Pipeline = pipe(here.repository, "drift", event="schedule", variables=gitlab.variables(here))
        assert here.token not in done.output
        return done

    return night


def test_says_how_far_behind_the_project_is(nightly: Callable[[], Pipeline]) -> None:
    done = nightly()
    assert done.results == {"drift": "failed, allowed"}, done.output
    log = done.log("drift")
    assert f"The project is 2 releases behind its template: from {VERSION} to 0.10.0." in log
    assert log.index("## 0.10.0 - 2026-12-01") < log.index(NEWER["0.10.0"]) < log.index(NEWER["0.2.0"])
    assert "0.11.0rc1" not in log
    assert "## Unreleased" not in log
    assert "To update: cruft update --checkout 0.10.0" in log
    assert done.last_line("drift") == BEHIND
    assert done.status == 0, "a warning stops nothing"


def test_says_that_the_project_is_up_to_date(nightly: Callable[[], Pipeline], here: Project, released: Path) -> None:
    assert here.repository
    relink(here.repository, commit=run("git", "rev-parse", "0.10.0", cwd=released).strip())
    done = nightly()
    assert done.results == {"drift": "passed"}, done.output
    assert "The project is up to date with its template: 0.10.0." in done.log("drift")


def test_runs_nothing_of_the_template_and_nothing_of_the_project(
    nightly: Callable[[], Pipeline], here: Project, ran: Path
) -> None:
    """Hooks and filters of the template are code, and so are modules here that are named as those of Python."""
    assert here.repository
    for module in ("base64", "json", "re", "sitecustomize"):
        (here.repository / f"{module}.py").write_text(f"open({str(ran)!r}, 'w').close()\n", encoding="utf-8")
    done = nightly()
    assert done.results == {"drift": "failed, allowed"}, done.output
    assert "2 releases behind" in done.log("drift")
    assert not ran.exists()


def test_what_an_earlier_job_left_in_the_folder_is_not_in_the_way(
    nightly: Callable[[], Pipeline], here: Project
) -> None:
    assert here.repository
    (here.repository / ".drift" / "template").mkdir(parents=True)
    (here.repository / ".drift" / "template" / "left").touch()
    done = nightly()
    assert done.results == {"drift": "failed, allowed"}, done.output
    assert "2 releases behind" in done.log("drift")
    assert not done.report("drift", ".drift").exists()


def refuse_project(here: Project, template: Project) -> str:
    """The template is private."""
    template.allowed.clear()
    return "whether its project allows the job token of this one."


def move_template(here: Project, template: Project) -> str:
    """It has another history."""
    assert here.repository
    relink(here.repository, commit="0" * 40)
    return "See whether .cruft.json has the address and a commit of the template"


def spoil_link(here: Project, template: Project) -> str:
    """Somebody has edited it."""
    assert here.repository
    (here.repository / ".cruft.json").write_text("{", encoding="utf-8")
    return "See whether .cruft.json has the address and a commit of the template"


def lose_link(here: Project, template: Project) -> str:
    """The project was not made by it."""
    assert here.repository
    (here.repository / ".cruft.json").unlink()
    return "makes .cruft.json; commit it."


@pytest.mark.parametrize("spoil", [refuse_project, move_template, spoil_link, lose_link])
def test_says_what_to_do_where_it_cannot_tell(
    spoil: Callable[[Project, Project], str], nightly: Callable[[], Pipeline], here: Project, template: Project
) -> None:
    remedy = spoil(here, template)
    done = nightly()
    assert done.results == {"drift": "failed"}, done.output
    assert remedy in done.last_line("drift")
    assert "Traceback" not in done.output
