"""What answers: projects, groups and repositories. Other modules have more of the table."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from werkzeug.wrappers import Request, Response

from tools.stand_ins.gitlab_api import as_json, refuse, required
from tools.stand_ins.gitlab_rest.access import Level, User
from tools.stand_ins.gitlab_rest.pages import paged
from tools.stand_ins.gitlab_rest.projects import SharedProject, now
from tools.stand_ins.gitlab_rest.repositories import GitRepository


@dataclass
class Call:
    """A request by somebody: `url` is the address of GitLab, `project` that of the path, if it has one."""

    request: Request
    user: User
    url: str
    projects: Sequence[SharedProject]
    # Made by `POST /projects`: the server keeps it.
    add_project: Callable[[str], SharedProject]
    found: SharedProject | None = None

    @property
    def project(self) -> SharedProject:
        """The project of the path."""
        assert self.found
        return self.found

    @property
    def given(self) -> dict[str, Any]:
        """What the request says, as JSON or as a form."""
        given: dict[str, Any] = self.request.get_json() if self.request.is_json else self.request.form.to_dict()
        return given

    def required(self, *names: str) -> dict[str, Any]:
        """Return what the request says, or refuse it where one of the names is missing."""
        return required(self.request, *names)

    def visible(self) -> list[SharedProject]:
        """Return the projects that the user may see."""
        return [each for each in self.projects if each.visibility != "private" or self.user.level(each.path)]


class Path(NamedTuple):
    """A row of the table: a method, a path below `/api/v4`, the level that it asks for, and what answers."""

    method: str
    path: str
    level: Level
    handle: Callable[..., Response]


def show_user(call: Call) -> Response:
    """Say whose token it is: https://docs.gitlab.com/api/users/#get-the-current-user."""
    return as_json(200, {**call.user.described, "email": f"{call.user.username}@example.org", "commit_email": None})


def show_token(call: Call) -> Response:
    """Say what the token may do: https://docs.gitlab.com/api/personal_access_tokens/#self-inform."""
    return as_json(200, {"id": call.user.id, "scopes": sorted(call.user.scopes), "active": True, "revoked": False})


def chosen(call: Call, projects: Sequence[SharedProject]) -> list[SharedProject]:
    """Return those of the projects that the query wants: https://docs.gitlab.com/api/projects/#list-all-projects."""
    args = call.request.args
    topics = [topic for topic in args.get("topic", "").split(",") if topic]
    archived = args.get("archived")
    least = int(args.get("min_access_level", 0))
    return [
        each
        for each in projects
        if all(topic in each.topics for topic in topics)
        and (archived is None or each.archived == (archived.lower() == "true"))
        and call.user.level(each.path) >= least
        and (args.get("membership", "").lower() != "true" or call.user.level(each.path))
        and args.get("search", "").lower() in each.path.lower()
        and each.last_activity_at >= args.get("last_activity_after", "")
    ]


def list_projects(call: Call) -> Response:
    """List projects: https://docs.gitlab.com/api/projects/#list-all-projects."""
    return paged(call.request, chosen(call, call.visible()), lambda each: each.described(call.url))


def list_group_projects(call: Call, group: str) -> Response:
    """List the projects of a group: https://docs.gitlab.com/api/groups/#list-projects."""
    deep = call.request.args.get("include_subgroups", "").lower() == "true"
    parents = [each.path.rpartition("/")[0] for each in call.visible()]
    if not any(f"{parent}/".startswith(f"{group}/") for parent in parents):
        refuse(404, "404 Group Not Found")
    inside = [
        each
        for each, parent in zip(call.visible(), parents, strict=True)
        if parent == group or (deep and parent.startswith(f"{group}/"))
    ]
    return paged(call.request, chosen(call, inside), lambda each: each.described(call.url))


