"""`py-ci-fleet` reads an organisation of 300 projects from a GitLab, plans their updates and makes a page of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal

import gitlab as python_gitlab
import pytest
from playwright.sync_api import Browser, Page
from werkzeug.wrappers import Request, Response

from tools.bare_runner import make_traversable
from tools.browser import open_file
from tools.commands import commit_all, run
from tools.fleet.__main__ import main
from tools.fleet.collect import BRANCH, Reader, collect
from tools.fleet.data import Fleet, FleetError, load
from tools.fleet.page import render
from tools.fleet.template import Template
from tools.fleet.waves import Days, progress
from tools.samples.organisation import GROUP, QUIET, add_projects, add_release, link_to, make_releases, reader_of
from tools.stand_ins.cosign import KeyPair, make_bundle
from tools.stand_ins.gitlab_api import as_json, release_file
from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.pipelines import add_pipeline
from tools.stand_ins.gitlab_rest.projects import SharedProject
from tools.stand_ins.gitlab_rest.repositories import Snapshot
from tools.stand_ins.gitlab_rest.server import SharedGitLab
from tools.template import bake, tagged_copy

COUNT = 300
HOSTILE = "</script><script>document.title='hostile'</script><img src=x onerror=alert(1)>"
pytestmark = pytest.mark.xdist_group("fleet")


class Flaky(SharedGitLab):
    """A GitLab that gives each of `faults` once instead of an answer about a project."""

    faults: list[int]

    def respond(self, request: Request, path: str) -> Response:
        """Fail, or answer."""
        if self.faults and "/projects/" in path:
            return as_json(self.faults.pop(), {"message": "fault"}, {"Retry-After": "1"})
        return super().respond(request, path)


class Odd(SharedGitLab):
    """A GitLab whose answer a test replaces: `answers` gets the path and the sound answer."""

    answers: Callable[[str, Response], Response]

    def respond(self, request: Request, path: str) -> Response:
        """Answer as the test wants it."""
        return self.answers(path, super().respond(request, path))


@dataclass
class Organisation:
    """A GitLab with 300 projects, the template, a token that may read, and where the files go."""

    gitlab: Flaky
    template: Path
    commits: dict[str, str]
    token: str
    folder: Path

    def collect(self, *more: str) -> Fleet:
        """Let the command read all; return what it has kept."""
        output = self.folder / "fleet.json"
        words = ["collect", "--group", GROUP, "--template", str(self.template), "--gitlab", self.gitlab.url]
        words += ["--bot", "bot"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GITLAB_TOKEN", self.token)
            assert main([*words, "--output", str(output), "--no-changes", *more]) == 0
        return load(output)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with three releases."""
    return tagged_copy(tmp_path_factory.mktemp("template") / "py-ci-template")


@pytest.fixture(scope="module")
def organisation(template: Path, upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organisation]:
    """An organisation whose one canary broke with the newest release, and with projects that cannot be read."""
    folder = tmp_path_factory.mktemp("fleet")
    commits = make_releases(template, 2, 3)
    with Flaky(folder / "gitlab", upstream) as server:
        server.faults = []
        reader = reader_of(server)
        for project in add_projects(server, template, {name: commits[name] for name in ("0.1.0", "0.2.0")}, COUNT):
            project.topics = ["critical"] if project.path.endswith("7") else []
        strange = {
            "archived": {".cruft.json": b"{}"},
            "broken": {".cruft.json": b"[" * 5000},
            "other": {".cruft.json": link_to(Path("/elsewhere"), "a" * 40, {})},
            "none": {"README.md": b"none"},
            "hostile": {".cruft.json": link_to(template, commits["0.2.0"], {"author_name": HOSTILE})},
        }
        for name, files in strange.items():
            project = server.share_project(f"{GROUP}/team-0/{name}", Snapshot(files))
            project.last_activity_at = QUIET
            project.archived = name == "archived"
        server.share_project(f"{GROUP}/team-0/empty")
        server.share_project(f"{GROUP}/secret/forbidden", Snapshot({".cruft.json": b"{}"}))
        add_canary(server, template, commits, folder / "canary")
        yield Organisation(server, template, commits, reader.token, folder)


