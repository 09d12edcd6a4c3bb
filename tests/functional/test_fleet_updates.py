"""The bot: the real Renovate brings releases of the template to the projects of an organisation."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from tools.bare_runner import make_traversable
from tools.commands import commit_all, run
from tools.renovate import find_renovate
from tools.runner import Pipeline
from tools.samples.fleet import FIRST, Organisation, Run
from tools.stand_ins.gitlab_rest import server
from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.pipelines import add_pipeline
from tools.stand_ins.gitlab_rest.projects import SharedProject
from tools.stand_ins.gitlab_rest.server import SharedGitLab
from tools.template import FOLDER, edit

BROKEN, GOOD = "0.2.0", "0.3.0"
FLAVOURS = ("self-contained", "components")
CANARIES = [f"canary-{number}" for number in (1, 2)]
# A name for each of the others: what is special about it.
CHANGED = [f"changed-{number}" for number in range(1, 7)]
CONFLICTS = ["conflict-1", "conflict-2"]
PLAIN = [f"plain-{number}" for number in range(1, 6)]
OTHERS = ["automerge", "critical", "closed", "unnamed", "of-a-branch"]
# What is wrong with some more.
ODD = ["archived", "broken", "foreign"]
NAMES = [*CANARIES, *CHANGED, *CONFLICTS, *PLAIN, *OTHERS]


def change(organisation: Organisation) -> None:
    """Let people work on their projects, and push all of them."""
    for name in CHANGED:
        path = organisation.working(name)
        (path / "README.md").write_text("# Mine now\n", encoding="utf-8")
        (path / ".editorconfig").unlink()
        with (path / ".gitlab-ci.yml").open("a", encoding="utf-8") as pipeline:
            pipeline.write("\nnightly:\n  stage: test\n  script: [echo nightly]\n")
    for name in CONFLICTS:
        edit(organisation.working(name) / "pyproject.toml", "fail_under = 90", "fail_under = 95")
    for name, value in (("unnamed", "null"), ("of-a-branch", '"main"')):
        edit(organisation.working(name) / ".cruft.json", f'"checkout": "{FIRST}"', f'"checkout": {value}')
    # What a project wants for itself.
    edit(organisation.working("critical") / "renovate.json", '"extends"', '"automerge": true,\n  "extends"')
    (organisation.working("broken") / ".cruft.json").write_text("{", encoding="utf-8")
    edit(organisation.working("foreign") / ".cruft.json", "org/py-ci-template.git", "org/evil.git")
    organisation.push(*NAMES, *ODD)
    organisation.projects["archived"].archived = True
    organisation.projects["empty"] = organisation.gitlab.share_project("org/empty")
    evil = organisation.gitlab.share_project("org/evil")
    run("git", "push", "--quiet", evil.git.folder / ".git", f"HEAD:refs/tags/{BROKEN}", cwd=organisation.template)


# A hook that looks for the bot's token, and would bring it into a branch by a file of the project.
PROBE = """
import os, pathlib
places = [*pathlib.Path("/proc").glob("[0-9]*/environ"), *pathlib.Path("ROOT").rglob(".git/config")]
found = [repr(dict(os.environ)).encode()]
for place in places:
    try:
        found.append(place.read_bytes())
    except OSError as error:
        found.append(type(error).__name__.encode())
