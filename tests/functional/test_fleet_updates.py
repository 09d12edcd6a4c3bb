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
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from playwright.sync_api import Browser

from tools.bare_runner import make_traversable
from tools.commands import commit_all, run
from tools.expander import Expander
from tools.gitlab_runner.pipeline import Pipeline
from tools.renovate import find_renovate
from tools.samples.fleet import FIRST, Organisation, Run
from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.pipelines import add_pipeline
from tools.stand_ins.gitlab_rest.projects import SharedProject
from tools.stand_ins.gitlab_rest.server import SharedGitLab
from tools.template import FOLDER, edit

# The story is told once, and not by each worker.
pytestmark = pytest.mark.xdist_group("fleet updates")
BROKEN, GOOD = "0.2.0", "0.3.0"
FLAVOURS = ("self-contained", "components")
CANARIES = [f"canary-{number}" for number in (1, 2)]
# A name for each of the others: what is special about it.
CHANGED = [f"changed-{number}" for number in range(1, 7)]
CONFLICTS = ["conflict-1", "conflict-2"]
PLAIN = [f"plain-{number}" for number in range(1, 6)]
OTHERS = ["automerge", "critical", "closed", "unnamed", "of-a-branch"]
# What goes wrong with some more, which are canaries too.
ODD = ["archived", "broken", "foreign"]
NAMES = [*CANARIES, *CHANGED, *CONFLICTS, *PLAIN, *OTHERS]
# Those that are there from the beginning, beside the canaries.
WAITING = ["changed-1", "critical", "plain-1"]
LONG_AGO = "2026-01-01T00:00:00.000Z"


def change(organisation: Organisation) -> None:
    """Let people work on their projects."""
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
    # What a project wants for itself: another file of Renovate's, with a group of all that it sees.
    rules = [
        {
            "matchPackageNames": ["*"],
            "groupName": "all",
            "labels": ["all"],
            "schedule": ["after 1am and before 2am on monday"],
        }
    ]
    own = {"extends": ["config:recommended"], "commitMessagePrefix": "deps:", "packageRules": rules}
    (organisation.working("plain-3") / "renovate.json").write_text(json.dumps(own), encoding="utf-8")
    edit(organisation.working("critical") / "renovate.json", '"extends"', '"automerge": true,\n  "extends"')


def push(organisation: Organisation, *names: str) -> None:
    """Let projects be on GitLab, with a green pipeline."""
    organisation.push(*names)
    for name in names:
        project = organisation.projects[name]
        project.topics = ["canary"] if name in (*CANARIES, *ODD) else ["critical"] if name == "critical" else []
        project.last_activity_at = LONG_AGO
        add_pipeline(project, "main", project.git.resolve("refs/heads/main") or "", "success")