def add_canary(server: SharedGitLab, template: Path, commits: dict[str, str], folder: Path) -> None:
    """Add a project that passed, and whose merge request for the newest release failed."""
    developer = server.add_user("bot", {GROUP: Level.DEVELOPER})
    canary = server.share_project(f"{GROUP}/team-0/canary")
    canary.topics = ["canary"]
    folder.mkdir()
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    address = f"http://bot:{developer.token}@127.0.0.1:{server.port}/{canary.path}.git"
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    for branch in ("main", "renovate/py-ci-template"):
        run("git", *author, "checkout", "--quiet", "-B", branch, cwd=folder)
        commit = commits["0.2.0" if branch == "main" else "0.3.0"]
        (folder / ".cruft.json").write_bytes(link_to(template, commit, {}))
        run("git", "add", ".", cwd=folder)
        run("git", *author, "commit", "--quiet", "--message", branch, cwd=folder)
        run("git", "push", "--quiet", address, branch, cwd=folder)
        sha = run("git", "rev-parse", "HEAD", cwd=folder).strip()
        pipeline = add_pipeline(canary, branch, sha, "success" if branch == "main" else "failed")
        pipeline["web_url"] = f"{server.url}{pipeline['web_url']}"
    python_gitlab.Gitlab(server.url, private_token=developer.token).projects.get(canary.path).mergerequests.create(
        {
            "source_branch": "renovate/py-ci-template",
            "target_branch": "main",
            "title": "Update the template to 0.3.0",
            "labels": "py-ci-template",
        }
    )


def by_name(fleet: Fleet) -> dict[str, Any]:
    """Return the projects by the last part of their path."""
    return {each["path"].rpartition("/")[2]: each for each in fleet["projects"]}


@pytest.fixture(scope="module")
def first(organisation: Organisation) -> Fleet:
    """What is read the first time, from a GitLab with faults."""
    organisation.gitlab.faults = [429, 500, 502]
    found = organisation.collect()
    assert organisation.gitlab.faults == []
    return found


def test_all_projects_are_read_and_those_that_cannot_be_are_named(first: Fleet) -> None:
    assert len(first["projects"]) == COUNT + 8
    known = by_name(first)
    said = {name: (known[name]["state"], known[name]["reason"]) for name in known if known[name]["state"] != "ok"}
    assert said == {
        "archived": ("archived", "archived: nobody can change it"),
        "broken": ("broken", ".cruft.json is not JSON"),
        "other": ("other", "made from another template, /elsewhere"),
        "none": ("none", "not made from a template"),
        "empty": ("empty", "its repository is empty, or not for this token"),
        "forbidden": ("forbidden", "GitLab says 403 403 Forbidden"),
    }
    assert [each["version"] for each in first["releases"]] == ["0.1.0", "0.2.0", "0.3.0"]
    assert known["service-0001"]["version"] == "0.2.0"
    assert known["service-0009"]["pipeline"]["status"] == "failed"
    assert known["canary"]["merge_request"]["pipeline"]["status"] == "failed"
    assert first["history"][0]["versions"] == {"0.1.0": COUNT / 2, "0.2.0": COUNT / 2 + 2}


def test_the_second_time_asks_only_what_may_be_another(organisation: Organisation, first: Fleet) -> None:
    previous = organisation.folder / "previous.json"
    previous.write_text(json.dumps(first), encoding="utf-8")
    again = organisation.collect("--previous", str(previous))
    # The link, the pipeline and the release; then the red pipelines, and those that could not be read.
    assert first["requests"] / COUNT < 3.2
    assert again["requests"] / COUNT < 0.25
    kept = ("state", "version", "commit", "runs")
    seen = [[[each.get(name) for name in kept] for each in fleet["projects"]] for fleet in (first, again)]
    assert seen[0] == seen[1]
    # After a day, also what leaves no trace at a project.
    clone = Template(str(organisation.template), organisation.folder / "clone")
    reader = Reader(organisation.gitlab.url, organisation.token)
    later = collect(reader, [GROUP], clone, first, datetime.now(UTC) + timedelta(days=1), changes=False, bot="bot")
    assert 2 < later["requests"] / COUNT < 2.2
    # Of one that has changed, all is read again.
    (changed,) = [each for each in organisation.gitlab.shared if each.path.endswith("/service-0003")]
    files = {".cruft.json": link_to(organisation.template, organisation.commits["0.3.0"], {})}
    before, changed.content = changed.content, Snapshot(files)
    changed.last_activity_at = "2026-01-02T00:00:00.000Z"
    assert by_name(organisation.collect("--previous", str(previous)))["service-0003"]["version"] == "0.3.0"
    changed.content, changed.last_activity_at = before, QUIET