pathlib.Path("FOUND").write_bytes(b"\\n".join(found))
"""


def pipeline_of(project: SharedProject, ref: str, sha: str | None) -> None:
    """Let a pipeline go: it fails with the release that is broken."""
    if sha and ref != "main":
        link = json.loads(project.git.read(sha, ".cruft.json") or b"{}")
        add_pipeline(project, ref, sha, "failed" if link.get("checkout") == BROKEN else "success")


@dataclass
class Story:
    """What came to pass in the organisation, to be looked at."""

    organisation: Organisation
    canaries: Pipeline
    merge_requests_of_canaries: dict[str, list[dict[str, Any]]]
    found: str
    killed: list[str]
    lost: list[str]
    read_only: tuple[int, str]
    refused: int
    conflicts: dict[str, dict[str, Any]]
    drafts: tuple[int, str]
    drafts_later: tuple[int, str]


def snapshot(organisation: Organisation) -> dict[str, list[dict[str, Any]]]:
    """Return the merge requests of each project that has some, as they are now."""
    return {name: deepcopy(each) for name in organisation.projects if (each := organisation.merge_requests(name))}


def kill_after(organisation: Organisation, pushes: int) -> Run:
    """Start Renovate for a half of the projects; kill it when it has pushed so often, and has opened one less."""
    started: list[Run] = []
    seen: list[str] = []

    def pushed(project: SharedProject, ref: str, sha: str | None) -> None:
        pipeline_of(project, ref, sha)
        seen.append(ref)
        if len(seen) == pushes:
            started[0].kill()

    organisation.gitlab.pushed = pushed
    started.append(organisation.start("renovate", SHARD="1/2", **FAST))
    started[0].wait()
    organisation.gitlab.pushed = pipeline_of
    return started[0]


def both_shards(organisation: Organisation) -> list[Run]:
    """Run Renovate for all projects, in two shards at once."""
    runs = [organisation.start("renovate", SHARD=f"{number}/2", **FAST) for number in (1, 2)]
    assert [run.wait() for run in runs] == [0, 0], runs[0].log + runs[1].log
    return runs


# The others are tested in test_renovate.py, and in the pipeline here.
FAST = {"RENOVATE_ENABLED_MANAGERS": '["custom.regex"]'}


@pytest.fixture(scope="module")
def story(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_folder: Path,
    bare_python: Path,
    gitlab_ci_local: str,
) -> Iterator[Story]:
    """Twenty projects in both flavours, three releases of their template, and what happens."""
    assert request.config.cache
    renovate = find_renovate(request.config.cache.mkdir("renovate"))
    folder = tmp_path_factory.mktemp("fleet")
    # Code of the template runs as nobody, who must get here.
    make_traversable(shared_folder.parent, folder)
    with SharedGitLab(folder / "gitlab", "http://127.0.0.1:1") as gitlab, pytest.MonkeyPatch.context() as patch:
        yield tell(Organisation(folder, gitlab, renovate, bare_python), gitlab_ci_local, patch)


def tell(organisation: Organisation, gitlab_ci_local: str, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Let it happen."""
    gitlab = organisation.gitlab
    kinds = product(FLAVOURS, ("library", "command", "service"), (True, False))
    options = [{"pipeline": flavour, "kind": kind, "docs": docs} for flavour, kind, docs in kinds]
    organisation.make({name: options[number % len(options)] for number, name in enumerate([*NAMES, *ODD])})
    change(organisation)
    gitlab.pushed = pipeline_of

    # The second release is broken on purpose, and only the canaries may get it.
    hook = organisation.template / "hooks" / "post_gen_project.py"
    probe = PROBE.replace("ROOT", str(organisation.folder))
    organisation.release(BROKEN, "Lint may take an hour.", ("templates/lint.yml", "  timeout: ", "  timeout: 1h 7m # "))
    original = hook.read_text(encoding="utf-8")
    hook.write_text(original.replace("import os\n", f"{probe}\nimport os\n", 1), encoding="utf-8")
    commit_all(organisation.template, "Look for a token")
    run("git", "tag", "--force", BROKEN, cwd=organisation.template)
    organisation.publish(force=True)
    waiting = ["changed-1", "critical", "plain-1"]
    organisation.plan({**dict.fromkeys([*CANARIES, *ODD, "empty"], BROKEN), **dict.fromkeys(waiting)})
    canaries = organisation.in_the_pipeline(gitlab_ci_local)
    of_canaries = snapshot(organisation)
    found = organisation.of_branch(CANARIES[0], "FOUND")

    # The third one mends it, and everybody may get it.
    hook.write_text(original, encoding="utf-8")
    threshold = (f"{FOLDER}/pyproject.toml", "fail_under = 90", "fail_under = 80")
    organisation.release(GOOD, "Lint may take two hours.", ("templates/lint.yml", "1h 7m", "2h 7m"), threshold)
    reader = gitlab.add_user("reader", {"org": Level.DEVELOPER}, "read_api", "read_repository")
    organisation.plan({"plain-5": GOOD})
    with_reader = organisation.start("renovate", token=reader.token, **FAST)
    while "Repository started" not in with_reader.log:
        sleep(0.1)
    organisation.plan(dict.fromkeys(NAMES, GOOD), automerge=["automerge", "conflict-2"])
    kill_after(organisation, 3)
    killed = [name for name in NAMES if organisation.branch(name) and not organisation.merge_requests(name)]

    # GitLab refuses what is too much, and fails twice where a merge request is opened.
    monkeypatch.setattr(server, "MINUTE", 2)
    gitlab.limit = 20
    gitlab.fail_next(2, method="POST", path="/org%2Fplain-[12]/merge_requests$", status=500)
    both_shards(organisation)
    gitlab.heal()
    gitlab.limit = None
    refused = len(gitlab.requests(status=429))
    lost = [name for name in NAMES if not organisation.merge_requests(name)]
    drafts = organisation.drafts()
    conflicts = {name: deepcopy(organisation.merge_requests(name)[0]) for name in CONFLICTS}

    # A person mends a conflict, and closes a merge request.
    organisation.solve("conflict-1", "pyproject.toml", "fail_under = 95")
    (closed,) = organisation.merge_requests("closed")
    closed["state"] = "closed"
    again = [*CANARIES, *CONFLICTS, *killed, *lost, "automerge", "closed", "critical"]
    organisation.plan(dict.fromkeys(again, GOOD), automerge=["automerge", "conflict-2"])
    drafts_later = organisation.drafts(*both_shards(organisation))
    with_reader.wait()
    organisation.plan({"plain-5": GOOD})
    read_only = organisation.drafts(with_reader, token=reader.token)
    return Story(
        organisation, canaries, of_canaries, found, killed, lost, read_only, refused, conflicts, drafts, drafts_later
    )


