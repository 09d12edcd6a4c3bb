"""The paths of GitLab's API that CI jobs call, each answering as its page in GitLab's documentation says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote, unquote, urlsplit

from pypiserver.pkg_helpers import normalize_pkgname_for_url
from werkzeug.exceptions import HTTPException, NotFound, abort
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from tools.stand_ins.gitlab_project import PipelineJob, Project
from tools.stand_ins.local_jobs import local_jobs

# What the pages leave open, such as the wording of a refusal, is as in GitLab's source, below `lib/api`.

# https://docs.gitlab.com/user/packages/generic_packages/#valid-package-filename-format
GENERIC_NAMES = {
    "package_name": r"(?!.*\.\.)[\w.+-]+",
    "package_version": r"(?!.*\.\.)[\w.+-]+",
    "file_name": r"(?!.*\.\.)(?![~@])[\w.+~@-]+(?<![~@])",
}


class Caller(NamedTuple):
    """How a request gave a job token, "" for not at all, and the project whose token it is."""

    means: str
    project: Project | None


def authenticate(request: Request, projects: Sequence[Project]) -> Caller:
    """Return who makes a request.

    https://docs.gitlab.com/ci/jobs/ci_job_token/
    """
    basic = request.authorization
    if basic and basic.type == "basic" and basic.username == "gitlab-ci-token":
        means, token = "basic", basic.password
    else:
        means, token = "JOB-TOKEN", request.headers.get("JOB-TOKEN")
    if token is None:
        return Caller("", None)
    return Caller(means, next((project for project in projects if token in project.tokens), None))


def respond(request: Request, path: str, caller: Caller, projects: Sequence[Project]) -> Response:
    """Return the answer to a request; `path` is its path as it was encoded.

    A project is known by its number or its path.
    https://docs.gitlab.com/api/rest/#namespaced-paths
    """
    archive = re.fullmatch(r"/api/v4/jobs/(\d+)/artifacts", path)
    if archive and request.method == "GET":
        return download_artifacts(caller, archive[1])
    try:
        (admit, handle), arguments = ROUTES.bind("").match(path, request.method)
        names = {name: unquote(value) for name, value in arguments.items()}
        wanted = names.pop("project_id")
        project = next((project for project in projects if wanted in (str(project.id), project.path)), None)
        answer: Response = handle(request, admit(caller, project), **names)
    except NotFound:
        return as_json(404, {"error": "404 Not Found"})
    except HTTPException as refused:
        return Response.force_type(refused.get_response(request.environ))
    return answer


def as_json(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in JSON, as compact as GitLab's."""
    body = json.dumps(content, separators=(",", ":"))
    return Response(body, status, headers, content_type="application/json")


def message(status: int, text: str | list[str], headers: dict[str, str] | None = None) -> Response:
    """Return the answer that GitLab gives when it has nothing to show.

    https://docs.gitlab.com/api/rest/troubleshooting/
    """
    return as_json(status, {"message": text}, headers)


def refuse(status: int, text: str | list[str], headers: dict[str, str] | None = None) -> NoReturn:
    """End the handling of a request with a message."""
    abort(message(status, text, headers))


def admit_to_registry(means: Collection[str], caller: Caller, project: Project | None) -> Project:
    """Return the project if its own job asks by one of the means.

    Any other is asked for a token, or with another project's token told that there is nothing.
    https://docs.gitlab.com/ci/jobs/ci_job_token/#control-job-token-access-to-your-project
    """
    if caller.project is None or caller.means not in means:
        refuse(401, "401 Unauthorized", {"WWW-Authenticate": 'Basic realm="GitLab Packages Registry"'})
    if project is not caller.project:
        refuse(404, "404 Not Found")
    return caller.project


