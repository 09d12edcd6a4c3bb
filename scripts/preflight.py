"""Says what the jobs will find on this runner, and how to fix what is missing.

Prints a table with a line for each check, and a remedy below each that failed. Ends with 1 where one did, and with 2
where it was called wrongly.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from scripts.trouble import give_up, paragraph

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# The oldest with which all jobs work: docs/requirements.md says what needs them, and a test compares it with this.
OLDEST_GITLAB, OLDEST_RUNNER = "18.3", "17.3"
CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
# A release, or a pre-release of it: https://packaging.python.org/en/latest/specifications/version-specifiers/
NUMBER = "(0|[1-9][0-9]*)"
# The name of a package may stand before it.
VERSION = re.compile(rf"([A-Za-z0-9][A-Za-z0-9._-]*-)?v{NUMBER}\.{NUMBER}\.{NUMBER}((a|b|rc){NUMBER})?")

# What a check found, and the remedy where that is not enough.
Finding = tuple[str, str | None]


def run(*command: str, answer: str = "") -> tuple[bool, str]:
    """Run a command; return whether it worked, and the last line that it printed."""
    try:
        done = subprocess.run(command, input=answer, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    lines = (done.stdout + done.stderr).split("\n")
    return done.returncode == 0, next((line.strip() for line in reversed(lines) if line.strip()), "")


def older(version: str, oldest: str) -> bool | None:
    """Tell whether a version such as `18.4.1-ee` or `19.0.0-pre` is older than another; None where it is no version."""
    number = re.fullmatch(r"([0-9]+)\.([0-9]+)(?:[.~+-][A-Za-z0-9.~+-]*)?", version)
    if not number:
        return None
    return [int(part) for part in number.groups()] < [int(part) for part in oldest.split(".")]


def versions() -> Finding:
    """Say which GitLab and which runner these are, and what to do where one is too old; an unknown one may be right."""
    # A line has room for so much of each.
    gitlab, runner = (os.environ.get(name, "")[:30] for name in ("CI_SERVER_VERSION", "CI_RUNNER_VERSION"))
    shown, remedies = [], []
    old = older(gitlab, OLDEST_GITLAB)
    shown.append("unknown GitLab" if old is None else f"GitLab {gitlab}")
    if old:
        remedies.append(f"Have GitLab updated to {OLDEST_GITLAB} or newer.")
    old = older(runner, OLDEST_RUNNER)
    shown.append("unknown runner" if old is None else f"runner {runner}")
    if old:
        remedies.append(f"Have the runner updated to {OLDEST_RUNNER} or newer.")
    return ", ".join(shown), " ".join(remedies) or None


def executor(container: bool) -> Finding:
    """Say where the jobs run."""
    return "a container" if container else "a shell, where the image is not used", None


def user(container: bool) -> Finding:
    """Say as whom the jobs run."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "not root", None
    return "root" if container else "root, which no job needs: give the runner a user of its own", None


def python(wanted: str) -> Finding:
    """Say whether there is the Python that the jobs want."""
    if shutil.which("uv"):
        # A user may have no home to keep a cache in; the jobs keep theirs in the project.
        found, _ = run("uv", "python", "find", "--no-cache", "--no-project", wanted)
    else:
        found = wanted == HERE or shutil.which(f"python{wanted}") is not None
    return (wanted, None) if found else (f"{HERE}, but no {wanted}", "Choose an image or a runner that has it.")


def environments(folder: str) -> tuple[Finding, list[str] | None]:
    """Say what makes environments, and return the command that asks the index for a package."""
    if shutil.which("uv"):
        _, version = run("uv", "--version")
        return (version, None), ["uv", "pip", "compile", "--quiet", "--no-deps", "--no-cache", "-"]
    interpreter = sys.executable
    made_by = "pip, which fetches uv for each job"
    if not run(interpreter, "-I", "-m", "pip", "--version")[0]:
        made_by = "venv, which fetches pip and uv for each job"
        if not run(interpreter, "-I", "-m", "venv", f"{folder}/venv")[0]:
            remedy = "Install python3-venv, or choose an image that has one of them."
            return ("neither uv, pip nor venv", remedy), None
        interpreter = f"{folder}/venv/bin/python"
    download = ["download", "--quiet", "--no-deps", "--no-cache-dir", "--dest", folder, "pip"]
    return (made_by, None), [interpreter, "-I", "-m", "pip", *download]


def index(command: Sequence[str] | None) -> Finding:
    """Say whether the package index answers."""
    if command is None:
        return "not asked", None
    answers, said = run(*command, answer="pip")
    remedy = "Set UV_DEFAULT_INDEX and PIP_INDEX_URL in Settings > CI/CD > Variables, or open the network."
    return ("answers", None) if answers else (f"no answer: {said}", remedy)


def registry() -> Finding:
    """Say whether the package registry of the project answers, and takes the token of this job."""
    return asked("packages", "Turn it on: Settings > General > Visibility > Package registry.")


def jobs() -> Finding:
    """Say whether this job may ask which jobs its pipeline has: others take files from them so."""
    pipeline = os.environ.get("CI_PIPELINE_ID")
    remedy = "Let job tokens read jobs: Settings > CI/CD > Job token permissions; or have GitLab updated."
    return asked(f"pipelines/{pipeline}/jobs", remedy) if pipeline else ("not asked outside GitLab", None)