def test_only_the_canaries_get_a_release_that_is_not_known_to_be_good(story: Story) -> None:
    of_canaries = story.merge_requests_of_canaries
    assert of_canaries.keys() == {*CANARIES, "foreign"}
    for name in CANARIES:
        (request,) = of_canaries[name]
        assert request["title"] == f"Update the template to {BROKEN}"
        assert request["labels"] == ["py-ci-template"]
        assert "Lint may take an hour." in request["description"]
        (pipeline, *_) = story.organisation.projects[name].records["pipelines"]
        assert pipeline["status"] == "failed"


def test_the_pipeline_of_the_bot_says_what_is_wrong_with_which_project(story: Story) -> None:
    done = story.canaries
    assert done.results == {
        "plan": "passed",
        "renovate: [1/2]": "passed",
        "renovate: [2/2]": "passed",
        "drafts": "failed",
        "pages": "passed",
    }, done.output
    said = done.log("drafts")
    for name in ("archived", "empty"):
        assert f"org/{name}: not looked at: it is archived, empty or gone" in said
    assert "org/broken: .cruft.json is missing, or not as cruft writes it" in said
    assert re.search(r"org/foreign: .+ names another template, http://[\d.:]+/org/evil\.git", said)
    assert "org/canary" not in said
    (request,) = story.merge_requests_of_canaries["foreign"]
    assert request["title"].startswith("Draft: ")
    assert story.organisation.bot.token not in done.output


def test_dependencies_are_seen_by_the_same_bot(story: Story) -> None:
    reports = [story.canaries.artifact(f"renovate: [{each}/2]", f"report-{each}.json") for each in (1, 2)]
    seen: dict[str, Any] = {}
    for report in reports:
        seen |= json.loads(report.read_text(encoding="utf-8"))["repositories"]
    for name in CANARIES:
        assert seen[f"org/{name}"]["packageFiles"].keys() >= {"gitlabci", "pep621", "regex"}


def test_code_of_the_template_does_not_get_the_token(story: Story, tmp_path: Path) -> None:
    assert "PermissionError" in story.found
    assert "PATH" in story.found
    assert story.organisation.bot.token not in story.found
    # Somebody with rights would find it by the same code.
    code = PROBE.replace("ROOT", str(story.organisation.folder))
    env = {**os.environ, "GITLAB_TOKEN": story.organisation.bot.token}
    run(sys.executable, "-c", code, cwd=tmp_path, env=env)
    assert story.organisation.bot.token in (tmp_path / "FOUND").read_text(errors="replace")


def test_nothing_is_opened_twice_and_nothing_lost(story: Story) -> None:
    assert len(story.killed) == 1
    assert story.lost
    assert story.refused > 0
    for name in NAMES:
        (request,) = story.organisation.merge_requests(name)
        assert request["title"].removeprefix("Draft: ") == f"Update the template to {GOOD}", name
        assert request["source_branch"] == "renovate/py-ci-template"
    for name in CANARIES:
        (request,) = story.organisation.merge_requests(name)
        for line in ("Lint may take an hour.", "Lint may take two hours."):
            assert line in request["description"]