def admit_to_api(caller: Caller, project: Project | None) -> Project:
    """Return the project if its own job asks, by the header.

    https://docs.gitlab.com/api/rest/authentication/#job-tokens
    https://docs.gitlab.com/ci/jobs/ci_job_token/#control-job-token-access-to-your-project
    """
    if caller.means == "JOB-TOKEN" and caller.project is None:
        refuse(401, "401 Unauthorized")
    if caller.means != "JOB-TOKEN" or caller.project is None or project is None:
        refuse(404, "404 Project Not Found")
    if project is not caller.project:
        names = f"from {caller.project.name} to {project.name}"
        refuse(403, f"403 Forbidden - Authentication by CI/CD job token not allowed {names}.")
    return project


def address(request: Request, project: Project) -> str:
    """Return where a project has its PyPI registry."""
    return f"{request.root_url}api/v4/projects/{project.id}/packages/pypi"


def ask_pypiserver(request: Request, project: Project, path: str) -> Response:
    """Return what pypiserver says to a request if it stands where the project's registry is."""
    body = request.get_data()
    environ = {
        **request.environ,
        "SCRIPT_NAME": urlsplit(address(request, project)).path,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_TRANSFER_ENCODING": "",
        "wsgi.input": BytesIO(body),
        # It tells twine of a duplicate in another way.
        "HTTP_USER_AGENT": "",
    }
    return Response.from_app(project.pypiserver, environ, buffered=True)


def with_addresses_of_gitlab(request: Request, project: Project, page: Response) -> Response:
    """Let a page of pypiserver's index link to where GitLab has packages and files."""
    base = address(request, project)
    html = re.sub(r'href="([^"/]+)/"', rf'href="{base}/simple/\1"', page.get_data(as_text=True))
    files = r'href="[^"]*/packages/([^"#]+)#sha256=(\w+)"'
    page.set_data(re.sub(files, rf'href="{base}/files/\2/\1#sha256=\2"', html))
    return page


def upload_distribution(request: Request, project: Project) -> Response:
    """Take a wheel or an sdist, once.

    https://docs.gitlab.com/api/packages/pypi/#upload-a-package
    https://docs.gitlab.com/user/packages/pypi_repository/#publishing-packages-with-the-same-name-and-version
    """
    status = ask_pypiserver(request, project, "/").status_code
    if status == HTTPStatus.CONFLICT:
        refuse(400, "400 Bad request - Validation failed: File name has already been taken")
    return message(201, "201 Created") if status == HTTPStatus.OK else message(400, "400 Bad request")


def list_packages(request: Request, project: Project) -> Response:
    """List the packages of a project.

    https://docs.gitlab.com/api/packages/pypi/#project-level-simple-api-index
    """
    return with_addresses_of_gitlab(request, project, ask_pypiserver(request, project, "/simple/"))


def list_distributions(request: Request, project: Project, name: str) -> Response:
    """List the files of a package, or send the client to the package index.

    https://docs.gitlab.com/api/packages/pypi/#project-level-simple-api-entry-point
    https://docs.gitlab.com/user/packages/pypi_repository/#package-request-forwarding-security-notice
    """
    page = ask_pypiserver(request, project, f"/simple/{normalize_pkgname_for_url(name)}/")
    if page.status_code != HTTPStatus.NOT_FOUND:
        return with_addresses_of_gitlab(request, project, page)
    if project.upstream is None:
        refuse(404, "404 Package Not Found")
    return Response(status=302, headers={"Location": f"{project.upstream.rstrip('/')}/{quote(name, safe='')}/"})


def download_distribution(request: Request, project: Project, sha256: str, file_name: str) -> Response:
    """Send a wheel or an sdist, which is asked for by its checksum and name.

    https://docs.gitlab.com/api/packages/pypi/#download-a-package-file-from-a-project
    """
    file = project.folder / "pypi" / Path(file_name).name
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        refuse(404, "404 Package Not Found")
    return ask_pypiserver(request, project, f"/packages/{file.name}")