def test_a_release_that_breaks_the_canary_goes_no_further(organisation: Organisation, first: Fleet) -> None:
    output = organisation.folder / "plan.json"
    file = organisation.folder / "first.json"
    file.write_text(json.dumps(first), encoding="utf-8")
    assert main(["plan", str(file), "--output", str(output), "--days-normal", "0", "--days-critical", "0"]) == 0
    plan = json.loads(output.read_text(encoding="utf-8"))
    assert plan["template"] == str(organisation.template)
    versions = {each["path"].rpartition("/")[2]: each["version"] for each in plan["projects"]}
    # The canary goes on with what it tries; its pipeline with 0.2.0 lets all others have that.
    assert versions["canary"] == "0.3.0"
    assert {version for name, version in versions.items() if name != "canary"} == {None, "0.2.0"}
    assert {each["wave"] for each in plan["projects"]} == {"canary", "normal", "critical"}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_the_page_sorts_and_filters_300_projects(
    scheme: Literal["light", "dark"], width: int, organisation: Organisation, first: Fleet, browser: Browser
) -> None:
    file, html = organisation.folder / "page.json", organisation.folder / "index.html"
    file.write_text(json.dumps(first), encoding="utf-8")
    assert main(["page", str(file), "--output", str(html)]) == 0
    with open_file(browser, html, scheme, width) as page:
        assert page.title() == "org: 0 of 302 projects are current"
        assert page.locator("tbody tr").count() == 100
        page.get_by_role("button", name="Show more").click()
        assert page.locator("tbody tr").count() == 200
        # By the keyboard, as by the mouse.
        head = page.get_by_role("columnheader", name="Behind")
        head.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        assert cells(page, "Behind")[0] == "1"
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert cells(page, "Behind")[0] == "2"
        page.locator("#version").select_option("0.1.0")
        assert "150 of 308 projects" in page.locator("#count").inner_text()
        page.locator("#version").select_option("")
        page.locator("#wave").select_option("canary")
        assert page.locator("tbody th a").all_inner_texts() == ["org/team-0/canary"]
        assert "the pipeline of the merge request failed" in page.locator("tbody tr").inner_text()
        page.locator("#wave").select_option("")
        page.locator("#show").select_option("unreadable")
        assert page.locator("tbody th a").all_inner_texts() == [
            f"org/{name}" for name in ("secret/forbidden", "team-0/archived", "team-0/broken", "team-0/empty")
        ]
        page.locator("#show").select_option("ok")
        # What is hostile is there as it was written.
        page.locator("#search").fill("onerror")
        page.get_by_text("Answers", exact=True).click()
        assert HOSTILE in page.locator("tbody dl").inner_text()
        assert page.locator("img").count() == 0
        releases = page.get_by_role("region", name="Releases of the template")
        assert "broke the pipeline of org/team-0/canary" in releases.inner_text()
        assert releases.get_by_role("link", name="pipeline of org/team-0/canary").count() == 1
        assert page.get_by_role("img").get_attribute("aria-label").endswith("now 150 with 0.1.0; now 152 with 0.2.0")  # type: ignore[union-attr]


