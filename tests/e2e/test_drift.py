"""The job that says how far a project is behind its template, and opens the update."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.baked import commit_all, run
from tests.e2e.gitlab import GitLab, Project
from tests.e2e.runner import Executor, Pipe, Pipeline, shell_executor
from tests.options import DECLARED
from tests.pipeline import tagged_copy
from tests.test_updates import edit

VERSION = DECLARED["_component_version"]
BEHIND = "Merge the update, or run 'cruft update' on your machine; until then the job warns."
NEWER = {"0.2.0": "- `lint` has a new rule.", "0.10.0": "- The threshold is lower.", "0.11.0rc1": "- Not yet."}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with releases after the one that is here now, and one that is not ready."""
    template = tagged_copy(tmp_path_factory.mktemp("released") / "py-ci-template")
    # What the template's code finds in its environment goes into the project.
    hook = template / "hooks" / "post_gen_project.py"
    edit(
        hook,
        "import sys\n",
        'import sys\n\nwith open("environment", "w") as file:\n    print(*os.environ, file=file)\n',
    )
    for version, change in NEWER.items():
        edit(template / "CHANGELOG.md", "## Unreleased", f"## Unreleased\n\n## {version} - 2026-12-01\n\n{change}")
        edit(template / "templates" / "lint.yml", "# Checks", f"# As of {version}:\n# Checks")
        commit_all(template, f"Release {version}")
        run("git", "tag", version, cwd=template)
    return template


