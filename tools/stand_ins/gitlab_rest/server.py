"""A GitLab on the loopback interface that people and bots work with, beside the jobs."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path as Folder
from urllib.parse import unquote

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from tools.stand_ins import git_http
from tools.stand_ins.gitlab import VERSION, GitLab
from tools.stand_ins.gitlab_api import as_json
from tools.stand_ins.gitlab_rest import handlers, merge_requests, pipelines, releases, settings, talk
from tools.stand_ins.gitlab_rest.access import Level, User, authenticate, require, require_scope
from tools.stand_ins.gitlab_rest.handlers import Call
from tools.stand_ins.gitlab_rest.projects import SharedProject, now
from tools.stand_ins.gitlab_rest.repositories import Snapshot, new_repository

API = "/api/v4"
TABLE = [*handlers.TABLE, *merge_requests.TABLE, *pipelines.TABLE, *releases.TABLE, *settings.TABLE, *talk.TABLE]
ROUTES = Map([Rule(row.path, methods=[row.method], endpoint=row) for row in TABLE], merge_slashes=False)
MINUTE = 60


class SharedGitLab(GitLab):
    """The server, with users who have tokens, and with projects that they push to.

    `pushed` is called with a project, the name of a branch or tag, and its new commit, or None where it is gone: a test
    lets a pipeline go there as it wants it. `limit` is how many requests GitLab takes from a user within a minute, None
    for any number: https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/.
    """

    def __init__(self, folder: Folder, upstream: str, root: str = "") -> None:
        super().__init__(folder, upstream, root)
        self.users: list[User] = []
        self.shared: list[SharedProject] = []
        self.pushed: Callable[[SharedProject, str, str | None], object] = lambda *_: None
        self.limit: int | None = None
        self._asked: dict[int, deque[float]] = {}

    def add_user(self, username: str, levels: dict[str, Level], *scopes: str) -> User:
        """Let somebody have a token."""
        self.users.append(User(len(self.users) + 1, username, levels, set(scopes or ("api",))))
        return self.users[-1]

    def share_project(self, path: str, files: Snapshot | None = None) -> SharedProject:
        """Make a project that people share: with files in memory, or an empty one that is pushed to."""
        number = len(self.projects) + 1
        project = SharedProject(number, path, self.folder / str(number), self.upstream)
        if files:
            project.content = files
        else:
            project.content = new_repository(project.folder / "repository", project.default_branch)
            project.repository = project.content.folder
        self.projects.append(project)
        self.shared.append(project)
        return project

    def respond(self, request: Request, path: str) -> Response:
        """Return the answer to somebody; jobs and who has no token are answered as ever."""
        try:
            user = authenticate(request, self.users)
            if user is None:
                return super().respond(request, path)
            # git has a limit of its own: https://docs.gitlab.com/administration/settings/git_http_rate_limits/
            wait = self._wait(user) if path.startswith(API) else 0
            if wait:
                return as_json(429, {"message": "429 Too Many Requests"}, {"Retry-After": str(wait)})
            asked = git_http.ASKED.fullmatch(path)
            return self._git(request, asked, user) if asked else self._api(request, path, user)
        except HTTPException as refused:
            return Response.force_type(refused.get_response(request.environ))

    def _wait(self, user: User) -> int:
        """Return for how many seconds a user has to wait, and count the request where it is none."""
        times = self._asked.setdefault(user.id, deque())
        while times and times[0] < time.monotonic() - MINUTE:
            times.popleft()
        if self.limit is not None and len(times) >= self.limit:
            return max(1, round(times[0] + MINUTE - time.monotonic()))
        times.append(time.monotonic())
        return 0

    def _api(self, request: Request, path: str, user: User) -> Response:
        """Return what the API answers."""
        if path == f"{API}/version":
            return as_json(200, {"version": VERSION, "revision": "stand-in"})
        try:
            row, encoded = ROUTES.bind("").match(path.removeprefix(API), request.method)
        except NotFound:
            return as_json(404, {"error": "404 Not Found"})
        names = {name: unquote(value) if isinstance(value, str) else value for name, value in encoded.items()}
        require_scope(user, write=request.method not in ("GET", "HEAD"))
        call = Call(request, user, self.url, self.shared, self.share_project)
        wanted = names.pop("project_id", None)
        if wanted is not None:
            found = next((each for each in self.shared if wanted in (str(each.id), each.path)), None)
            require(user, found, row.level)
            call.found = found
        answer: Response = row.handle(call, **names)
        return answer

    def _git(self, request: Request, asked: re.Match[str], user: User) -> Response:
        """Let git answer: https://docs.gitlab.com/user/profile/personal_access_tokens/#clone-repository-using-personal-access-token."""
        project = next((each for each in self.shared if each.path == asked["project"]), None)
        if project is None or not project.repository or not user.level(project.path):
            return git_http.absent()
        pushes = git_http.pushes(request, asked)
        scopes = {"api", "write_repository"} if pushes else {"api", "write_repository", "read_repository"}
        if not scopes & user.scopes or (pushes and (user.level(project.path) < Level.DEVELOPER or project.archived)):
            return Response("You are not allowed to push code to this project.\n", HTTPStatus.FORBIDDEN)
        before = {**project.git.branches(), **project.git.tags()} if pushes else {}
        response = git_http.serve(request, asked, project.repository, user=user.username if pushes else "")
        if pushes and request.method == "POST":
            after = {**project.git.branches(), **project.git.tags()}
            changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            if changed:
                project.last_activity_at = now()
            for name in changed:
                self.pushed(project, name, after.get(name))
        return response