# A build that looks for the bot's token where uv runs it to lock, and for what else Renovate would give away.
BACKEND = """
import pathlib
exec(pathlib.Path("probe.py").read_text())
pathlib.Path("FOUND").replace("OPEN/FOUND")

def prepare_metadata_for_build_editable(folder, settings=None):
    made = pathlib.Path(folder, "foreign-1.dist-info")
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\\nName: foreign\\nVersion: 1\\n")
    return made.name
"""
BUILDS = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "foreign"
dynamic = ["version"]
requires-python = ">=3.11"
"""


def bring_code(organisation: Organisation, name: str) -> None:
    """Let a project have a lock that Renovate renews, for which uv runs code of the project."""
    path, found = organisation.working(name), organisation.folder / "open"
    found.mkdir()
    found.chmod(0o777)
    maintenance = {"enabled": True, "schedule": ["at any time"]}
    settings = {"extends": ["config:recommended"], "lockFileMaintenance": maintenance}
    for file, text in {
        "renovate.json": json.dumps(settings),
        "pyproject.toml": BUILDS,
        "uv.lock": 'version = 1\nrequires-python = ">=3.10"\n',
        "backend.py": BACKEND.replace("OPEN", str(found)),
        "probe.py": PROBE.replace("ROOT", str(organisation.folder)),
    }.items():
        (path / file).write_text(text, encoding="utf-8")


def trouble(organisation: Organisation) -> None:
    """Let something go wrong in projects of which the plan knows nothing."""
    (organisation.working("broken") / ".cruft.json").write_text("{", encoding="utf-8")
    edit(organisation.working("foreign") / ".cruft.json", "org/platform/template.git", "org/evil.git")
    bring_code(organisation, "foreign")
    organisation.push("broken", "foreign")
    organisation.projects["archived"].archived = True
    evil = organisation.gitlab.share_project("org/evil")
    run("git", "push", "--quiet", evil.git.folder / ".git", f"HEAD:refs/tags/{BROKEN}", cwd=organisation.template)


def push_branch(organisation: Organisation) -> None:
    """Let a developer of the template push a branch with the name of the tag whose programs the bot runs."""
    path = organisation.folder / "hostile"
    run("git", "clone", "--quiet", organisation.template, path)
    (path / "bot" / "install.sh").write_text("exit 1\n", encoding="utf-8")
    commit_all(path)
    run("git", "push", "--quiet", organisation.home.git.folder / ".git", f"HEAD:refs/heads/{FIRST}", cwd=path)


def days_pass(organisation: Organisation) -> None:
    """Let four days pass since the canaries have passed."""
    then = (datetime.now(UTC) - timedelta(days=4)).isoformat()
    for name in CANARIES:
        for pipeline in organisation.projects[name].records["pipelines"]:
            pipeline["updated_at"] = then


# A hook that looks for the bot's token, and would bring it into a branch by a file of the project.
PROBE = """
import os, pathlib
here = pathlib.Path("ROOT")
places = [*pathlib.Path("/proc").glob("[0-9]*/environ"), *here.rglob(".git/config"), *here.rglob("renovate-*.log")]
places += here.rglob("public/fleet.json")
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
    """What came to pass in the organisation, to be looked at; `plans` say which release each project may get."""

    organisation: Organisation
    first: Pipeline
    canaries: Pipeline
    held: Pipeline
    plans: list[dict[str, str | None]]
    merge_requests_of_canaries: dict[str, list[dict[str, Any]]]
    found: str
    found_by_project: str
    killed: list[str]
    unmerged: set[str]
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


SHARDS = [f"renovate: [{number}/2]" for number in (1, 2)]
# The others are tested in test_renovate.py, and in the first pipeline here.
FAST = {"RENOVATE_ENABLED_MANAGERS": '["custom.regex"]'}


@pytest.fixture(scope="module")
def story(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_folder: Path,
    bare_python: Path,
    gitlab_runner: Path,
    expander: Expander,
) -> Iterator[Story]:
    """Twenty projects in both flavours, three releases of their template, and what happens."""
    assert request.config.cache
    renovate = find_renovate(request.config.cache.mkdir("renovate"))
    folder = tmp_path_factory.mktemp("fleet")
    # Code of the template runs as nobody, who must get here.
    make_traversable(shared_folder.parent, folder)
    with SharedGitLab(folder / "gitlab", "http://127.0.0.1:1") as gitlab:
        organisation = Organisation(folder, gitlab, renovate, bare_python, gitlab_runner, expander)
        with organisation.runner:
            yield tell(organisation)


