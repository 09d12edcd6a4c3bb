"""A project that people share: what the API keeps of it beside what jobs uploaded."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.gitlab_rest.repositories import GitRepository, Snapshot


def now() -> str:
    """Return the time as the API says it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class SharedProject(Project):
    """A project with members.

    `content` is None where nothing was ever pushed. `records` has what the API made, by the last part of its path, such
    as `merge_requests`. `settings` are the attributes of the project that can be set by people.
    """

    visibility: str = "private"
    default_branch: str = "main"
    archived: bool = False
    topics: list[str] = field(default_factory=list)
    content: GitRepository | Snapshot | None = None
    last_activity_at: str = field(default_factory=now)
    settings: dict[str, Any] = field(default_factory=dict)
    records: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def git(self) -> GitRepository:
        """The repository, of a project that has one in git."""
        assert isinstance(self.content, GitRepository), f"{self.path} has no repository in git"
        return self.content

    @property
    def empty(self) -> bool:
        """Whether there is no commit."""
        return self.content is None or self.content.resolve(self.default_branch) is None

    def described(self, url: str) -> dict[str, Any]:
        """Return what the API says of the project; `url` is the address of GitLab."""
        empty = self.empty
        return {
            "id": self.id,
            "name": self.name,
            "path": self.name,
            "path_with_namespace": self.path,
            "namespace": {"full_path": self.path.rpartition("/")[0], "kind": "group"},
            "web_url": f"{url}/{self.path}",
            "http_url_to_repo": f"{url}/{self.path}.git",
            "ssh_url_to_repo": f"git@127.0.0.1:{self.path}.git",
            "default_branch": None if empty else self.default_branch,
            "empty_repo": empty,
            "archived": self.archived,
            "visibility": self.visibility,
            "topics": self.topics,
            "last_activity_at": self.last_activity_at,
            "merge_requests_access_level": "enabled",
            "repository_access_level": "enabled",
            "issues_enabled": True,
            "merge_requests_enabled": True,
            "jobs_enabled": True,
            "mirror": False,
            "merge_method": "merge",
            "squash_option": "default_off",
            "only_allow_merge_if_pipeline_succeeds": False,
            **self.settings,
        }
