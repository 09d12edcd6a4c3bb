"""Settings of a project: protected tags and environments, variables, schedules, rules of the registries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from werkzeug.wrappers import Response

from tools.stand_ins.gitlab_api import as_json, refuse
from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.handlers import PROJECT, Call, Path
from tools.stand_ins.gitlab_rest.pages import paged
from tools.stand_ins.gitlab_rest.pipelines import pipelines_of
from tools.stand_ins.gitlab_rest.projects import now

ROLES = {Level.NONE: "No one", Level.DEVELOPER: "Developers + Maintainers", Level.MAINTAINER: "Maintainers"}
PACKAGE_TYPES = ("conan", "generic", "maven", "npm", "pypi")
LEVELS = ("maintainer", "owner", "admin")


def lister(kind: str) -> Callable[[Call], Response]:
    """Return what lists records of a kind."""

    def answer(call: Call) -> Response:
        return paged(call.request, [shown(record) for record in call.project.records[kind]])

    return answer


def shown(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as GitLab shows it: without a hidden value."""
    return {**record, "value": None} if record.get("hidden") else dict(record)


def keep(call: Call, kind: str, record: dict[str, Any], *unique: str) -> Response:
    """Keep a record, unless one is the same in what is unique."""
    records = call.project.records[kind]
    if unique and any(all(each[name] == record[name] for name in unique) for each in records):
        refuse(400, {unique[0]: ["has already been taken"]})  # type: ignore[arg-type]
    records.append({"id": len(records) + 1, **record})
    return as_json(201, shown(records[-1]))


def access(level: int) -> dict[str, Any]:
    """Return a level as GitLab shows it where something is protected."""
    return {"id": 1, "access_level": level, "access_level_description": ROLES[Level(level)], "user_id": None}


def protect_tag(call: Call) -> Response:
    """Protect tags: https://docs.gitlab.com/api/protected_tags/#protect-repository-tags."""
    given = call.required("name")
    if any(each["name"] == given["name"] for each in call.project.records["protected_tags"]):
        refuse(409, f"Protected tag '{given['name']}' already exists")
    record = {
        "name": given["name"],
        "create_access_levels": [access(int(given.get("create_access_level", Level.MAINTAINER)))],
    }
    call.project.records["protected_tags"].append(record)
    return as_json(201, record)


def add_schedule(call: Call) -> Response:
    """Make a schedule, of which there may be many: https://docs.gitlab.com/api/pipeline_schedules/#create-a-new-pipeline-schedule."""
    given = call.required("description", "ref", "cron")
    record = {
        "description": given["description"],
        "ref": f"refs/heads/{given['ref'].removeprefix('refs/heads/')}",
        "cron": given["cron"],
        "cron_timezone": given.get("cron_timezone", "UTC"),
        "active": given.get("active", True),
        "created_at": now(),
        "owner": call.user.described,
    }
    return keep(call, "pipeline_schedules", record)


def add_environment(call: Call) -> Response:
    """Make an environment: https://docs.gitlab.com/api/environments/#create-an-environment."""
    given = call.required("name")
    return keep(call, "environments", {"name": given["name"], "state": "available", "tier": "other"}, "name")


def add_variable(call: Call) -> Response:
    """Make a variable: https://docs.gitlab.com/api/project_level_variables/#create-a-variable.

    What can be masked: https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable.
    """
    given = call.required("key", "value")
    hidden = bool(given.get("masked_and_hidden", False))
    masked = bool(given.get("masked", False)) or hidden
    if masked and not re.fullmatch(r"\S{8,}", given["value"]):
        refuse(400, {"value": ["is invalid"]})  # type: ignore[arg-type]
    record = {
        "key": given["key"],
        "value": given["value"],
        "variable_type": given.get("variable_type", "env_var"),
        "protected": bool(given.get("protected", False)),
        "masked": masked,
        "hidden": hidden,
        "raw": bool(given.get("raw", False)),
        "environment_scope": given.get("environment_scope", "*"),
        "description": given.get("description"),
    }
    return keep(call, "variables", record, "key", "environment_scope")