def test_each_reason_why_a_project_is_stuck_stands_on_the_page(
    organisation: Organisation, upstream: str, browser: Browser, tmp_path: Path
) -> None:
    current, old = (organisation.commits[version] for version in ("0.3.0", "0.2.0"))
    asked, conflict = "renovate/py-ci-template", "the merge request has a conflict, or is a draft"
    late = "the merge request is open for 30 days"
    # What the newest pipeline of the default branch and of the merge request is, and what is said.
    requested = {
        "open": ("success", "running", late),
        "conflict": ("success", "success", f"{conflict}; {late}"),
        "draft": ("success", "success", f"{conflict}; {late}"),
        "red": ("success", "failed", f"the pipeline of the merge request failed; {late}"),
        "closed": ("success", "success", "somebody has closed the merge request for 0.3.0"),
    }
    folder = tmp_path / "repository"
    folder.mkdir()
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    (folder / ".cruft.json").write_bytes(link_to(organisation.template, old, {}))
    commit_all(folder, "Made")
    for branch in (asked, "conflict"):
        run("git", "checkout", "--quiet", "-b", branch, "main", cwd=folder)
        (folder / "file").write_text(branch, encoding="utf-8")
        commit_all(folder, branch)
    heads = {name: run("git", "rev-parse", name, cwd=folder).strip() for name in ("main", asked, "conflict")}
    unread = {
        "archived": "archived: nobody can change it",
        "broken": ".cruft.json names no commit",
        "large": ".cruft.json is larger than 100000 bytes",
        "odd": "GitLab's answer is odd: KeyError",
        "other": "made from another template, /elsewhere",
        "none": "not made from a template",
        "empty": "its repository is empty, or not for this token",
        "forbidden": "GitLab says 403 403 Forbidden",
    }
    files = {
        "fine": link_to(organisation.template, current, {}),
        "red-main": link_to(organisation.template, current, {}),
        "unsigned": link_to(organisation.template, current, {"signing": "key"}),
        "behind": link_to(organisation.template, old, {}),
        "lost": link_to(organisation.template, "f" * 40, {}),
        "archived": b"{}",
        "broken": link_to(organisation.template, "HEAD", {}),
        "large": link_to(organisation.template, old, {"author_name": "x" * 1_000_000}),
        "odd": link_to(organisation.template, old, {}),
        "other": link_to(Path("/elsewhere"), "a" * 40, {}),
        "none": b"",
        "forbidden": b"{}",
    }
    said = {
        "fine": "",
        "red-main": "the pipeline of its default branch failed",
        "unsigned": "the signature of its last release does not verify",
        "behind": "it may get 0.3.0, and has no merge request",
        "lost": "the template does not have its commit, or no release before it",
        **{name: why for name, (_, _, why) in requested.items()},
        **unread,
    }
    with SharedGitLab(tmp_path / "gitlab", upstream) as server:
        reader = server.add_user("fleet", {GROUP: Level.GUEST, f"{GROUP}/ours": Level.REPORTER}, "read_api")
        token = server.add_user("bot", {GROUP: Level.DEVELOPER}).token
        bot = python_gitlab.Gitlab(server.url, private_token=token)
        for name, (pushed, trial, _) in requested.items():
            project = server.share_project(f"{GROUP}/ours/{name}")
            head = heads["conflict" if name == "conflict" else "main"]
            run("git", "push", "--quiet", project.git.folder, f"{head}:refs/heads/main", asked, cwd=folder)
            title = f"{'Draft: ' if name == 'draft' else ''}Update the template to 0.3.0"
            given = {"source_branch": asked, "target_branch": "main", "title": title, "labels": "py-ci-template"}
            request = bot.projects.get(project.path).mergerequests.create(given)
            if name == "closed":
                request.state_event = "close"
                request.save()
            add_pipeline(project, "main", head, pushed)
            add_pipeline(project, asked, heads[asked], trial)
        for name, link in files.items():
            content = Snapshot({"README.md": b"none"} if name == "none" else {".cruft.json": link})
            project = server.share_project(f"{GROUP}/{'theirs' if name == 'forbidden' else 'ours'}/{name}", content)
            project.archived = name == "archived"
            add_pipeline(project, "main", content.commit, "failed" if name == "red-main" else "success")
            if name == "unsigned":
                add_release(project, name, "v1.0.0", {})
            if name == "odd":
                release_file(project, "v1.0.0").write_text(json.dumps({"released_at": QUIET}), encoding="utf-8")
        server.share_project(f"{GROUP}/ours/empty")
        clone = Template(str(organisation.template), tmp_path / "clone")
        later = datetime.now(UTC) + timedelta(days=30)
        fleet = collect(Reader(server.url, reader.token), [GROUP], clone, None, later, changes=False, bot="bot")
    file, html = tmp_path / "fleet.json", tmp_path / "index.html"
    file.write_text(json.dumps(fleet), encoding="utf-8")
    assert main(["page", str(file), "--output", str(html)]) == 0
    with open_file(browser, html) as page:
        page.locator("#show").select_option("")
        names = [path.rpartition("/")[2] for path in page.locator("tbody th a").all_inner_texts()]
        assert dict(zip(names, cells(page, "Stuck, and why"), strict=True)) == said
        # What stands still by intent is not stuck.
        page.locator("#show").select_option("blocked")
        stuck = {path.rpartition("/")[2] for path in page.locator("tbody th a").all_inner_texts()}
        assert stuck == said.keys() - {"fine", "archived", "other", "none", "empty"}


def cells(page: Page, name: str) -> list[str]:
    """Return what stands in a column."""
    return page.locator(f'tbody td[data-name="{name}"]').all_inner_texts()