def tell(organisation: Organisation) -> Story:
    """Let it happen."""
    gitlab = organisation.gitlab
    kinds = product(FLAVOURS, ("library", "command", "service"), (True, False))
    options = [{"pipeline": flavour, "kind": kind, "docs": docs} for flavour, kind, docs in kinds]
    organisation.make({name: options[number % len(options)] for number, name in enumerate([*NAMES, *ODD])})
    change(organisation)
    # Some are enough to see where a release stops.
    push(organisation, *CANARIES, *ODD, *WAITING)
    organisation.projects["empty"] = gitlab.share_project("org/empty")
    gitlab.pushed = pipeline_of
    push_branch(organisation)

    # The second release is broken on purpose, and only the canaries may get it.
    hook = organisation.template / "hooks" / "post_gen_project.py"
    probe = PROBE.replace("ROOT", str(organisation.folder))
    organisation.release(BROKEN, "Lint may take an hour.", ("templates/lint.yml", "  timeout: ", "  timeout: 1h 7m # "))
    original = hook.read_text(encoding="utf-8")
    hook.write_text(original.replace("import os\n", f"{probe}\nimport os\n", 1), encoding="utf-8")
    commit_all(organisation.template, "Look for a token")
    run("git", "tag", "--force", BROKEN, cwd=organisation.template)
    organisation.publish(force=True)
    first = organisation.in_the_pipeline("plan")
    plans = [organisation.versions]
    trouble(organisation)
    canaries = organisation.in_the_pipeline(*SHARDS, "drafts", "pages", earlier=first)
    of_canaries = snapshot(organisation)
    found = organisation.of_branch(CANARIES[0], "FOUND")

    # The third one mends it, and the canaries get it in place of the second.
    hook.write_text(original, encoding="utf-8")
    threshold = (f"{FOLDER}/pyproject.toml", "fail_under = 90", "fail_under = 80")
    organisation.release(GOOD, "Lint may take two hours.", ("templates/lint.yml", "1h 7m", "2h 7m"), threshold)
    held = organisation.in_the_pipeline(variables=FAST)
    plans.append(organisation.versions)

    # Days later all but critical projects get it. A token cannot push, and the bot is killed.
    days_pass(organisation)
    push(organisation, *(name for name in NAMES if name not in organisation.projects))
    organisation.in_the_pipeline("plan")
    plans.append(organisation.versions)
    reader = gitlab.add_user("reader", {"org": Level.DEVELOPER}, "read_api", "read_repository")
    organisation.select("plain-5")
    with_reader = organisation.start("renovate", token=reader.token, **FAST)
    while "Repository started" not in with_reader.log:
        sleep(0.1)
    organisation.select(*NAMES)
    kill_after(organisation, 3)
    killed = [name for name in NAMES if organisation.branch(name) and not organisation.merge_requests(name)]
    unmerged = {each["state"] for those in snapshot(organisation).values() for each in those}

    # Then they get it too, and the bot may merge.
    organisation.ask_for(" plan public/fleet.json", " plan public/fleet.json --automerge --days-critical 0")
    organisation.in_the_pipeline("plan")
    plans.append(organisation.versions)

    # GitLab refuses what is too much, and fails twice where a merge request is opened.
    for name in PLAIN:
        gitlab.fail_next(1, path=f"/org%2F{name}", status=429)
    gitlab.fail_next(2, method="POST", path="/org%2Fplain-[12]/merge_requests$", status=500)
    both_shards(organisation)
    gitlab.heal()
    refused = len(gitlab.requests(status=429))
    lost = [name for name in NAMES if not organisation.merge_requests(name)]
    drafts = organisation.drafts()
    conflicts = {name: deepcopy(organisation.merge_requests(name)[0]) for name in CONFLICTS}

    # A person mends a conflict, and closes a merge request.
    organisation.solve("conflict-1", "pyproject.toml", "fail_under = 95")
    (closed,) = organisation.merge_requests("closed")
    closed["state"] = "closed"
    again = [*CONFLICTS, *killed, *lost, "automerge", "closed", "critical"]
    organisation.select(*again)
    last = organisation.start("renovate", **FAST)
    assert last.wait() == 0, last.log
    drafts_later = organisation.drafts(last)
    with_reader.wait()
    organisation.select("plain-5")
    read_only = organisation.drafts(with_reader, token=reader.token)
    return Story(
        organisation,
        first,
        canaries,
        held,
        plans,
        of_canaries,
        found,
        (organisation.folder / "open" / "FOUND").read_text(encoding="utf-8", errors="replace"),
        killed,
        unmerged,
        lost,
        read_only,
        refused,
        conflicts,
        drafts,
        drafts_later,
    )