@pytest.fixture(scope="module")
def baked(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project at the old version, and one file that people changed."""
    folder = tmp_path_factory.mktemp("baked")
    made = (sys.executable, "-m", "cookiecutter", f"git+{released.as_uri()}", "--checkout", VERSION, "--no-input")
    run(*made, "signing=none", "docker=no", "author_name=O'Connor", cwd=folder)
    project = folder / "my-service"
    commit_all(project)
    edit(project / "README.md", "# My Service", "# Our service")
    commit_all(project, "Work")
    return project


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


class Nightly:
    """A schedule of the default branch, of which `drift` alone runs."""

    def __init__(self, pipe: Pipe, gitlab: GitLab, here: Project, warm: dict[str, str], pythons: dict[str, Path]):
        self.pipe, self.project = pipe, here
        self.executor: Executor = shell_executor(list(pythons.values()))
        self.variables = {**gitlab.variables(here), **warm}

    def __call__(self, *, token: bool = False) -> Pipeline:
        secret = {"DRIFT_TOKEN": self.project.access_token} if token else {}
        variables = {**self.variables, **secret}
        assert self.project.repository
        done: Pipeline = self.pipe(
            self.project.repository, "drift", event="schedule", executor=self.executor, variables=variables
        )
        for hidden in (self.project.token, self.project.access_token):
            assert hidden not in done.output
        return done


@pytest.fixture
def nightly(pipe: Pipe, gitlab: GitLab, here: Project, warm: dict[str, str], pythons: dict[str, Path]) -> Nightly:
    """A night."""
    return Nightly(pipe, gitlab, here, warm, pythons)


def opened(here: Project) -> list[dict[str, str]]:
    """Return the merge requests of the project."""
    files = sorted((here.folder / "merge_requests").iterdir())
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_says_how_far_behind_the_project_is(nightly: Nightly, here: Project) -> None:
    done = nightly()
    assert done.results == {"drift": "failed, allowed"}, done.output
    log = done.log("drift")
    assert f"The project is 2 releases behind its template: from {VERSION} to 0.10.0." in log
    assert log.index("## 0.10.0 - 2026-12-01") < log.index(NEWER["0.10.0"]) < log.index(NEWER["0.2.0"])
    assert "0.11.0rc1" not in log
    assert "## Unreleased" not in log
    assert "To update: cruft update --checkout 0.10.0." in log
    assert done.last_line("drift") == BEHIND
    assert opened(here) == []
    assert done.status == 0, "a warning stops nothing"


def test_opens_one_merge_request_for_a_release(nightly: Nightly, here: Project, gitlab: GitLab) -> None:
    done = nightly(token=True)
    assert done.results == {"drift": "failed, allowed"}, done.output
    (request,) = opened(here)
    assert (request["title"], request["source_branch"]) == ("Update the template to 0.10.0", "update-template-0.10.0")
    assert NEWER["0.2.0"] in request["description"]
    assert f"!1 (opened): {request['web_url']}" in done.log("drift")

    # The branch is the project as `cruft update` leaves it.
    repository = here.repository
    assert repository
    changed = run("git", "diff", "--name-only", "main", request["source_branch"], cwd=repository).split()
    assert changed == [".cruft.json", ".gitlab-ci.yml", "environment"]
    seen = run("git", "show", f"{request['source_branch']}:environment", cwd=repository).split()
    assert "PATH" in seen
    assert not [name for name in seen if name.startswith(("CI_", "GITLAB_", "DRIFT_"))]
    link = json.loads(run("git", "show", f"{request['source_branch']}:.cruft.json", cwd=repository))
    assert link["checkout"] == "0.10.0"
    assert link["template"] == f"{gitlab.url}/org/py-ci-template.git"
    assert link["context"]["cookiecutter"]["author_name"] == "O'Connor"

    # The next night adds nothing, not even where people have closed it.
    written = len(gitlab.requests(method="POST", path="/api/"))
    file = here.folder / "merge_requests" / "1.json"
    file.write_text(json.dumps({**request, "state": "closed"}), encoding="utf-8")
    assert "!1 (closed)" in nightly(token=True).log("drift")
    assert len(gitlab.requests(method="POST", path="/api/")) == written

    # Merged, the project is up to date.
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    run("git", *identity, "merge", "--quiet", request["source_branch"], cwd=repository)
    done = nightly(token=True)
    assert done.results == {"drift": "passed"}
    assert "The project is up to date with its template: 0.10.0." in done.log("drift")


def test_what_both_changed_is_a_draft(nightly: Nightly, here: Project, released: Path) -> None:
    assert here.repository
    edit(here.repository / ".gitlab-ci.yml", "# Checks style", "# Checks our style")
    done = nightly(token=True)
    assert done.results == {"drift": "failed, allowed"}, done.output
    (request,) = opened(here)
    assert request["title"].startswith("Draft: ")
    assert request["description"].endswith("- `.gitlab-ci.yml`")
    text = run("git", "show", f"{request['source_branch']}:.gitlab-ci.yml", cwd=here.repository)
    assert "<<<<<<< ours" in text


def test_faults_that_pass_heal_and_a_lost_answer_opens_no_second(
    nightly: Nightly, here: Project, gitlab: GitLab
) -> None:
    gitlab.fail_next(1, path="merge_requests", method="GET", status=503)
    gitlab.fail_next(1, path="repository/commits", method="POST", cut=True)
    gitlab.fail_next(1, path="merge_requests", method="POST", cut=True)
    done = nightly(token=True)
    assert done.results == {"drift": "failed, allowed"}, done.output
    assert len(opened(here)) == 1


def refuse_project(here: Project, template: Project, gitlab: GitLab) -> str:
    """The template is private."""
    template.allowed.clear()
    return "whether the template's project allows the job token of this one."


def move_template(here: Project, template: Project, gitlab: GitLab) -> str:
    """It has another history."""
    assert here.repository
    relink(here.repository, commit="0" * 40)
    return "See whether .cruft.json has the address of the template"


def lose_link(here: Project, template: Project, gitlab: GitLab) -> str:
    """The project was not made by it."""
    assert here.repository
    (here.repository / ".cruft.json").unlink()
    return "makes .cruft.json; commit it."


def spoil_token(here: Project, template: Project, gitlab: GitLab) -> str:
    """The token has expired."""
    gitlab.fail_next(1000, path="merge_requests", status=401)
    return "Mend what is named above. DRIFT_TOKEN must be valid"


@pytest.mark.parametrize("spoil", [refuse_project, move_template, lose_link, spoil_token])
def test_says_what_to_do_where_it_cannot_tell(
    spoil: Callable[[Project, Project, GitLab], str], nightly: Nightly, here: Project, template: Project, gitlab: GitLab
) -> None:
    remedy = spoil(here, template, gitlab)
    done = nightly(token=True)
    assert done.results == {"drift": "failed"}, done.output
    assert remedy in done.last_line("drift")
    assert opened(here) == []


def test_an_answer_that_the_template_no_longer_takes(nightly: Nightly, here: Project) -> None:
    assert here.repository
    link = json.loads((here.repository / ".cruft.json").read_text(encoding="utf-8"))
    link["context"]["cookiecutter"]["publish"] = "elsewhere"
    relink(here.repository, context=link["context"])
    done = nightly(token=True)
    assert done.results == {"drift": "failed"}, done.output
    assert "cruft cannot make the update, as it says above." in done.log("drift")
    assert done.last_line("drift").startswith("Mend what is named above.")
