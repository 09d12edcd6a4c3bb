"""Reads the state of all projects of groups from GitLab, and keeps it in fleet.json.

With `--previous`, what cannot have changed since is taken over. All that projects say is data.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import gitlab
import requests

from tools.addresses import place, text_without_secrets
from tools.fleet.data import (
    FORMAT,
    LARGEST,
    LINK,
    BrokenLinkError,
    Changes,
    Day,
    Fleet,
    FleetError,
    MergeRequest,
    Pipeline,
    Project,
    Published,
    Release,
    Run,
    dated,
    days_between,
    load,
    moment,
    order,
    plain,
    read_link,
    save,
)
from tools.fleet.signatures import TooLargeError, asset_of, limited, verify
from tools.fleet.template import Template

HELP = "Read the state of all projects of groups from GitLab into fleet.json."
# Of the merge requests of the bot: that of bot/preset.json, behind what Renovate puts before each.
BRANCH = "renovate/py-ci-template"
TITLE = re.compile(r"(?:Draft: )?Update the template to (v?[0-9]+\.[0-9]+\.[0-9]+)")
# GitLab notes that a project is active once in this time: https://docs.gitlab.com/api/projects/
ACTIVITY = timedelta(hours=1)
# By how much the clock of GitLab may be another.
CLOCKS = timedelta(minutes=10)
# How many projects are rendered by one process.
PART = 25
# Pages of a list of files, of 100 each, that are asked for.
PAGES = 50
# How many releases of the template, and how many days, are remembered of a project and of all.
REMEMBERED, DAYS = 5, 730
# What is raised where an answer of GitLab is not as it documents it, and where there is none.
ODD = (LookupError, TypeError, ValueError, AttributeError)
FAILURES = (gitlab.GitlabError, requests.RequestException, *ODD)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    template, server = os.environ.get("PY_CI_TEMPLATE"), os.environ.get("CI_SERVER_URL", "https://gitlab.com")
    parser.add_argument(
        "--group", action="append", required=True, metavar="PATH", help="with its subgroups; can be repeated"
    )
    said = "the template, as git clones it; without it, PY_CI_TEMPLATE says it"
    parser.add_argument("--template", default=template, required=template is None, metavar="ADDRESS", help=said)
    parser.add_argument(
        "--gitlab", default=server, metavar="URL", help="%(default)s; it takes the token in GITLAB_TOKEN"
    )
    parser.add_argument("--bot", metavar="NAME", help="who opens the merge requests; without it, whose token it is")
    parser.add_argument("--previous", type=Path, metavar="FILE", help="what was written last time; it need not exist")
    parser.add_argument("--output", type=Path, default=Path("fleet.json"), metavar="FILE", help="%(default)s")
    parser.add_argument(
        "--verify-days", type=float, default=7, metavar="DAYS", help="how old a check may be: %(default)s"
    )
    parser.add_argument(
        "--no-changes", action="store_true", help="do not look for local changes to the template's files"
    )


@dataclass
class Reader:
    """What asks GitLab, each thread in a connection of its own, and counts the requests."""

    url: str
    token: str = field(repr=False)
    asked: list[str] = field(default_factory=list)
    _threads: threading.local = field(default_factory=threading.local)

    @property
    def gitlab(self) -> gitlab.Gitlab:
        """The connection of this thread."""
        found: gitlab.Gitlab | None = getattr(self._threads, "gitlab", None)
        if found is None:
            session = requests.Session()
            # Of each answer, also one that asks to wait.
            session.hooks["response"].append(lambda answer, **_: self.asked.append(answer.url))
            # As a header that no other server gets where a registry sends on to its storage.
            found = gitlab.Gitlab(
                self.url, oauth_token=self.token, session=session, retry_transient_errors=True, timeout=60, per_page=100
            )
            self._threads.gitlab = found
        return found


def main(given: argparse.Namespace) -> int:
    """Read, and write the file; return the exit status."""
    token = os.environ.get("GITLAB_TOKEN")
    if not token:
        raise FleetError("fleet-token", "GITLAB_TOKEN is not set: give it a token with the scope read_api.")
    previous = load(given.previous) if given.previous and given.previous.exists() else None
    with TemporaryDirectory(prefix="py-ci-fleet-") as folder:
        template = Template(given.template, Path(folder) / "template")
        reader = Reader(given.gitlab.rstrip("/"), token)
        fleet = collect(
            reader,
            given.group,
            template,
            previous,
            datetime.now(UTC),
            verify_days=given.verify_days,
            changes=not given.no_changes,
            bot=given.bot,
        )
    save(given.output, json.dumps(fleet, separators=(",", ":")) + "\n")
    states = Counter(each["state"] for each in fleet["projects"])
    print(f"{sum(states.values())} projects in {fleet['seconds']} s, with {fleet['requests']} requests to GitLab")
    print(", ".join(f"{state}: {count}" for state, count in sorted(states.items())))
    return 0


def collect(
    reader: Reader,
    groups: list[str],
    template: Template,
    previous: Fleet | None,
    now: datetime,
    *,
    verify_days: float = 7,
    changes: bool = True,
    python: str | None = None,
    bot: str | None = None,
) -> Fleet:
    """Return the state of all projects of the groups."""
    begin = time.monotonic()
    if previous and place(previous["template"]) != place(template.address):
        raise FleetError("fleet-file", "--previous is of another template: run collect without it.")
    known = {each["id"]: each for each in previous["projects"]} if previous else {}
    # What is in a group that is named too would be listed twice.
    groups = [each for each in dict.fromkeys(groups) if not any(each.startswith(f"{other}/") for other in groups)]
    listed = list_projects(reader, groups)
    bot = bot or who_asks(reader)
    requested = list_merge_requests(reader, groups, bot, previous["at"] if previous else None)
    releases = since_when(template.releases, previous, now)
    look = Look(reader, template, now, verify_days, changes, bot, {each["version"]: each["at"] for each in releases})
    with ThreadPoolExecutor(8) as pool:
        work = [
            pool.submit(look.at, each, known.get(each["id"]), requested.get(each["id"], [])) for each in listed.values()
        ]
        found = [each.result() for each in work]
    compare(look.trees, found, template, python)
    return Fleet(
        format=FORMAT,
        at=now.isoformat(timespec="seconds"),
        template=template.address,
        groups=groups,
        releases=releases,
        projects=sorted(found, key=lambda each: each["path"]),
        requests=len(reader.asked),
        seconds=round(time.monotonic() - begin, 1),
        history=history(previous["history"] if previous else [], found, now),
    )


def list_projects(reader: Reader, groups: Iterable[str]) -> dict[int, dict[str, Any]]:
    """Return what GitLab says of all projects of groups and their subgroups, by number."""
    found = {}
    for group in groups:
        pages: dict[str, Any] = {"pagination": "keyset", "order_by": "id", "per_page": 100}
        try:
            lazy = reader.gitlab.groups.get(group, lazy=True)
            for each in ending(lazy.projects.list(iterator=True, include_subgroups=True, **pages), "id"):
                found[int(each.id)] = each.attributes
        except gitlab.GitlabAuthenticationError:
            raise FleetError(
                "fleet-token", f"{reader.url} does not take GITLAB_TOKEN: make a new one with the scope read_api."
            ) from None
        except FAILURES as error:
            raise FleetError("fleet-group", f"The projects of {group} cannot be listed: {said(error)}") from None
    return found


def who_asks(reader: Reader) -> str:
    """Return the name of the user whose token it is."""
    try:
        return str(reader.gitlab.http_get("/user")["username"])  # type: ignore[index]
    except gitlab.GitlabAuthenticationError:
        raise FleetError(
            "fleet-token", f"{reader.url} does not take GITLAB_TOKEN: make a new one with the scope read_api."
        ) from None
    except FAILURES as error:
        raise FleetError("fleet-token", f"GitLab does not say whose token it is: {said(error)}") from None


def list_merge_requests(
    reader: Reader, groups: Iterable[str], bot: str, since: str | None
) -> dict[int, list[dict[str, Any]]]:
    """Return the merge requests of the bot by the number of their project: all open ones, and what has changed.

    Everybody may write a title and a label. Who has opened one, and from which branch, is GitLab's to say.
    """
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for group in groups:
        queries: list[dict[str, Any]] = [{"state": "opened"}]
        # Without a time before, a month is all that counts.
        after = moment(since) - CLOCKS if since else datetime.now(UTC) - timedelta(days=30)
        queries += [{"state": state, "updated_after": after.isoformat()} for state in ("merged", "closed")]
        for query in queries:
            try:
                lazy = reader.gitlab.groups.get(group, lazy=True)
                ours = {"author_username": bot, "source_branch": BRANCH, "scope": "all", "per_page": 100, **query}
                for each in ending(lazy.mergerequests.list(iterator=True, **ours), "id"):
                    if not is_of_the_bot(each.attributes, bot):
                        continue
                    found.setdefault(each.project_id, {})[int(each.iid)] = each.attributes
            except FAILURES as error:
                message = f"The merge requests of {group} cannot be listed: {said(error)}"
                raise FleetError("fleet-group", message) from None
    return {project: sorted(each.values(), key=lambda one: one["iid"]) for project, each in found.items()}


def is_of_the_bot(request: dict[str, Any], bot: str) -> bool:
    """Tell whether a merge request is the bot's: a GitLab that does not know a query lists more than was asked for."""
    author, names = request.get("author"), ("project_id", "source_project_id", "target_project_id")
    ours = isinstance(author, dict) and author.get("username") == bot and request.get("source_branch") == BRANCH
    return ours and len({str(request.get(name)) for name in names}) == 1