def protect_package(call: Call) -> Response:
    """Protect a package: https://docs.gitlab.com/api/project_packages_protection_rules/#create-a-package-protection-rule."""
    given = call.required("package_name_pattern", "package_type")
    if given["package_type"] not in PACKAGE_TYPES:
        refuse(400, "package_type does not have a valid value")
    return protect(call, "package_rules", given, "package_name_pattern", "package_type")


def protect_image(call: Call) -> Response:
    """Protect names of images: https://docs.gitlab.com/api/container_registry_protection_tag_rules/."""
    given = call.required("tag_name_pattern")
    if len(given["tag_name_pattern"]) > 100:
        refuse(422, {"tag_name_pattern": ["is too long (maximum is 100 characters)"]})  # type: ignore[arg-type]
    return protect(call, "tag_rules", given, "tag_name_pattern")


def protect(call: Call, kind: str, given: dict[str, Any], *unique: str) -> Response:
    """Keep a rule of a registry."""
    levels = {name: given.get(name) for name in ("minimum_access_level_for_push", "minimum_access_level_for_delete")}
    if any(level not in (None, *LEVELS) for level in levels.values()) or not any(levels.values()):
        refuse(400, "minimum_access_level_for_push does not have a valid value")
    return keep(call, kind, {**{name: given[name] for name in unique}, **levels}, *unique)


def list_protected_environments(call: Call) -> Response:
    """List what Premium has: https://docs.gitlab.com/api/protected_environments/#list-protected-environments."""
    if not call.project.settings.get("premium"):
        refuse(404, "404 Not Found")
    return lister("protected_environments")(call)


def protect_environment(call: Call) -> Response:
    """Protect an environment: https://docs.gitlab.com/api/protected_environments/#protect-a-single-environment."""
    given = call.required("name", "deploy_access_levels")
    if not call.project.settings.get("premium"):
        refuse(404, "404 Not Found")
    levels = [access(int(each["access_level"])) for each in given["deploy_access_levels"]]
    if any(each["name"] == given["name"] for each in call.project.records["protected_environments"]):
        refuse(409, f"Protected environment '{given['name']}' already exists")
    call.project.records["protected_environments"].append({"name": given["name"], "deploy_access_levels": levels})
    return as_json(201, call.project.records["protected_environments"][-1])


def list_jobs(call: Call, pipeline_id: int) -> Response:
    """List the jobs of a pipeline: https://docs.gitlab.com/api/jobs/#list-pipeline-jobs."""
    found = next((each for each in pipelines_of(call.project) if each["id"] == pipeline_id), None)
    if found is None:
        refuse(404, "404 Not found")
    return paged(call.request, [each for each in call.project.records["jobs"] if each["pipeline"]["id"] == pipeline_id])


def settings(path: str, kind: str, add: Callable[[Call], Response], level: Level = Level.MAINTAINER) -> list[Path]:
    """Return the rows for records of a kind."""
    return [
        Path("GET", f"{PROJECT}/{path}", level, lister(kind)),
        Path("POST", f"{PROJECT}/{path}", level, add),
    ]


TABLE = [
    *settings("protected_tags", "protected_tags", protect_tag),
    *settings("pipeline_schedules", "pipeline_schedules", add_schedule, Level.DEVELOPER),
    *settings("environments", "environments", add_environment, Level.DEVELOPER),
    *settings("variables", "variables", add_variable),
    *settings("packages/protection/rules", "package_rules", protect_package),
    *settings("registry/protection/tag/rules", "tag_rules", protect_image),
    Path("GET", f"{PROJECT}/protected_environments", Level.MAINTAINER, list_protected_environments),
    Path("POST", f"{PROJECT}/protected_environments", Level.MAINTAINER, protect_environment),
    Path("GET", f"{PROJECT}/pipelines/<int:pipeline_id>/jobs", Level.REPORTER, list_jobs),
]
