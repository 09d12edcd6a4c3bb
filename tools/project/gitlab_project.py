"""A project on GitLab: what is there, and what is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from gitlab import Gitlab
from gitlab.exceptions import GitlabHttpError, GitlabParsingError

from tools.pipeline.key import KEY, PASSWORD, make_key_pair, public_key
from tools.project.answers import Answers
from tools.project.faults import UnusableError
from tools.project.repository import PUBLIC_KEY, Repository
from tools.project.wanted import MAINTAINER, SIGNING, Wanted, variable

# How a question is asked again after an error; what changes something is not.
AGAIN: dict[str, Any] = {"retry_transient_errors": True, "max_retries": 5}
# What says that something cannot be, and not only now.
REFUSALS = (400, 403, 404, 409, 422)


def whole(found: Any) -> dict[str, Any]:
    """Return an object that GitLab answered; raise where something else did, such as the page of a proxy to log in."""
    if not isinstance(found, dict) or not found:
        raise GitlabParsingError("what is no answer of its API")
    return found


class State(StrEnum):
    """What became of a setting."""

    THERE = "there"
    MADE = "made"
    MISSING = "missing"
    DIFFERS = "differs"
    LEFT = "left to you"
    NOT_OFFERED = "not offered"


@dataclass(frozen=True)
class Finding:
    """What became of a setting, and why."""

    state: State
    what: str
    why: str = ""

    @property
    def done(self) -> bool:
        """Whether nobody has to do anything."""
        return self.state in (State.THERE, State.MADE, State.NOT_OFFERED)


@dataclass(frozen=True)
class RemoteProject:
    """The project; with `check`, nothing is made."""

    gitlab: Gitlab
    said: dict[str, Any]
    check: bool

    @property
    def page(self) -> str:
        """Its address."""
        return str(self.said["web_url"])

    @property
    def empty(self) -> bool:
        """Whether nothing was pushed when it was asked for."""
        return bool(self.said["empty_repo"])

    def path(self, below: str) -> str:
        """Return a path of the API."""
        return f"/projects/{self.said['id']}/{below}"

    def list(self, below: str, **query: Any) -> list[dict[str, Any]]:
        """Return all of a list."""
        try:
            return [whole(each) for each in self.gitlab.http_list(self.path(below), query, get_all=True, **AGAIN)]
        except (KeyError, TypeError):
            # It is no list.
            return [whole(None)]

    def get(self, below: str) -> dict[str, Any] | None:
        """Return one thing; None where it is not there."""
        try:
            return whole(self.gitlab.http_get(self.path(below), **AGAIN))
        except GitlabHttpError as refused:
            if refused.response_code == 404:
                return None
            raise

    def make(self, below: str, attributes: Any) -> None:
        """Make something, once: after an error it may be there."""
        whole(self.gitlab.http_post(self.path(below), post_data=dict(attributes)))

    def shares_history(self, repository: Repository) -> bool:
        """Tell whether what was pushed began with the same commit."""
        return any(self.get(f"repository/commits/{root}") for root in repository.roots)

    def settle(self, wanted: Wanted) -> Finding:
        """Make a setting that is missing, and say so; one that is there stays as it is."""
        page = f"{self.page}/{wanted.page}"
        try:
            every = self.list(wanted.path)
            found = [each for each in every if wanted.same(each)]
            fault = wanted.fault(found, every)
            if self.check and not found:
                return Finding(State.MISSING, wanted.what, fault)
            if not found:
                self.make(wanted.path, wanted.attributes)
        except GitlabHttpError as refused:
            return self._refused(refused, wanted, page)
        if fault:
            return Finding(State.DIFFERS, wanted.what, f"{fault}: {page}")
        return there(wanted.what) if found else Finding(State.MADE, wanted.what)

    def _refused(self, refused: GitlabHttpError, wanted: Wanted, page: str) -> Finding:
        """Say why GitLab made or showed nothing; raise what the next run may not meet."""
        status = refused.response_code or 0
        if status not in REFUSALS:
            raise refused
        forbidden = status == 403 and ("scope" in str(refused) or self.level < MAINTAINER)
        if wanted.offered and status in (400, 403, 404) and not forbidden:
            return Finding(State.NOT_OFFERED, wanted.what, "this GitLab has none of the kind")
        if status in (403, 404):
            return Finding(State.LEFT, wanted.what, f"the token has no right to it ({status}): {page}")
        return Finding(State.LEFT, wanted.what, f"GitLab said {refused}; set it by hand: {page}")

    @property
    def level(self) -> int:
        """The level of whose token it is."""
        given = (self.said.get("permissions") or {}).values()
        return max((each["access_level"] for each in given if each), default=0)

    def key_pair(self, repository: Repository) -> Iterator[Finding]:
        """Make a key pair, unless there is one: its halves on GitLab first, then the public key in the folder.

        Each step follows from what those before it have left, so that after an interruption the next run goes on.
        """
        file = repository.folder / PUBLIC_KEY
        try:
            found = {name: self._secret(name) for name in (PASSWORD, KEY)}
        except GitlabHttpError as refused:
            yield self._refused(refused, (secret := variable(KEY, "")), f"{self.page}/{secret.page}")
            return
        absent = [name for name, item in found.items() if item is None]
        password, private = (str(item["value"] or "") if item else "" for item in found.values())
        why = ""
        if absent and file.exists():
            why = f"add those that belong to {PUBLIC_KEY}; or, if nothing was ever signed with it, remove that file"
        elif absent and (private or (found[PASSWORD] and not password)):
            why = "it does not follow from what is there: add it, or remove the other one too"
        pair = make_key_pair(password or None) if absent and not why and not self.check else None
        for name, value in ((PASSWORD, pair and pair.password), (KEY, pair and pair.private)):
            wanted = variable(name, value or "")
            if why and name in absent:
                yield Finding(State.LEFT, wanted.what, f"{why}: {self.page}/{wanted.page}")
                continue
            finding = self.settle(wanted)
            yield finding
            if finding.state is State.LEFT:
                return
        if repository.has_public_key():
            yield there(PUBLIC_KEY)
        elif self.check:
            yield Finding(State.MISSING, PUBLIC_KEY)
        elif not why:
            yield self._public_key(repository, pair.public if pair else None, password, private)

    def _secret(self, name: str) -> dict[str, Any] | None:
        """Return a variable, rather that of the jobs that sign."""
        found = [each for each in self.list("variables") if each["key"] == name]
        return min(found, key=lambda each: each["environment_scope"] != SIGNING, default=None)

    def _public_key(self, repository: Repository, public: str | None, password: str, private: str) -> Finding:
        """Write the public key, where it is not there."""
        file = repository.folder / PUBLIC_KEY
        if not file.exists():
            try:
                public = public or public_key(private, password)
            except ValueError:
                why = f"it is the public key of {KEY}, whose password GitLab shows to nobody: put it into the folder"
                return Finding(State.LEFT, PUBLIC_KEY, why)
            file.write_text(public, encoding="utf-8", newline="\n")
        if self.empty:
            return Finding(State.MADE, PUBLIC_KEY)
        return Finding(State.LEFT, PUBLIC_KEY, "it is in the folder: commit it, and push it")


def there(what: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(State.THERE, what)


def find(gitlab: Gitlab, path: str, check: bool) -> RemoteProject | None:
    """Return a project; None where there is none that the token may see."""
    try:
        said = whole(gitlab.http_get(f"/projects/{quote(path, safe='')}", **AGAIN))
    except GitlabHttpError as refused:
        if refused.response_code == 404:
            return None
        raise
    return RemoteProject(gitlab, said, check)


def create(gitlab: Gitlab, answers: Answers, visibility: str) -> RemoteProject:
    """Make the project; raise UnusableError where GitLab does not let the token."""
    group = answers.gitlab_namespace
    try:
        namespace = whole(gitlab.http_get(f"/namespaces/{quote(group, safe='')}", **AGAIN))
        given = {
            "name": answers.project_slug,
            "path": answers.project_slug,
            "namespace_id": namespace["id"],
            "visibility": visibility,
        }
        said = whole(gitlab.http_post("/projects", post_data=given))
    except GitlabHttpError as refused:
        if refused.response_code == 404:
            raise UnusableError(
                "project-namespace", f"There is no group or user {group} that the token may see: make it, or join it."
            ) from refused
        if refused.response_code in (400, 403):
            raise UnusableError(
                "project-namespace",
                f"GitLab does not let the token make {answers.path}: {refused}. It needs the scope api, and a role "
                f"in {group} that may make projects.",
            ) from refused
        raise
    # It does not say what the token may do there.
    return find(gitlab, answers.path, check=False) or RemoteProject(gitlab, said, check=False)