def ending(items: Iterable[Any], name: str) -> Iterator[Any]:
    """Yield what GitLab lists; raise an error where a page comes again and again, and there would be no end."""
    seen: Counter[Any] = Counter()
    for each in items:
        key = each[name] if isinstance(each, dict) else getattr(each, name)
        seen[key] += 1
        # Where something is new, what was the last of a page is the first of the next.
        if seen[key] > 2:
            raise gitlab.GitlabError("GitLab gives the same page again and again")
        yield each


def said(error: Exception) -> str:
    """Return what an error says, in a line."""
    if isinstance(error, ODD) and not isinstance(error, requests.RequestException):
        return f"GitLab's answer is odd: {type(error).__name__}"
    status = getattr(error, "response_code", None)
    text = getattr(error, "error_message", None) or str(error)
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return plain(f"GitLab says {status} {text}" if status else text)[:200]


@dataclass
class Look:
    """Looks at one project after the other; `trees` has the files of those that are to be compared."""

    reader: Reader
    template: Template
    now: datetime
    verify_days: float
    changes: bool
    bot: str
    released: dict[str, str]
    trees: dict[int, tuple[str, dict[str, str]]] = field(default_factory=dict)

    def at(self, listed: dict[str, Any], before: Project | None, requested: list[dict[str, Any]]) -> Project:
        """Return what is known of a project now; what cannot be read is named with its reason."""
        now = self.now.isoformat(timespec="seconds")
        project = Project(
            id=listed["id"],
            path=f"project {listed['id']}",
            url="",
            topics=before["topics"] if before else [],
            active_at=now,
            read_at=now,
            asked_at=now,
            state="ok",
            reason="",
        )
        # Where it cannot be read now, this is still known of it.
        for name in ("runs", "trials", "merge_request"):
            if before and name in before:
                project[name] = before[name]
        try:
            project["path"], project["url"] = plain(listed["path_with_namespace"]), str(listed["web_url"])
            project["topics"] = [plain(topic) for topic in listed.get("topics", [])]
            project["active_at"] = dated(listed["last_activity_at"])
            if listed.get("archived"):
                return {**project, "state": "archived", "reason": "archived: nobody can change it"}
            if listed.get("empty_repo") or not listed.get("default_branch"):
                return {**project, "state": "empty", "reason": "its repository is empty, or not for this token"}
            project["branch"] = str(listed["default_branch"])
            handle = self.reader.gitlab.projects.get(listed["id"], lazy=True)
            # A release of an old tag, and a pipeline of a schedule, leave no trace at the project.
            quiet = unchanged(project, before)
            lately = False
            if before and quiet:
                lately = days_between(before["asked_at"], self.now) < 1
                kept = ("read_at", "state", "reason", "commit", "answers", "release", "changes")
                for name in kept:
                    if name in before:
                        project[name] = before[name]  # type: ignore[literal-required]
                if project["state"] != "ok":
                    return project
            else:
                self.read_files(project, handle, before)
                if project["state"] != "ok":
                    return project
            if lately and before:
                project["asked_at"] = before["asked_at"]
            else:
                self.read_release(project, handle, before)
            project["version"] = self.template.version_at(project["commit"])
            self.read_pipelines(project, handle, before, requested, lately)
            self.verify(project, handle)
        except (BrokenLinkError, TooLargeError) as error:
            return {**project, "state": "broken", "reason": str(error) or f"{LINK} is larger than {LARGEST} bytes"}
        except FAILURES as error:
            status = getattr(error, "response_code", None)
            state = "forbidden" if status in (401, 403, 404) else "broken"
            return {**project, "state": state, "reason": said(error)}
        return project

    def read_files(self, project: Project, handle: Any, before: Project | None) -> None:
        """Read the link to the template, and the list of files where the template is to be compared with it."""
        try:
            content = limited(handle.files.raw(LINK, ref=project["branch"], streamed=True, iterator=True), LARGEST)
        except gitlab.GitlabError as error:
            if error.response_code == 404 and "file" in str(error.error_message).lower():
                project["state"], project["reason"] = "none", "not made from a template"
                return
            raise
        link = read_link(content)
        if place(link.template) != place(self.template.address):
            project["state"], project["reason"] = (
                "other",
                f"made from another template, {text_without_secrets(link.template)}",
            )
            return
        project["commit"], project["answers"] = link.commit, link.answers
        if not self.template.has(link.commit):
            project["changes"] = {"reason": "not compared: its commit is not in the template"}
        elif link.directory:
            project["changes"] = {"reason": "not compared: the template is in a folder of its repository"}
        elif self.changes:
            files = {}
            query = {"recursive": True, "ref": project["branch"], "pagination": "keyset", "per_page": 100}
            for entry in ending(handle.repository_tree(iterator=True, **query), "path"):
                if entry["type"] == "blob":
                    files[str(entry["path"])] = str(entry["id"])
                if len(files) > 100 * PAGES:
                    break
            if len(files) > 100 * PAGES:
                project["changes"] = {"reason": f"not compared: it has more than {100 * PAGES} files"}
            elif before and alike(before, link.commit, link.answers, digest(files)):
                project["changes"] = before["changes"]
            else:
                self.trees[project["id"]] = (digest(files), files)

    def read_release(self, project: Project, handle: Any, before: Project | None) -> None:
        """Read the newest release, and keep what is known of its signature."""
        project["release"] = None
        try:
            releases = handle.releases.list(per_page=1, get_all=False)
        except gitlab.GitlabError as error:
            if error.response_code in (403, 404):
                return
            raise
        for each in releases:
            found = each.attributes
            tag = plain(str(found["tag_name"]))
            asset = asset_of(found, tag)
            page = f"{project['url']}/-/releases/{quote(tag, safe='')}"
            release = Published(tag=tag, at=dated(found["released_at"]), asset=list(asset or ()), url=page)
            known = before.get("release") if before else None
            same = known and all(known[name] == release[name] for name in ("tag", "at", "asset"))
            project["release"] = {**known, **release} if known and same else release

    def verify(self, project: Project, handle: Any) -> None:
        """Verify the signature of the newest release, unless that was done lately."""
        release = project.get("release")
        if not release:
            return
        checked = release.get("checked_at")
        if checked and release.get("verified") != "unknown" and days_between(checked, self.now) < self.verify_days:
            return
        asset = (release["asset"][0], release["asset"][1]) if release["asset"] else None
        signing = str(project["answers"].get("signing", ""))
        # As it is in certificates, whichever address the API is asked at.
        server = project["url"].removesuffix(f"/{project['path']}")
        holds, why = verify(handle, project["url"], server, release["tag"], asset, signing)
        release.update({"verified": holds, "why": why, "checked_at": self.now.isoformat(timespec="seconds")})

    def read_pipelines(
        self, project: Project, handle: Any, before: Project | None, requested: list[dict[str, Any]], lately: bool
    ) -> None:
        """Read the newest pipelines of the default branch and of the bot's merge request, where they may be others."""
        project["runs"], project["trials"] = dict(project.get("runs", {})), dict(project.get("trials", {}))
        pipeline = before.get("pipeline") if before else None
        green = pipeline is not None and pipeline["status"] == "success"
        if not (lately and green and "canary" not in project["topics"]):
            pipeline = self.newest(handle, project["branch"])
        project["pipeline"] = pipeline
        if pipeline and project["version"] and self.is_with(project, handle, pipeline, project["version"]):
            remember(project["runs"], project["version"], pipeline)
        known = project.get("merge_request")
        request = merge_request_of(requested, known)
        project["merge_request"] = request
        if request and request["state"] == "opened":
            if known and (known["iid"], known["sha"]) == (request["iid"], request["sha"]):
                request["pipeline"] = known["pipeline"]
            if not request["pipeline"] or request["pipeline"]["status"] != "success":
                found = handle.mergerequests.get(request["iid"]).attributes.get("head_pipeline")
                # One that somebody else has started may be of another commit of the branch.
                ours = found and (found["user"]["username"], found["sha"]) == (self.bot, request["sha"])
                request["pipeline"] = described(found) if ours else None
            pipeline, version = request["pipeline"], request["version"]
            # With a conflict in its files, it says nothing of the release.
            if request["draft"] or request["conflicts"] or not (pipeline and version):
                return
            if self.is_with(project, handle, pipeline, version):
                remember(project["trials"], version, pipeline)

    def is_with(self, project: Project, handle: Any, pipeline: Pipeline, version: str) -> bool:
        """Tell whether a pipeline is of a commit that has a release, and younger than that; of a canary this counts."""
        if "canary" not in project["topics"]:
            return True
        known = [runs[version]["url"] for runs in (project["runs"], project["trials"]) if version in runs]
        if pipeline["url"] in known:
            return True
        began, released = pipeline.get("created_at"), self.released.get(version)
        # The clocks of GitLab and of who made the tag may differ.
        if not began or not released or moment(began) < moment(released) - CLOCKS:
            return False
        try:
            content = handle.files.raw(LINK, ref=pipeline["sha"], streamed=True, iterator=True)
            return self.template.version_at(read_link(limited(content, LARGEST)).commit) == version
        except (BrokenLinkError, TooLargeError, *FAILURES):
            return False

    def newest(self, handle: Any, branch: str) -> Pipeline | None:
        """Return the newest pipeline of a branch; None where there is none, or where the project has no pipelines."""
        try:
            return described(handle.pipelines.latest(ref=branch).attributes)
        except gitlab.GitlabError as error:
            if error.response_code in (403, 404):
                return None
            raise