def asked(what: str, remedy: str) -> Finding:
    """Say whether GitLab answers what this job asks of the project, with the remedy where it is closed to the job."""
    api, project, token = map(os.environ.get, ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_JOB_TOKEN"))
    if not (api and project and token):
        return "not asked outside GitLab", None
    address = f"{api}/projects/{project}/{what}?per_page=1"
    request = urllib.request.Request(address, headers={"JOB-TOKEN": token})  # noqa: S310
    problem: Finding = ("not asked", None)
    for pause in (1, 5, 0):
        try:
            with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
                json.load(response)
            return "answers and takes the token of this job", None
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return "refuses the token of this job (401)", "Start a new pipeline: the token of an old job has ended."
            if error.code in (403, 404):
                return f"is closed to this job ({error.code})", remedy
            problem = f"fails ({error.code})", "Retry the job later; if it stays so, tell who runs your GitLab."
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = f"no answer: {error}", "See whether the runner reaches GitLab and trusts its certificate."
        time.sleep(pause)
    return problem


def tag() -> Finding:
    """Say whether the tag of the pipeline can be released."""
    name = os.environ.get("CI_COMMIT_TAG")
    if not name:
        return "none", None
    found = VERSION.fullmatch(name)
    if os.environ.get("CI_COMMIT_REF_PROTECTED") != "true":
        remedy = (
            "Protect v* by py-ci-project, or in Settings > Repository > Protected tags; "
            "delete the tag and push it again."
        )
        if found and found[1]:
            remedy = (
                "Protect the tags of this package in Settings > Repository > Protected tags; "
                "delete the tag and push it again."
            )
        return f"{name}, not protected", remedy
    if not found:
        return f"{name}, not a version", "Delete the tag and push one such as v1.2.3, or v1.2.3rc1 before it is ready."
    return f"{name}, protected", None


def secrets(names: Sequence[str]) -> Finding:
    """Say whether this job sees variables that only the jobs of another environment should."""
    seen = " and ".join(name for name in names if os.environ.get(name))
    if not seen:
        return f"{' and '.join(names)} cannot be seen here" if names else "none needed", None
    remedy = (
        "Edit it in Settings > CI/CD > Variables: protected, and with the environment of the job sign, signing; "
        "py-ci-project --check says what differs."
    )
    if os.environ.get("CI_COMMIT_REF_PROTECTED") == "true":
        return f"{seen} can be seen by every job of a release", remedy
    # A merge request may see those of the branch that it is for.
    whose = "this merge request" if os.environ.get("CI_MERGE_REQUEST_IID") else "every branch"
    return f"{seen} can be seen by {whose}", f"{remedy} If others may have read it, replace it."


def table(name: str, rows: Sequence[tuple[str, Finding]]) -> str:
    """Return what is printed to a person: a line for each check, and a remedy below each that failed."""
    person = "".join(filter(str.isprintable, name)).strip() or "whoever you are"
    lines = [f"Thank you, {person}! This is what your jobs will find:", ""]
    for check, (finding, remedy) in rows:
        lines.append(f"  {'FAIL' if remedy else 'ok':4}  {check:8}  {finding}")
        if remedy:
            lines.append(f"{'':16}-> {remedy}")
            lines.append(f"{'':19}{paragraph(f'preflight-{check.lower()}')}")
    failed = sum(remedy is not None for _, (_, remedy) in rows)
    return "\n".join([*lines, "", f"{failed or 'No'} check{'' if failed == 1 else 's'} failed."])


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="preflight", description="Say what CI jobs will find here.")
    parser.add_argument("--python-container-image", required=True, help="the image of the jobs")
    parser.add_argument("--stage", required=True, help="the stage of this job")
    parser.add_argument("--persons-name", default="", help="whom to thank")
    parser.add_argument("--python-version", default=HERE, help="the Python of the jobs")
    parser.add_argument("--package-registry", choices=["true", "false"], default="true", help="whether it is needed")
    parser.add_argument("--scoped-variables", default="", help="names that only another environment has")
    return parser.parse_args()


def main() -> int:
    """Check, and print the table; return the exit status."""
    given = arguments()
    container = "KUBERNETES_SERVICE_HOST" in os.environ or any(Path(file).exists() for file in CONTAINER_FILES)
    if not os.access(".", os.W_OK):
        give_up("preflight-folder", f"{Path.cwd()} cannot be written: give it to the user of the runner.")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        tools, asks = environments(folder)
        rows: list[tuple[str, Finding]] = [
            ("image", (given.python_container_image, None)),
            ("stage", (given.stage, None)),
            ("versions", versions()),
            ("executor", executor(container)),
            ("user", user(container)),
            ("Python", python(given.python_version)),
            ("tools", tools),
            ("index", index(asks)),
            ("registry", registry() if given.package_registry == "true" else ("not needed", None)),
            ("jobs", jobs()),
            ("tag", tag()),
            ("secrets", secrets(given.scoped_variables.split())),
        ]
    print(table(given.persons_name, rows))
    return 1 if any(remedy for _, (_, remedy) in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