def show_project(call: Call) -> Response:
    """Show a project: https://docs.gitlab.com/api/projects/#get-a-single-project."""
    level = int(call.user.level(call.project.path))
    permissions = {"project_access": {"access_level": level} if level else None, "group_access": None}
    return as_json(200, {**call.project.described(call.url), "permissions": permissions})


def file_at(call: Call, path: str) -> tuple[str, bytes]:
    """Return the commit and the content that a request for a file wants."""
    project = call.project
    ref = call.request.args.get("ref", "HEAD")
    ref = project.default_branch if ref == "HEAD" else ref
    commit = project.content.resolve(ref) if project.content else None
    content = project.content.read(ref, path) if project.content and commit else None
    if commit is None or content is None:
        refuse(404, "404 File Not Found" if commit else "404 Commit Not Found")
    return commit, content


def show_file(call: Call, file_path: str) -> Response:
    """Send a file in JSON: https://docs.gitlab.com/api/repository_files/#get-file-from-repository."""
    commit, content = file_at(call, file_path)
    return as_json(200, {"file_path": file_path, "commit_id": commit, "content": base64.b64encode(content).decode()})


def send_file(call: Call, file_path: str) -> Response:
    """Send a file as it is: https://docs.gitlab.com/api/repository_files/#get-raw-file-from-repository."""
    commit, content = file_at(call, file_path)
    return Response(content, headers={"X-Gitlab-Commit-Id": commit}, content_type="text/plain")


def send_blob(call: Call, sha: str) -> Response:
    """Send a blob: https://docs.gitlab.com/api/repositories/#raw-blob-content."""
    return Response(call.project.git.git("cat-file", "blob", sha), content_type="text/plain")


def list_tree(call: Call) -> Response:
    """List files and folders: https://docs.gitlab.com/api/repositories/#list-repository-tree."""
    project, args = call.project, call.request.args
    ref = args.get("ref") or project.default_branch
    if project.content is None or project.content.resolve(ref) is None:
        refuse(404, "404 Tree Not Found")
    folder = args.get("path", "").strip("/")
    below = f"{folder}/" if folder else ""
    deep = args.get("recursive", "").lower() in ("true", "1")
    entries = [
        {
            "id": entry.id,
            "name": entry.path.rpartition("/")[2],
            "type": entry.kind,
            "path": entry.path,
            "mode": entry.mode,
        }
        for entry in project.content.tree(ref)
        if entry.path.startswith(below) and (deep or "/" not in entry.path.removeprefix(below))
    ]
    if folder and not entries:
        refuse(404, "404 invalid revision or path Not Found")
    return paged(call.request, entries)


def commit_of(repository: GitRepository, sha: str) -> dict[str, Any]:
    """Return what the API says of a commit."""
    date, title = repository.git("show", "--no-patch", "--format=%cI%n%s", sha).decode().split("\n", 1)
    return {"id": sha, "short_id": sha[:8], "title": title.strip(), "created_at": date, "committed_date": date}


def list_branches(call: Call) -> Response:
    """List branches: https://docs.gitlab.com/api/branches/#list-repository-branches."""
    found = call.project.git.branches() if isinstance(call.project.content, GitRepository) else {}
    return paged(call.request, [{"name": name, "commit": {"id": sha}} for name, sha in found.items()])


def show_branch(call: Call, branch: str) -> Response:
    """Show a branch: https://docs.gitlab.com/api/branches/#get-single-repository-branch."""
    sha = call.project.content.resolve(f"refs/heads/{branch}") if call.project.content else None
    if sha is None:
        refuse(404, "404 Branch Not Found")
    return as_json(200, {"name": branch, "commit": {"id": sha}, "default": branch == call.project.default_branch})


def delete_branch(call: Call, branch: str) -> Response:
    """Delete a branch: https://docs.gitlab.com/api/branches/#delete-repository-branch."""
    if call.project.git.resolve(f"refs/heads/{branch}") is None:
        refuse(404, "404 Branch Not Found")
    call.project.git.git("update-ref", "-d", f"refs/heads/{branch}")
    return Response(status=204)