def test_files_move_together_and_what_people_changed_stays(story: Story) -> None:
    organisation = story.organisation
    for name in set(NAMES) - {*CONFLICTS, "closed"}:
        branch = "main" if name == "automerge" else "renovate/py-ci-template"
        link = json.loads(organisation.of_branch(name, ".cruft.json", branch))
        assert link["checkout"] == GOOD
        assert link["commit"] == run("git", "rev-parse", GOOD, cwd=organisation.template).strip()
        pipeline = organisation.of_branch(name, ".gitlab-ci.yml", branch)
        if link["context"]["cookiecutter"]["pipeline"] == "components":
            assert f"/lint@{GOOD}" in pipeline
            assert f"@{FIRST}" not in pipeline
        else:
            assert "timeout: 2h 7m" in organisation.of_branch(name, ".gitlab/ci/lint.yml", branch)
        assert "fail_under = 80" in organisation.of_branch(name, "pyproject.toml", branch)
        assert not organisation.of_branch(name, "FOUND", branch)
    for name in CHANGED:
        assert organisation.of_branch(name, "README.md") == "# Mine now\n"
        assert not organisation.of_branch(name, ".editorconfig")
        assert organisation.of_branch(name, ".gitlab-ci.yml").endswith("script: [echo nightly]\n")


def test_a_conflict_is_a_draft_that_names_its_files_until_somebody_mends_it(story: Story) -> None:
    organisation = story.organisation
    for name in CONFLICTS:
        request = story.conflicts[name]
        assert request["title"] == f"Draft: Update the template to {GOOD}"
        assert "template-conflict" in request["labels"]
        note = organisation.projects[name].records["notes"][0]
        assert "Conflict: both the template and the project have changed pyproject.toml" in note["body"]
    assert "<<<<<<< ours\nfail_under = 95\n=======\nfail_under = 80\n>>>>>>> theirs" in organisation.of_branch(
        "conflict-2", "pyproject.toml"
    )
    assert story.drafts == (0, "org/conflict-1!1: a draft\norg/conflict-2!1: a draft\n")
    assert story.drafts_later == (0, "org/conflict-1!1: ready\n")
    (mended,) = organisation.merge_requests("conflict-1")
    assert (mended["title"], mended["labels"]) == (f"Update the template to {GOOD}", ["py-ci-template"])
    assert "fail_under = 95" in organisation.of_branch("conflict-1", "pyproject.toml")


def test_it_merges_only_where_the_plan_says_so_and_the_pipeline_passed(story: Story) -> None:
    states = {name: story.organisation.merge_requests(name)[0]["state"] for name in NAMES}
    assert {name for name, state in states.items() if state == "merged"} == {"automerge"}
    # A person has closed it.
    assert {name for name, state in states.items() if state == "closed"} == {"closed"}


def test_a_token_that_may_only_read_is_said(story: Story) -> None:
    status, said = story.read_only
    assert status == 1
    assert re.search(r"org/plain-5: Error updating branch: .+ 403", said)


def test_a_link_to_files_of_the_bot_is_refused_and_nothing_is_half_written(story: Story, tmp_path: Path) -> None:
    organisation = story.organisation
    link = (
        "hooks/post_gen_project.py",
        "import os\n",
        'import os\n\nos.symlink("/proc/self/environ", "environment")\n',
    )
    organisation.release("0.4.0", "Has a link.", link)
    checkout = tmp_path / "checkout"
    run("git", "clone", "--quiet", organisation.projects["plain-1"].git.folder / ".git", checkout)
    env = organisation.environment(organisation.bot.token, PY_CI_TEMPLATE=str(organisation.template))
    linked = json.loads((checkout / ".cruft.json").read_text(encoding="utf-8"))
    (checkout / ".cruft.json").write_text(
        json.dumps({**linked, "template": str(organisation.template)}, indent=2), encoding="utf-8"
    )
    commit_all(checkout)
    done = subprocess.run(
        ["py-ci-fleet", "update", "--to", "0.4.0"], cwd=checkout, env=env, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 1
    assert "environment a symbolic link, which the bot does not take" in done.stderr
    assert run("git", "status", "--porcelain", cwd=checkout) == ""
