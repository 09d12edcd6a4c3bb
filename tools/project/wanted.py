"""What a project needs on GitLab, as its answers say: a table of settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tools.pipeline.key import PASSWORD
from tools.project.answers import Answers

MAINTAINER = 40
SIGNING, PYPI = "signing", "pypi"
# What docs/image.md says to protect.
IMAGES = "^([0-9]+[.][0-9]+[.][0-9]+((a|b|rc)[0-9]+)?|latest)$"
WEEKLY = "0 4 * * 1"

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """A setting: its name, its page, and its path in the API, below those of the project.

    `attributes` are what it is made with. `same` tells whether something that is there is it, and `fault` says what is
    wrong with all that are, or with others of the kind, or nothing. Not every GitLab has one that is `offered` by some
    only.
    """

    what: str
    page: str
    path: str
    attributes: Item
    same: Callable[[Item], bool]
    fault: Callable[[Sequence[Item], Sequence[Item]], str] = lambda _found, _all: ""
    offered: bool = False


def is_open(level: Item) -> bool:
    """Tell whether a level lets people below maintainers do something; a person is named on purpose."""
    if level.get("user_id"):
        return False
    return bool(
        level.get("group_id") or level.get("deploy_key_id") or 0 < (level.get("access_level") or 0) < MAINTAINER
    )


def open_tags(_: Sequence[Item], rules: Sequence[Item]) -> str:
    """Say whether people below maintainers may create a protected tag, of whatever name.

    Whom one of the rules lets that fit a tag may create it, and the pipeline of each protected tag has the protected
    variables: `app/models/concerns/protected_ref.rb` in GitLab.
    """
    wide = [rule["name"] for rule in rules if any(map(is_open, rule["create_access_levels"]))]
    return f"people below Maintainer may create {' '.join(wide)}" if wide else ""


def open_environment(found: Sequence[Item], _: Sequence[Item]) -> str:
    """Say whether people below maintainers may run the jobs of an environment."""
    wide = any(is_open(level) for each in found for level in each.get("deploy_access_levels", []))
    return "people below Maintainer may deploy to it" if wide else ""


def asleep(found: Sequence[Item], _: Sequence[Item]) -> str:
    """Say whether no schedule is active."""
    return "not active" if found and not any(each["active"] for each in found) else ""


def exposed(found: Sequence[Item], _: Sequence[Item]) -> str:
    """Say which jobs see a secret that should not, or how they would not see it as it is."""
    faults = {
        f"the environment is not {SIGNING}": any(each["environment_scope"] != SIGNING for each in found),
        "not protected": not all(each["protected"] for each in found),
        "Expand variable reference is on": not all(each["raw"] for each in found),
        "not masked": any(each["key"] == PASSWORD and not each["masked"] for each in found),
    }
    return ", ".join(fault for fault, holds in faults.items() if holds)


def covers(pattern: str) -> bool:
    """Tell whether an expression for tags of images has the names that people use."""
    try:
        # No version of anything, which somebody would want to renew.
        release = ".".join("100")
        return all(re.search(pattern, name) for name in (release, f"{release}rc1", "latest"))
    except re.error:
        return False


def variable(name: str, value: str) -> Wanted:
    """Return a secret of the jobs that sign; GitLab masks one line only: https://docs.gitlab.com/ci/variables/."""
    attributes = {
        "key": name,
        "value": value,
        "environment_scope": SIGNING,
        "protected": True,
        "raw": True,
        "masked": name == PASSWORD,
    }
    page = "-/settings/ci_cd#js-cicd-variables-settings"
    return Wanted(f"variable {name}", page, "variables", attributes, lambda each: each["key"] == name, exposed)


def package(kind: str, name: str) -> Wanted:
    """Return the rule that protects a package of a kind."""
    attributes = {
        "package_name_pattern": name,
        "package_type": kind,
        "minimum_access_level_for_push": "maintainer",
    }

    def same(each: Item) -> bool:
        fits = each["package_type"] == kind and fnmatchcase(name, each["package_name_pattern"])
        # A rule may be about deleting only.
        return fits and each["minimum_access_level_for_push"] is not None

    page = "-/settings/packages_and_registries"
    return Wanted(
        f"protected package {name} ({kind})", page, "packages/protection/rules", attributes, same, offered=True
    )


def settings(answers: Answers, branch: str) -> list[Wanted]:
    """Return what the project needs, but for its key pair; `branch` is the default one."""
    found = [
        Wanted(
            "protected tags v*",
            "-/settings/repository#js-protected-tags-settings",
            "protected_tags",
            {"name": "v*", "create_access_level": MAINTAINER},
            lambda each: each["name"] in ("v*", "*"),
            open_tags,
        ),
        Wanted(
            f"weekly schedule of {branch}",
            "-/pipeline_schedules",
            "pipeline_schedules",
            {
                "description": "Every week: the newest versions, and what the template has",
                "ref": branch,
                "cron": WEEKLY,
            },
            lambda each: each["ref"].removeprefix("refs/heads/") == branch,
            asleep,
        ),
    ]
    environments = [
        name for name, holds in ((SIGNING, answers.signing == "key"), (PYPI, answers.publish == "pypi")) if holds
    ]
    for name in environments:
        found += [
            Wanted(
                f"environment {name}",
                "-/environments",
                "environments",
                {"name": name},
                lambda each, name=name: each["name"] == name,  # type: ignore[misc]
            ),
            Wanted(
                f"protected environment {name}",
                "-/settings/ci_cd#js-protected-environments-settings",
                "protected_environments",
                {"name": name, "deploy_access_levels": [{"access_level": MAINTAINER}]},
                lambda each, name=name: each["name"] == name,  # type: ignore[misc]
                open_environment,
                offered=True,
            ),
        ]
    if answers.publish == "gitlab":
        found.append(package("pypi", answers.project_slug))
    if answers.publish != "none" and answers.signing != "none":
        found.append(package("generic", answers.project_slug))
    if answers.kind == "service":
        found.append(
            Wanted(
                "protected container tags",
                "-/settings/packages_and_registries",
                "registry/protection/tag/rules",
                {
                    "tag_name_pattern": IMAGES,
                    "minimum_access_level_for_push": "maintainer",
                    "minimum_access_level_for_delete": "maintainer",
                },
                lambda each: (
                    covers(each["tag_name_pattern"])
                    and None not in (each["minimum_access_level_for_push"], each["minimum_access_level_for_delete"])
                ),
                offered=True,
            )
        )
    return found


def by_hand(answers: Answers) -> list[str]:
    """Return what GitLab's API cannot set."""
    found = []
    if answers.publish == "pypi":
        found.append("the trusted publisher on PyPI, as README.md says under Release")
    if answers.signing == "keyless" and answers.gitlab_host != "gitlab.com":
        found.append("a Sigstore of your own, as docs/signing.md of the template says: the public one knows gitlab.com")
    return found