def unchanged(project: Project, before: Project | None) -> bool:
    """Tell whether nothing was pushed to a project since it was read.

    GitLab notes an activity only where the last one is an hour ago, so what was read sooner may be older.
    """
    if before is None or before["state"] in ("forbidden", "broken", "archived", "empty"):
        return False
    same = before["active_at"] == project["active_at"] and before.get("branch") == project.get("branch")
    return same and moment(before["read_at"]) - moment(project["active_at"]) > ACTIVITY + CLOCKS


def alike(before: Project, commit: str, answers: dict[str, Any], tree: str) -> bool:
    """Tell whether a project was compared with the template as it is now."""
    same = (before.get("commit"), before.get("answers")) == (commit, answers)
    return same and before.get("changes", {}).get("tree") == tree


def described(pipeline: dict[str, Any]) -> Pipeline:
    """Return what is kept of a pipeline."""
    return Pipeline(
        status=plain(str(pipeline["status"])),
        url=str(pipeline["web_url"]),
        sha=str(pipeline["sha"]),
        at=dated(pipeline["updated_at"]),
        created_at=dated(pipeline["created_at"]),
    )


def remember(runs: dict[str, Run], version: str, pipeline: Pipeline) -> None:
    """Keep how the newest pipeline with a release went, once it has ended; one that was cancelled says nothing."""
    if pipeline["status"] not in ("success", "failed"):
        return
    # The first pipeline after an update may not be there yet, and the newest be one of the release before.
    if any(name != version and each["url"] == pipeline["url"] for name, each in runs.items()):
        return
    old = runs.get(version)
    passed, at = pipeline["status"] == "success", pipeline["at"]
    since = old["since"] if old else None
    if passed and (since is None or (old and old["status"] != "success")):
        since = at
    broke = at if not passed else old["broke"] if old else None
    runs[version] = Run(status=pipeline["status"], url=pipeline["url"], at=at, since=since, broke=broke)
    for each in sorted(runs, key=order)[:-REMEMBERED]:
        del runs[each]