def test_changed_files_and_signatures_are_found(
    template: Path,
    upstream: str,
    bare_python: Path,
    shared_folder: Path,
    cosign: Path,
    keys: KeyPair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One that the user without rights may run, as in the image of a job.
    for folder in (tmp_path, template, Path(tempfile.gettempdir())):
        make_traversable(shared_folder.parent, folder)
    python = tmp_path / "venv" / "bin" / "python"
    run("uv", "venv", "--quiet", "--python", bare_python, tmp_path / "venv")
    run("uv", "pip", "install", "--quiet", "--link-mode", "copy", "--python", python, "cookiecutter>=2.6")
    commit = run("git", "rev-parse", "0.1.0^{commit}", cwd=template).strip()
    answers = {"project_name": "Mine", "project_slug": "mine", "package_name": "mine", "signing": "key"}
    made = bake(tmp_path, _component_project="", **answers)
    files = {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    files = {name: content for name, content in files.items() if not name.startswith(".git/")}
    files |= {".cruft.json": link_to(template, commit, answers), "cosign.pub": keys.public.encode()}
    other = {**files, "README.md": b"Mine.\n"}
    del other["tox.ini" if "tox.ini" in other else "CONTRIBUTING.md"]
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  mine-1.0.0-py3-none-any.whl\n", encoding="utf-8")
    bundle = make_bundle(cosign, keys, tmp_path / "signing", "sign-blob", sums).read_bytes()
    monkeypatch.setenv("PATH", str(cosign.parent), prepend=":")
    with SharedGitLab(tmp_path / "gitlab", upstream) as server:
        reader = server.add_user("fleet", {GROUP: Level.REPORTER}, "read_api")
        # Signed with the same key: what is of another version, and of another package.
        released = {
            "same": (files, "v1.0.0", sums.read_bytes()),
            "other": (other, "v1.0.0", b"forged"),
            "older": (files, "v1.0.1", sums.read_bytes()),
            "mi": (files, "v1.0.0", sums.read_bytes()),
        }
        for name, (content, tag, signed) in released.items():
            project = server.share_project(f"{GROUP}/{name}", Snapshot(content))
            package = {"same": "mine", "older": "mine"}.get(name, name)
            add_release(project, package, tag, {"SHA256SUMS": signed, "SHA256SUMS.sigstore.json": bundle})
        server.share_project(f"{GROUP}/run", Snapshot({".cruft.json": link_to(template, commit, {"kind": "none"})}))
        clone = Template(str(template), tmp_path / "clone")
        found = collect(
            Reader(server.url, reader.token), [GROUP], clone, None, datetime.now(UTC), python=str(python), bot="bot"
        )
    known = by_name(found)
    assert "of" in known["same"]["changes"], known["same"]["changes"]
    assert (known["same"]["changes"]["changed"], known["same"]["changes"]["removed"]) == ([], [])
    assert known["same"]["changes"]["of"] == len(files) - 2
    assert known["other"]["changes"]["changed"] == ["README.md"]
    assert len(known["other"]["changes"]["removed"]) == 1
    assert known["run"]["changes"]["reason"].startswith("not compared: the template refuses the answers")
    said = {name: (known[name]["release"]["verified"], known[name]["release"]["why"]) for name in released}
    assert said.pop("same") == ("yes", "signed by the key of the project")
    assert said.pop("other")[0] == "no"
    exchanged = ("no", "its SHA256SUMS are signed, but of another package or version")
    assert said == {"older": exchanged, "mi": exchanged}


@dataclass
class Small:
    """A GitLab with a canary that passed with 0.1.0, and one more project; and a clone of their template."""

    gitlab: Odd
    reader: Reader
    canary: SharedProject
    template: Template

    def look(self, before: Fleet | None, hours: float = 0) -> Fleet:
        """Collect, some hours after now."""
        now = datetime.now(UTC) + timedelta(hours=hours)
        return collect(self.reader, [GROUP], self.template, before, now, changes=False, bot="bot")


@pytest.fixture
def small(upstream: str, tmp_path: Path) -> Iterator[Small]:
    """An organisation with two projects."""
    template = tmp_path / "template"
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", template)
    commits = make_releases(template, 1, 2)
    with Odd(tmp_path / "gitlab", upstream) as server:
        server.answers = lambda _, sound: sound
        canary, _ = add_projects(server, template, {"0.1.0": commits["0.1.0"]}, 2)
        canary.topics = ["canary"]
        reader = Reader(server.url, reader_of(server).token)
        yield Small(server, reader, canary, Template(str(template), tmp_path / "clone"))


def test_no_group_is_asked_for_twice(small: Small) -> None:
    groups = [GROUP, f"{GROUP}/team-0", GROUP]
    fleet = collect(small.reader, groups, small.template, None, datetime.now(UTC), changes=False, bot="bot")
    assert fleet["groups"] == [GROUP]
    # All projects, and their merge requests in three states; then three for each project, and what a canary ran with.
    assert (len(fleet["projects"]), fleet["requests"]) == (2, 4 + 2 * 3 + 1)


def test_a_canary_that_gitlab_does_not_show_for_a_while_holds_what_it_has_broken(small: Small) -> None:
    link = link_to(Path(small.template.address), small.template.releases[-1]["commit"], {})
    first = small.look(None)
    small.canary.content, small.canary.last_activity_at = Snapshot({".cruft.json": link}), "2026-01-02T00:00:00.000Z"
    add_pipeline(small.canary, "main", str(small.canary.content.resolve("main")), "failed")
    second = small.look(first, 1)
    # Somebody pushes, so its link is read again.
    small.canary.last_activity_at = "2026-01-03T00:00:00.000Z"
    small.gitlab.answers = lambda path, sound: as_json(403, {}) if "cruft.json" in path else sound
    third = small.look(second, 2)
    small.gitlab.answers = lambda _, sound: sound
    fleets = [second, third, small.look(third, 3)]
    assert [by_name(each)["service-0000"]["state"] for each in fleets] == ["ok", "forbidden", "ok"]
    later = datetime.now(UTC) + timedelta(days=9)
    assert [progress(each, Days(), later)[-1].state for each in fleets] == ["held"] * 3


TRIAL = "b" * 40
# What somebody else can make of a merge request, each but the last one without the bot.
OTHERWISE: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "nothing": lambda request, pipeline: None,
    "author": lambda request, pipeline: request.update(author={"id": 7, "username": "mallory"}),
    "branch": lambda request, pipeline: request.update(source_branch="mallory"),
    "fork": lambda request, pipeline: request.update(source_project_id=99),
    "starter": lambda request, pipeline: pipeline.update(user={"username": "mallory"}),
    "age": lambda request, pipeline: pipeline.update(created_at=QUIET),
    "files": lambda request, pipeline: [each.update(sha="c" * 40) for each in (request, pipeline)],
    "draft": lambda request, pipeline: request.update(title=f"Draft: {request['title']}"),
}


@dataclass(frozen=True)
class Tried(Snapshot):
    """A repository with a commit that has other files."""

    trial: Mapping[str, bytes] = field(default_factory=dict)

    def read(self, ref: str, path: str) -> bytes | None:
        """Return the content of a file."""
        return self.trial.get(path) if ref == TRIAL else super().read(ref, path)


@pytest.mark.parametrize("status", ["success", "failed"])
@pytest.mark.parametrize(
    "what", [*map(frozenset, combinations(OTHERWISE, 1)), *map(frozenset, combinations(OTHERWISE, 2))]
)
def test_only_the_bots_own_merge_request_releases_or_holds(what: frozenset[str], status: str, small: Small) -> None:
    """Title and label anybody may write; who, where from and when GitLab says."""
    old, new = (
        {".cruft.json": link_to(Path(small.template.address), each["commit"], {})} for each in small.template.releases
    )
    small.canary.content = Tried(old, new)
    request = {
        **{"id": 1, "iid": 1, "title": "Update the template to 0.2.0", "labels": ["py-ci-template"], "state": "opened"},
        **dict.fromkeys(("project_id", "source_project_id", "target_project_id"), small.canary.id),
        **{"source_branch": BRANCH, "target_branch": "main", "author": {"id": 1, "username": "bot"}, "sha": TRIAL},
        **dict.fromkeys(("created_at", "updated_at"), datetime.now(UTC).isoformat()),
    }
    pipeline = add_pipeline(small.canary, BRANCH, TRIAL, status)
    for each in what:
        OTHERWISE[each](request, pipeline)
    request |= {"web_url": "", "draft": str(request["title"]).startswith("Draft: "), "has_conflicts": False}
    answers = {"/groups/org/merge_requests": [request], "/merge_requests/1": {**request, "head_pipeline": pipeline}}

    def answer(path: str, sound: Response) -> Response:
        return next((as_json(200, each) for end, each in answers.items() if path.endswith(end)), sound)

    small.gitlab.answers = answer
    later = datetime.now(UTC) + timedelta(days=4)
    state = progress(small.look(None), Days(), later)[-1].state
    assert state == ("new" if what - {"nothing"} else "released" if status == "success" else "held")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/groups/org/projects", ["path_with_namespace", "web_url", "topics", "last_activity_at", "default_branch"]),
        ("/pipelines/latest", ["status", "web_url", "sha", "updated_at", "created_at"]),
        ("/groups/org/merge_requests", ["id", "iid", "project_id", "title", "state", "sha", "web_url", "created_at"]),
        ("/releases", ["tag_name", "released_at", "assets"]),
    ],
)
def test_an_odd_answer_stops_neither_the_page_nor_the_next_time(
    path: str, names: list[str], small: Small, tmp_path: Path
) -> None:
    request = {"id": 1, "iid": 1, "project_id": 1, "title": "Update the template to 0.2.0", "state": "closed"}
    request |= {"web_url": "", "sha": "", "created_at": QUIET, "author": {"username": "bot"}, "source_branch": BRANCH}
    request |= {"source_project_id": 1, "target_project_id": 1}
    file = tmp_path / "fleet.json"
    add_release(small.canary, "service", "v1.0.0", {})

    def look(name: str, odd: object) -> Fleet | None:
        """Collect with one part of an answer replaced; return nothing where that is said."""

        def spoil(asked: str, sound: Response) -> Response:
            if not asked.endswith(path):
                return sound
            found = json.loads(sound.data) or [request]
            first, *rest = found if isinstance(found, list) else [found]
            first[name] = odd
            return as_json(200, [first, *rest] if isinstance(found, list) else first)

        small.gitlab.answers = spoil
        try:
            return small.look(None)
        except FleetError as error:
            return None if "GitLab's answer is odd" in str(error) else pytest.fail(str(error))
        finally:
            small.gitlab.answers = lambda _, sound: sound

    for name, odd in product(names, (None, {"a": [1]})):
        if found := look(name, odd):
            file.write_text(json.dumps(found), encoding="utf-8")
            render(load(file), Days())
    assert {each["state"] for each in small.look(load(file))["projects"]} == {"ok"}


