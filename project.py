"""What a project has, as its answers say: the files and jobs of each option, and the jobs of its pipeline.

The filters run this file; it is not imported, as `local_extensions.Filters` explains.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

COMPONENTS = Path(__file__).parent / "templates"
# A shard has a runner of its own.
XMLRUNNER = (
    'coverage run -m "${PY_CI_XMLRUNNER:-xmlrunner}" discover --start-directory tests --top-level-directory .'
    " --output-file junit.xml"
)
IDENTITY = "--key cosign.pub --insecure-ignore-tlog"
# Whom the public Sigstore and PyPI want identity tokens for; the components say the same.
SIGSTORE, PYPI = "sigstore", "pypi"


class Owned(NamedTuple):
    """What a project has only with one value of an option.

    `words` is an expression for what no other value brings into its files. A path that several values of an option
    own is there with each of them; a job that several options own is there where all of them want it.
    """

    paths: tuple[str, ...] = ()
    words: str = ""
    jobs: tuple[str, ...] = ()


SIGNED_PUBLISHED = ("publish-signatures", "verify-published")
SIGNED = ("cosign", "sign", "verify", "sbom-image", "sign-image", "verify-image", *SIGNED_PUBLISHED)
PUBLISHED = (*SIGNED_PUBLISHED, "release")
PACKAGE = "src/{{cookiecutter.package_name}}"
PROGRAM = (f"{PACKAGE}/__main__.py", f"{PACKAGE}/app.py", "tests/test_app.py")

# An option that is off, or "none", owns nothing.
OWNED = {
    ("kind", "service"): Owned(
        paths=(*PROGRAM, "Dockerfile", ".dockerignore"),
        words=r"(?<!/\.)docker|container image|/health|SIGTERM",
        jobs=("build-image", "sbom-image", "digests-image", "sign-image", "verify-image", "publish-image"),
    ),
    ("kind", "command"): Owned(paths=PROGRAM, words=r"command line|Environment :: Console"),
    ("kind", "library"): Owned(paths=(f"{PACKAGE}/greeting.py", "tests/test_greeting.py"), words=r"\.greeting\b"),
    ("pipeline", "components"): Owned(words=r"component:"),
    ("pipeline", "self-contained"): Owned(words=r"local:"),
    ("test_runner", "pytest"): Owned(words=r"pytest"),
    ("test_runner", "unittest"): Owned(words=r"unittest|xmlrunner"),
    ("signing", "keyless"): Owned(
        words=r"certificate-identity|keyless", jobs=("preflight-keyless", "attest-pypi", *SIGNED)
    ),
    ("signing", "key"): Owned(words=r"cosign\.key|--key cosign\.pub|public_key: ", jobs=SIGNED),
    ("publish", "gitlab"): Owned(words=r"packages/pypi", jobs=("publish-gitlab", *PUBLISHED)),
    ("publish", "pypi"): Owned(
        words=r"trusted publisher|publish-pypi", jobs=("publish-pypi", "attest-pypi", *PUBLISHED)
    ),
    ("docs", True): Owned(
        paths=("docs/changelog.md", "docs/conf.py", "docs/index.md"),
        words=r"sphinx|/(docs|pages)(\.yml|@)",
        jobs=("docs", "pages"),
    ),
    ("pre_commit", True): Owned(paths=(".pre-commit-config.yaml",), words=r"pre-commit"),
}


@dataclass(frozen=True)
class Job:
    """A job of the pipeline: its stage, the component of its name, what differs from the defaults of the inputs.

    `id_tokens` are those that the component declares: whom each is for, by the name of its variable. `in_merge_request`
    are the inputs that differ there.
    """

    stage: str
    component: str
    inputs: dict[str, Any] = field(default_factory=dict)
    id_tokens: dict[str, str] = field(default_factory=dict)
    in_merge_request: dict[str, Any] = field(default_factory=dict)


def absent_paths(answers: Mapping[str, Any]) -> list[str]:
    """Return the paths of the template that a project does not have."""
    present = {path for (option, value), owned in OWNED.items() if answers[option] == value for path in owned.paths}
    absent = [path for owned in OWNED.values() for path in owned.paths if path not in present]
    return [path.replace(PACKAGE, f"src/{answers['package_name']}") for path in dict.fromkeys(absent)]


def has_job(answers: Mapping[str, Any], name: str) -> bool:
    """Tell whether all options that own a job want it."""
    owners = [key for key, owned in OWNED.items() if name in owned.jobs]
    return all((option, answers[option]) in owners for option, _ in owners)


def pythons(answers: Mapping[str, Any]) -> list[str]:
    """Return the Pythons that the project supports, oldest first.

    Raises ValueError where the oldest is not among those alive; the answers were checked before.
    """
    alive: list[str] = answers["_python_versions"]
    return alive[alive.index(answers["python_version"]) :]


def job_image(answers: Mapping[str, Any]) -> str:
    """Return the image that the jobs use, for the oldest Python of the project."""
    image = answers["_component_inputs"].get("python_container_image")
    if image is None:
        # To read the YAML of a component takes longer than all else that is asked here.
        lint = (COMPONENTS / "lint.yml").read_text(encoding="utf-8")
        (image,) = re.findall(r"^    python_container_image:\n.+\n      default: (.+)$", lint, re.MULTILINE)
    return str(image).replace("${PY_CI_PYTHON}", answers["python_version"])


def pipeline(answers: Mapping[str, Any]) -> list[Job]:
    """Return the jobs of the project's pipeline, in the order of their stages."""
    signing, publish = answers["signing"], answers["publish"]
    signed, pypi, key = signing != "none", publish == "pypi", signing == "key"
    organisation = answers["_component_inputs"]
    python = {"python_version": answers["python_version"]}
    # What passes with the oldest and the newest Python seldom fails between them; the default branch tries all.
    tested = pythons(answers)
    ends = {"python_versions": [tested[0], tested[-1]]} if len(tested) > 2 else {}
    package = {**python, "package_name": answers["project_slug"]}
    signer = {"identity": IDENTITY} if key else {}
    secrets = {"scoped_variables": "COSIGN_PRIVATE_KEY COSIGN_PASSWORD"} if key else {}
    registry = {"package_registry": publish != "none" and (signed or not pypi)}
    suite = {} if answers["test_runner"] == "pytest" else {"test_commands": [XMLRUNNER]}
    program = {} if answers["kind"] == "library" else {"program": answers["project_slug"]}
    consumer = {**program, **({"index_url": ""} if pypi else {})}
    sigstore = {"SIGSTORE_ID_TOKEN": organisation.get("audience", SIGSTORE)} if signing == "keyless" else {}
    publishers = [name for name in ("publish-signatures", "publish-gitlab", "publish-image") if has_job(answers, name)]
    attested = {"dependencies": ["digests", "attest-pypi"]} if has_job(answers, "attest-pypi") else {}
    jobs = [
        Job(".pre", "preflight", {**python, **registry, **secrets}),
        Job(".pre", "preflight-keyless", python),
        Job(".pre", "drift", python),
        Job("lint", "lint", python),
        Job("test", "test", {"python_versions": tested, **suite}, in_merge_request=ends),
        Job("test", "coverage", python),
        Job("build", "build", python),
        Job("build", "sbom", python),
        Job("build", "docs", python),
        Job("build", "digests", package),
        Job("build", "build-image"),
        Job("build", "sbom-image", python),
        Job("build", "digests-image", python),
        Job("build", "cosign", {**python, **({"public_key": "cosign.pub"} if key else {})}),
        Job("sign", "sign", {"method": signing, **python}, sigstore),
        Job("sign", "sign-image", {}, sigstore),
        Job("sign", "attest-pypi", python, {"SIGSTORE_ID_TOKEN": SIGSTORE}),
        Job("verify", "verify", {**python, **signer}),
        Job("verify", "verify-image"),
        Job("publish-signatures", "publish-signatures", {**package, **signer}),
        Job("publish", "publish-gitlab", python),
        Job(
            "publish",
            "publish-pypi",
            {**python, **attested},
            dict.fromkeys(("PYPI_ID_TOKEN", "PYPI_ID_TOKEN_2", "PYPI_ID_TOKEN_3"), PYPI),
        ),
        Job("publish", "publish-image"),
        Job("publish", "pages", python),
        Job("verify-published", "verify-published", {**package, **consumer, **signer}),
        Job("release", "release", {**python, "dependencies": publishers}),
    ]
    present = [job for job in jobs if has_job(answers, job.component)]
    if not organisation:
        return present
    return [replace(job, inputs={**common(organisation, job.component), **job.inputs}) for job in present]


def common(organisation: Mapping[str, Any], component: str) -> dict[str, Any]:
    """Return the values of an organisation for the inputs that a component declares."""
    header = (COMPONENTS / f"{component}.yml").read_text(encoding="utf-8").partition("\n---\n")[0]
    declared = yaml.safe_load(header)["spec"]["inputs"]
    return {name: value for name, value in organisation.items() if name in declared}