def list_all_packages(request: Request, project: Project) -> Response:
    """List the packages of a project, whatever their type: those whose names hold, in any case, what is asked for.

    https://docs.gitlab.com/api/packages/#for-a-project
    """
    distributions = {tuple(file.name.split("-")[:2]) for file in (project.folder / "pypi").glob("*.whl")}
    generic = {(folder.parent.name, folder.name) for folder in (project.folder / "generic").glob("*/*")}
    found = [("pypi", *names) for names in sorted(distributions)] + [("generic", *names) for names in sorted(generic)]
    asked, size = request.args.get("package_name", "").lower(), int(request.args.get("per_page", 20))
    begin = size * (int(request.args.get("page", 1)) - 1)
    named = [each for each in found if asked in each[1].lower()][begin : begin + size]
    return as_json(200, [{"name": name, "version": version, "package_type": kind} for kind, name, version in named])


def generic_file(project: Project, names: dict[str, str]) -> Path:
    """Return where a project keeps a file of a generic package, or refuse its names."""
    for name, pattern in GENERIC_NAMES.items():
        if not re.fullmatch(pattern, names[name], re.ASCII):
            abort(as_json(400, {"error": f"{name} is invalid"}))
    return project.folder.joinpath("generic", *names.values())


def upload_generic_file(request: Request, project: Project, **names: str) -> Response:
    """Take a file of a generic package, in place of one of that name unless the project refuses duplicates.

    https://docs.gitlab.com/user/packages/generic_packages/#publish-a-single-file
    https://docs.gitlab.com/user/packages/generic_packages/#disable-publishing-duplicate-package-names
    """
    file = generic_file(project, names)
    if file.exists() and not project.allow_duplicates:
        refuse(400, "400 Bad request - Duplicate package is not allowed")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(request.get_data())
    return message(201, "201 Created")


def download_generic_file(_: Request, project: Project, **names: str) -> Response:
    """Send a file of a generic package with its checksum.

    https://docs.gitlab.com/user/packages/generic_packages/#download-a-single-file
    https://docs.gitlab.com/user/packages/generic_packages/#get-checksums-from-response-headers
    """
    file = generic_file(project, names)
    if not file.is_file():
        refuse(404, "404 Not found")
    content = file.read_bytes()
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "X-Checksum-SHA256": hashlib.sha256(content).hexdigest(),
    }
    return Response(content, headers=headers, content_type="application/octet-stream")


def jobs_of(project: Project, pipeline: int) -> list[PipelineJob]:
    """Return the last run of each job of a pipeline."""
    last = {job.name: job for job in project.jobs if job.pipeline == pipeline}
    return [*last.values(), *local_jobs(project.repository, pipeline)]


def list_jobs(request: Request, project: Project, pipeline: str) -> Response:
    """List the jobs of a pipeline, the newest first.

    https://docs.gitlab.com/api/jobs/#list-all-jobs-for-a-pipeline
    https://docs.gitlab.com/api/rest/#offset-based-pagination
    """
    size = min(int(request.args.get("per_page", 20)), 100)
    begin = size * (int(request.args.get("page", 1)) - 1)
    found = sorted(jobs_of(project, int(pipeline)), key=lambda job: -job.number)[begin : begin + size]
    listed = [
        {
            "id": job.number,
            "name": job.name,
            "status": job.status,
            "allow_failure": job.may_fail,
            "pipeline": {"id": job.pipeline, "project_id": project.id},
        }
        for job in found
    ]
    return as_json(200, listed)


def download_artifacts(caller: Caller, number: str) -> Response:
    """Send the archive of a job to another job of its project.

    `lib/api/ci/runner.rb` and `lib/api/ci/helpers/runner.rb` in GitLab
    """
    project = caller.project if caller.means == "JOB-TOKEN" else None
    jobs = [*project.jobs, *local_jobs(project.repository, 0)] if project else []
    job = next((job for job in jobs if str(job.number) == number), None)
    if not job:
        return message(403, "403 Forbidden")
    archive = job.archive
    return message(404, "404 Not Found") if archive is None else Response(archive, content_type="application/zip")


def release_file(project: Project, tag: str) -> Path:
    """Return where a project keeps the release of a tag, which may contain slashes."""
    return project.folder / "releases" / f"{quote(tag, safe='')}.json"


def required(request: Request, *names: str) -> dict[str, Any]:
    """Return what a request says in JSON, or refuse it where one of the names is missing."""
    given: dict[str, Any] = request.get_json()
    missing = [f"{name} is missing" for name in names if name not in given]
    if missing:
        abort(as_json(400, {"error": ", ".join(missing)}))
    return given


