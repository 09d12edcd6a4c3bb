"""Who calls the API for people and bots, and what they may do."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from werkzeug.wrappers import Request

from tools.stand_ins.gitlab_api import refuse
from tools.stand_ins.gitlab_rest.projects import SharedProject


class Level(IntEnum):
    """What somebody may do in a project: https://docs.gitlab.com/user/permissions/."""

    NONE = 0
    GUEST = 10
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


@dataclass
class User:
    """Somebody with a token that has scopes, and with a level in each group or project, by its path.

    https://docs.gitlab.com/user/profile/personal_access_tokens/#personal-access-token-scopes
    """

    id: int
    username: str
    levels: dict[str, Level]
    scopes: set[str]
    token: str = field(default_factory=lambda: f"glpat-{secrets.token_urlsafe(20)}", repr=False)
    expired: bool = False

    def level(self, path: str) -> Level:
        """Return the level in a project or a group: the highest of those given there and above."""
        above = [path, *(path.rsplit("/", count)[0] for count in range(1, path.count("/") + 1))]
        return max((self.levels[each] for each in above if each in self.levels), default=Level.NONE)

    @property
    def described(self) -> dict[str, object]:
        """What the API says of it."""
        return {"id": self.id, "username": self.username, "name": self.username, "state": "active", "bot": False}


def authenticate(request: Request, users: Sequence[User]) -> User | None:
    """Return whose token a request has; None where it has none.

    https://docs.gitlab.com/api/rest/authentication/
    """
    given = request.authorization
    token = request.headers.get("PRIVATE-TOKEN")
    if token is None and given and given.type == "bearer":
        token = given.token
    if token is None and given and given.type == "basic":
        # Any name goes with a token of a person; with this one it is a job's, unless somebody has it.
        known = any(user.token == given.password for user in users)
        token = given.password if known or given.username != "gitlab-ci-token" else None
    if token is None:
        return None
    user = next((user for user in users if user.token == token and not user.expired), None)
    if user is None:
        refuse(401, "401 Unauthorized")
    return user


def require_scope(user: User, *, write: bool) -> None:
    """Refuse a token whose scopes are not for the API, or only for reading where something is to change."""
    if "api" not in user.scopes and (write or "read_api" not in user.scopes):
        refuse(403, "403 Forbidden - insufficient_scope")


def require(user: User, project: SharedProject | None, level: Level) -> SharedProject:
    """Return the project if the user has a level there; who may not see it is told that there is none."""
    seen = user.level(project.path) if project else Level.NONE
    if project is None or (seen < Level.GUEST and project.visibility == "private"):
        refuse(404, "404 Project Not Found")
    if seen < level and not (level <= Level.REPORTER and project.visibility != "private"):
        refuse(403, "403 Forbidden")
    return project