@pytest.mark.parametrize("what", ["projects", "merge_requests"])
def test_a_list_that_is_none_or_has_no_end_is_said(what: str, small: Small) -> None:
    asked = f"/api/v4/groups/org/{what}"
    pages = ["null", "{}", "[5]", "[{}]", "[[]]", "[" * 100_000, "<html>", '[{"id": 1, "iid": 1, "project_id": 1}]']
    for content in pages:
        again = {"Link": f'<{small.gitlab.url}{asked}?per_page=100>; rel="next"'}
        page = Response(content, headers=again, content_type="application/json")
        small.gitlab.answers = lambda path, sound, page=page: page if path == asked else sound  # type: ignore[misc]
        with pytest.raises(FleetError, match=f"^The {what.replace('_', ' ')} of org cannot be listed: ") as error:
            small.look(None)
    assert "GitLab gives the same page again and again" in str(error.value)


@pytest.mark.parametrize(
    ("words", "token", "paragraph"),
    [
        (["collect", "--group", "org"], "", "fleet-token"),
        (["collect", "--group", "org"], "glpat-wrong", "fleet-token"),
        (["collect", "--group", "nobody"], None, "fleet-group"),
        (["collect", "--group", "org", "--template", "/nowhere"], None, "fleet-template"),
        (["plan", "none.json"], None, "fleet-file"),
        (["collect", "--group", "org", "--output", "none/fleet.json"], None, "fleet-write"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    words: list[str],
    token: str | None,
    paragraph: str,
    organisation: Organisation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITLAB_TOKEN", organisation.token if token is None else token)
    monkeypatch.setenv("CI_SERVER_URL", organisation.gitlab.url)
    monkeypatch.setenv("PY_CI_TEMPLATE", str(organisation.template))
    assert main([*words, *(["--no-changes"] if words[0] == "collect" else [])]) == 1
    see, message = capsys.readouterr().err.splitlines()
    assert see == f"See docs/troubleshooting.md#{paragraph}"
    assert message.endswith(".") or "cannot be" in message
    assert "glpat" not in message
    assert not [*tmp_path.iterdir()]