def create_release(request: Request, project: Project) -> Response:
    """Make a release of a tag, once, with links to its assets.

    https://docs.gitlab.com/api/releases/#create-a-release
    """
    given = required(request, "tag_name")
    assets = given.get("assets", {})
    if not isinstance(assets, dict):
        abort(as_json(400, {"error": "assets is invalid"}))
    tag = given["tag_name"]
    file = release_file(project, tag)
    if file.exists():
        refuse(409, "Release already exists")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    links = [{"id": number, "link_type": "other", **link} for number, link in enumerate(assets.get("links", []), 1)]
    release = {
        "tag_name": tag,
        "name": given.get("name", tag),
        "description": given.get("description"),
        "created_at": now,
        "released_at": given.get("released_at", now),
        "assets": {"count": len(links), "links": links},
        "_links": {"self": f"{request.root_url}{project.path}/-/releases/{quote(tag, safe='')}"},
    }
    file.write_text(json.dumps(release), encoding="utf-8")
    return as_json(201, release)


def show_release(_: Request, project: Project, tag: str) -> Response:
    """Show the release of a tag.

    https://docs.gitlab.com/api/releases/#get-a-release-by-a-tag-name
    """
    file = release_file(project, tag)
    if not file.exists():
        refuse(404, "404 Not Found")
    return as_json(200, json.loads(file.read_text(encoding="utf-8")))


def create_release_link(request: Request, project: Project, tag: str) -> Response:
    """Add a link to the assets of a release; its name and its address are new there.

    https://docs.gitlab.com/api/releases/links/#create-a-release-link
    """
    file = release_file(project, tag)
    given = required(request, "name", "url")
    if not file.exists():
        refuse(404, "404 Not found")
    release = json.loads(file.read_text(encoding="utf-8"))
    links = release["assets"]["links"]
    taken = [name for name in ("url", "name") if any(link[name] == given[name] for link in links)]
    if taken:
        refuse(400, [f"{name.capitalize()} has already been taken" for name in taken])
    link = {"id": len(links) + 1, "link_type": "other", **given}
    links.append(link)
    release["assets"]["count"] = len(links)
    file.write_text(json.dumps(release), encoding="utf-8")
    return as_json(201, link)


# What is called for each method and path, and what lets a caller in. The tokens that a registry takes:
# https://docs.gitlab.com/user/packages/pypi_repository/#authenticate-with-the-gitlab-package-registry
# https://docs.gitlab.com/user/packages/generic_packages/#authenticate-to-the-package-registry
PYPI = partial(admit_to_registry, {"basic"})
GENERIC = partial(admit_to_registry, {"basic", "JOB-TOKEN"})
GENERIC_FILE = "/packages/generic/<package_name>/<package_version>/<file_name>"
TABLE = [
    ("GET", "/pipelines/<pipeline>/jobs", admit_to_api, list_jobs),
    ("GET", "/packages", admit_to_api, list_all_packages),
    ("POST", "/packages/pypi", PYPI, upload_distribution),
    ("GET", "/packages/pypi/simple", PYPI, list_packages),
    ("GET", "/packages/pypi/simple/<name>", PYPI, list_distributions),
    ("GET", "/packages/pypi/files/<sha256>/<file_name>", PYPI, download_distribution),
    ("PUT", GENERIC_FILE, GENERIC, upload_generic_file),
    ("GET", GENERIC_FILE, GENERIC, download_generic_file),
    ("POST", "/releases", admit_to_api, create_release),
    ("GET", "/releases/<tag>", admit_to_api, show_release),
    ("POST", "/releases/<tag>/assets/links", admit_to_api, create_release_link),
]
ROUTES = Map(
    [
        Rule(f"/api/v4/projects/<project_id>{path}", methods=[method], endpoint=(admit, handle))
        for method, path, admit, handle in TABLE
    ],
    strict_slashes=False,
    merge_slashes=False,
)