def merge_request_of(requested: list[dict[str, Any]], known: MergeRequest | None) -> MergeRequest | None:
    """Return the newest merge request of the bot: the open one, else the last."""
    if not requested:
        # All that are open were listed.
        return known if known and known["state"] != "opened" else None
    each = next((one for one in reversed(requested) if one["state"] == "opened"), requested[-1])
    found = TITLE.match(str(each["title"]))
    return MergeRequest(
        iid=int(each["iid"]),
        url=str(each["web_url"]),
        title=plain(str(each["title"]))[:200],
        version=found[1] if found else None,
        state=plain(str(each["state"])),
        draft=bool(each.get("draft")),
        conflicts=bool(each.get("has_conflicts")),
        sha=str(each.get("sha")),
        created_at=dated(each["created_at"]),
        pipeline=None,
    )


def digest(files: dict[str, str]) -> str:
    """Return a short name for the files of a project."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:16]


def compare(
    trees: dict[int, tuple[str, dict[str, str]]], projects: list[Project], template: Template, python: str | None
) -> None:
    """Note for each project which files of the template it has changed or removed since."""
    of_commit: dict[str, list[Project]] = {}
    for project in projects:
        if project["id"] in trees and project["state"] == "ok":
            of_commit.setdefault(project["commit"], []).append(project)
    parts = [
        (commit, those[begin : begin + PART])
        for commit, those in of_commit.items()
        for begin in range(0, len(those), PART)
    ]

    def render(part: tuple[str, list[Project]]) -> list[Any]:
        return template.render(part[0], [each["answers"] for each in part[1]], *([python] if python else []))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (_, those), rendered in zip(parts, pool.map(render, parts), strict=True):
            for project, made in zip(those, rendered, strict=True):
                refused = isinstance(made, str)
                project["changes"] = Changes(reason=made) if refused else difference(*trees[project["id"]], made)


def difference(tree: str, files: dict[str, str], made: dict[str, str]) -> Changes:
    """Return which files of the template a project has otherwise, and which it lacks."""
    return Changes(
        tree=tree,
        of=len(made),
        changed=[name for name in made if name in files and files[name] != made[name]],
        removed=[name for name in made if name not in files],
    )


def since_when(releases: list[Release], previous: Fleet | None, now: datetime) -> list[Release]:
    """Return the releases with the times since when they are there.

    A tag without a message has the time of its commit, which may be weeks old, and any clock may be wrong: one that was
    not there the last time is younger than that, and none is of tomorrow.
    """
    known = {(each["version"], each["commit"]): each["at"] for each in previous["releases"]} if previous else {}
    latest = now.isoformat(timespec="seconds")
    found = []
    for each in releases:
        at = max(each["at"], previous["at"] if previous else each["at"], key=moment)
        at = known.get((each["version"], each["commit"]), min(at, latest, key=moment))
        found.append(Release(version=each["version"], commit=each["commit"], at=at))
    return found


def history(known: list[Day], projects: list[Project], now: datetime) -> list[Day]:
    """Return how many projects had which version on each day, with today's in place of an earlier one of today."""
    day = now.date().isoformat()
    versions = Counter(each.get("version") or "unknown" for each in projects if each["state"] == "ok")
    return [*(each for each in known if each["day"] != day), Day(day=day, versions=dict(versions))][-DAYS:]