def test_a_release_goes_from_wave_to_wave(story: Story) -> None:
    waves = {name: "critical" if name == "critical" else "normal" for name in NAMES} | dict.fromkeys(CANARIES, "canary")
    allowed = [
        {name: releases[wave] for name, wave in waves.items()}
        for releases in (
            {"canary": BROKEN, "normal": None, "critical": None},
            # It has broken them, and stops there.
            {"canary": GOOD, "normal": None, "critical": None},
            {"canary": GOOD, "normal": GOOD, "critical": None},
            {"canary": GOOD, "normal": GOOD, "critical": GOOD},
        )
    ]
    known = [[*CANARIES, *WAITING], [*CANARIES, *WAITING], NAMES, NAMES]
    wanted = [{name: each[name] for name in names} for names, each in zip(known, allowed, strict=True)]
    # Those cannot be read any more later.
    wanted[0] |= dict.fromkeys(ODD, BROKEN)
    assert story.plans == wanted


def test_the_page_says_which_release_is_held(story: Story, browser: Browser, tmp_path: Path) -> None:
    for pipeline in (story.canaries, story.held):
        files = pipeline.builds["pages"].files
        assert files.keys() == {"public/index.html", "public/fleet.json"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    read = json.loads(files["public/fleet.json"])["projects"]
    page = browser.new_page()
    page.goto((tmp_path / "public" / "index.html").as_uri())
    releases = page.get_by_role("region", name="Releases of the template").inner_text()
    page.locator("#show").select_option("unreadable")
    named = page.locator("tbody th a").all_inner_texts()
    page.close()
    # It is made with the address that the projects were made with.
    (canary,) = [each for each in read if each["path"] == "org/canary-1"]
    assert (canary["changes"]["changed"], canary["changes"]["removed"]) == ([], [])
    assert f"broke the pipeline of {', '.join(f'org/{name}' for name in CANARIES)}" in releases
    assert named == ["org/archived", "org/broken", "org/empty", "org/evil"]


def test_what_was_read_is_not_read_again(story: Story) -> None:
    asked = []
    for pipeline in (story.first, story.held):
        (found,) = re.findall(r"with (\d+) requests to GitLab", pipeline.log("plan"))
        asked.append(int(found))
    assert "Successfully extracted cache" in story.held.log("plan")
    assert asked[1] < asked[0] / 2


def test_only_a_schedule_of_a_protected_branch_starts_it(story: Story) -> None:
    for event in ("branch", "merge request", "schedule"):
        assert not story.organisation.in_the_pipeline(event=event).results


def test_only_the_canaries_get_a_release_that_is_not_known_to_be_good(story: Story) -> None:
    of_canaries = story.merge_requests_of_canaries
    assert of_canaries.keys() == {*CANARIES, "foreign"}
    for name in CANARIES:
        (request,) = of_canaries[name]
        assert request["title"] == f"Update the template to {BROKEN}"
        assert request["labels"] == ["py-ci-template"]
        assert "Lint may take an hour." in request["description"]
        _, pipeline, *_ = story.organisation.projects[name].records["pipelines"]
        assert (pipeline["ref"], pipeline["status"]) == ("renovate/py-ci-template", "failed")


def test_the_pipeline_of_the_bot_says_what_is_wrong_with_which_project(story: Story) -> None:
    done = story.canaries
    assert story.first.results == {"plan": "passed"}, story.first.output
    assert done.results == {**dict.fromkeys([*SHARDS, "pages"], "passed"), "drafts": "failed"}, done.output
    assert story.held.results == dict.fromkeys(["plan", *SHARDS, "drafts", "pages"], "passed"), story.held.output
    said = done.log("drafts")
    assert "org/archived: not looked at: it is archived, empty or gone" in said
    assert "org/broken: .cruft.json is missing, or not as cruft writes it" in said
    assert re.search(r"org/foreign: .+ names another template, http://[\d.:]+/org/evil\.git", said)
    assert "org/canary" not in said
    requests = {each["source_branch"]: each for each in story.merge_requests_of_canaries["foreign"]}
    request = requests["renovate/py-ci-template"]
    assert request["title"].startswith("Draft: ")
    token = story.organisation.bot.token.encode()
    for pipeline in (story.first, done, story.held):
        files = [each for build in pipeline.builds.values() for each in build.files.values()]
        assert not [each for each in (pipeline.output.encode(), *files) if token in each]


def test_dependencies_are_seen_by_the_same_bot(story: Story) -> None:
    seen: dict[str, Any] = {}
    for number, shard in enumerate(SHARDS, 1):
        seen |= json.loads(story.canaries.builds[shard].files[f"report-{number}.json"])["repositories"]
    for name in CANARIES:
        assert seen[f"org/{name}"]["packageFiles"].keys() >= {"gitlabci", "pep621", "regex"}
    # The components of the template move with its files, also in a project whose renovate.json does not say so.
    found = [each for file in seen["org/foreign"]["packageFiles"]["gitlabci"] for each in file["deps"]]
    assert {each["skipReason"] for each in found if each["depName"] == "org/platform/template"} == {"disabled"}


def test_code_of_the_template_or_a_project_does_not_get_the_token(story: Story, tmp_path: Path) -> None:
    for found in (story.found, story.found_by_project):
        assert "PermissionError" in found
        assert "PATH" in found
        # What Renovate says of other projects.
        assert '"name":"renovate"' not in found
        assert '"projects":' not in found
        assert story.organisation.bot.token not in found
        # What others have left in /tmp is not above it.
        assert re.search(r"'HOME': '[^']+/\.bot/tmp/py-ci-fleet-\w+/home'", found)
    branches = [each["source_branch"] for each in story.merge_requests_of_canaries["foreign"]]
    assert "renovate/lock-file-maintenance" in branches
    # Somebody with rights would find it by the same code.
    code = PROBE.replace("ROOT", str(story.organisation.folder))
    env = {**os.environ, "GITLAB_TOKEN": story.organisation.bot.token}
    run(sys.executable, "-c", code, cwd=tmp_path, env=env)
    assert story.organisation.bot.token in (tmp_path / "FOUND").read_text(errors="replace")


def test_nothing_is_opened_twice_and_nothing_lost(story: Story) -> None:
    assert len(story.killed) == 1
    assert story.lost
    assert story.refused == len(PLAIN)
    for name in NAMES:
        (request,) = story.organisation.merge_requests(name)
        assert request["title"].removeprefix("Draft: ") == f"Update the template to {GOOD}", name
        assert request["source_branch"] == "renovate/py-ci-template"
        assert {*request["labels"]} <= {"py-ci-template", "template-conflict"}
    for name in CANARIES:
        (request,) = story.organisation.merge_requests(name)
        for line in ("Lint may take an hour.", "Lint may take two hours."):
            assert line in request["description"]


def test_files_move_together_and_what_people_changed_stays(story: Story) -> None:
    organisation = story.organisation
    for name in set(NAMES) - {*CONFLICTS, "closed"}:
        branch = organisation.place(name)
        link = json.loads(organisation.of_branch(name, ".cruft.json", branch))
        assert link["checkout"] == GOOD
        assert link["commit"] == run("git", "rev-parse", GOOD, cwd=organisation.template).strip()
        pipeline = organisation.of_branch(name, ".gitlab-ci.yml", branch)
        if link["context"]["cookiecutter"]["pipeline"] == "components":
            assert f"$CI_SERVER_FQDN/org/platform/template/lint@{GOOD}" in pipeline
            assert f"@{FIRST}" not in pipeline
        else:
            assert "timeout: 2h 7m" in organisation.of_branch(name, ".gitlab/ci/lint.yml", branch)
        assert f"/org/platform/template/-/blob/{GOOD}/docs/troubleshooting.md" in pipeline
        assert f"org/platform/template.git@{GOOD}" in organisation.of_branch(name, "CONTRIBUTING.md", branch)
        assert "fail_under = 80" in organisation.of_branch(name, "pyproject.toml", branch)
        assert not organisation.of_branch(name, "FOUND", branch)
    for name in CHANGED:
        branch = organisation.place(name)
        assert organisation.of_branch(name, "README.md", branch) == "# Mine now\n"
        assert not organisation.of_branch(name, ".editorconfig", branch)
        assert organisation.of_branch(name, ".gitlab-ci.yml", branch).endswith("script: [echo nightly]\n")


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
    # Green pipelines were there before.
    assert story.unmerged == {"opened"}
    assert {*CANARIES, "automerge"} <= {name for name, state in states.items() if state == "merged"}
    assert {states[name] for name in (*CONFLICTS, "critical")} == {"opened"}
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