def list_tags(call: Call) -> Response:
    """List tags: https://docs.gitlab.com/api/tags/#list-project-repository-tags."""
    repository = call.project.git
    tags = [
        {"name": name, "target": sha, "message": "", "release": None, "commit": commit_of(repository, sha)}
        for name, sha in sorted(repository.tags().items(), reverse=True)
    ]
    return paged(call.request, tags)


def create_project(call: Call) -> Response:
    """Make a project: https://docs.gitlab.com/api/projects/#create-a-project."""
    given = call.given
    namespaces = {each.path.rpartition("/")[0] for each in call.projects} | set(call.user.levels)
    wanted = given.get("namespace_id", call.user.username)
    namespace = next((each for each in sorted(namespaces) if wanted in (each, namespace_id(each))), None)
    if namespace is None or call.user.level(namespace) < Level.DEVELOPER:
        refuse(403, "403 Forbidden")
    path = f"{namespace}/{given.get('path') or given['name']}"
    if any(each.path == path for each in call.projects):
        refuse(400, {"path": ["has already been taken"], "name": ["has already been taken"]})  # type: ignore[arg-type]
    project = call.add_project(path)
    project.visibility = given.get("visibility", "private")
    project.topics = list(given.get("topics", []))
    return as_json(201, project.described(call.url))


def namespace_id(path: str) -> int:
    """Return the number of a group or user."""
    return 1 + sum(path.encode()) * 1000 + len(path)


def show_namespace(call: Call, namespace: str) -> Response:
    """Show a group or user as a namespace: https://docs.gitlab.com/api/namespaces/#get-details-on-a-namespace."""
    known = {each.path.rpartition("/")[0] for each in call.visible()} | set(call.user.levels)
    found = next((each for each in sorted(known) if namespace in (each, str(namespace_id(each)))), None)
    if found is None:
        refuse(404, "404 Namespace Not Found")
    return as_json(200, {"id": namespace_id(found), "full_path": found, "kind": "group"})


def edit_project(call: Call) -> Response:
    """Change settings of a project: https://docs.gitlab.com/api/projects/#edit-a-project."""
    given = call.given
    for name in ("topics", "archived", "default_branch", "visibility"):
        if name in given:
            setattr(call.project, name, given.pop(name))
    call.project.settings.update(given)
    call.project.last_activity_at = now()
    return as_json(200, call.project.described(call.url))


PROJECT = "/projects/<project_id>"
FILES = f"{PROJECT}/repository/files/<file_path>"
TABLE = [
    Path("GET", "/user", Level.NONE, show_user),
    Path("GET", "/personal_access_tokens/self", Level.NONE, show_token),
    Path("GET", "/projects", Level.NONE, list_projects),
    Path("POST", "/projects", Level.NONE, create_project),
    Path("GET", "/groups/<group>/projects", Level.NONE, list_group_projects),
    Path("GET", "/namespaces/<namespace>", Level.NONE, show_namespace),
    Path("GET", PROJECT, Level.GUEST, show_project),
    Path("PUT", PROJECT, Level.MAINTAINER, edit_project),
    Path("GET", FILES, Level.REPORTER, show_file),
    Path("GET", f"{FILES}/raw", Level.REPORTER, send_file),
    Path("GET", f"{PROJECT}/repository/blobs/<sha>/raw", Level.REPORTER, send_blob),
    Path("GET", f"{PROJECT}/repository/tree", Level.REPORTER, list_tree),
    Path("GET", f"{PROJECT}/repository/tags", Level.REPORTER, list_tags),
    Path("GET", f"{PROJECT}/repository/branches", Level.REPORTER, list_branches),
    Path("GET", f"{PROJECT}/repository/branches/<branch>", Level.REPORTER, show_branch),
    Path("DELETE", f"{PROJECT}/repository/branches/<branch>", Level.DEVELOPER, delete_branch),
]
