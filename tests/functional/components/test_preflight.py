"""The script of the component `preflight`, run as the program that it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.__main__ import text_of
from scripts.preflight import HERE, OLDEST_GITLAB, OLDEST_RUNNER
from tools.bare_runner import USER, make_traversable
from tools.commands import run
from tools.requirements import MissingRequirementError, find_program
from tools.stand_ins.gitlab import VERSION, GitLab
from tools.stand_ins.gitlab_project import Project

ASKED = ("--python-container-image", "astral/uv:python3.13-trixie-slim", "--stage", ".pre", "--persons-name", "Ada")


@pytest.fixture(scope="session")
def preflight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, as it stands in the component."""
    program = tmp_path_factory.mktemp("preflight") / "preflight.py"
    program.write_text(text_of("scripts/preflight.py"), encoding="utf-8")
    return program


@pytest.fixture
def project(gitlab: GitLab) -> Project:
    """The project whose pipeline runs."""
    return gitlab.add_project("group/service")


@dataclass(frozen=True)
class Checked:
    """What the script printed, by check: the mark, the finding and the remedy."""

    status: int
    text: str

    def __getitem__(self, check: str) -> tuple[str, str, str]:
        found = re.search(rf"^  (ok|FAIL) +{check} +(.*)(?:\n +-> (.*))?$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1], found[2], found[3] or ""


@dataclass(frozen=True)
class Program:
    """The script with a Python, the folders of its PATH, and the variables of a job."""

    script: Path
    folder: Path
    variables: dict[str, str]

    def __call__(
        self,
        *arguments: str,
        python: str = sys.executable,
        path: str | None = None,
        user: int | None = None,
        **variables: str,
    ) -> Checked:
        """Run it as a job does, in a folder that it may write."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CI_")}
        done = subprocess.run(
            [python, "-I", "-", *(arguments or ASKED)],
            stdin=self.script.open(encoding="utf-8"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            cwd=self.folder,
            env={**kept, **({"PATH": path} if path else {}), **self.variables, **variables},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        return Checked(done.returncode, done.stdout)


@pytest.fixture
def check(preflight: Path, tmp_path: Path, gitlab: GitLab, project: Project) -> Program:
    """The script in a job of a project."""
    folder = tmp_path / "job"
    folder.mkdir()
    return Program(preflight, folder, gitlab.variables(project))


def test_all_is_well(check: Program, gitlab: GitLab) -> None:
    done = check(*ASKED, CI_COMMIT_TAG="v1.0.0", CI_COMMIT_REF_PROTECTED="true")
    assert done.status == 0, done.text
    assert done.text.startswith("Thank you, Ada! This is what your jobs will find:\n")
    assert done["image"] == ("ok", "astral/uv:python3.13-trixie-slim", "")
    assert done["stage"] == ("ok", ".pre", "")
    assert done["versions"] == ("ok", f"GitLab {VERSION}, unknown runner", "")
    assert done["index"] == ("ok", "answers", "")
    assert done["registry"] == ("ok", "answers and takes the token of this job", "")
    assert done["tag"] == ("ok", "v1.0.0, protected", "")
    assert done.text.endswith("No checks failed.\n")
    (request,) = gitlab.requests()
    assert (request.path, request.authenticated) == ("/api/v4/projects/1/packages", "JOB-TOKEN")


def test_the_table_is_short_and_fits_a_terminal(check: Program) -> None:
    lines = check().text.splitlines()
    assert len(lines) < 17
    assert max(map(len, lines)) <= 100


def test_the_longest_versions_fit_a_terminal(check: Program) -> None:
    long = f"19.4.{'0' * 100}"
    assert max(map(len, check(CI_SERVER_VERSION=long, CI_RUNNER_VERSION=long).text.splitlines())) <= 100


def test_the_oldest_gitlab_and_runner_are_new_enough(check: Program) -> None:
    done = check(CI_SERVER_VERSION=f"{OLDEST_GITLAB}.0-ee", CI_RUNNER_VERSION=f"{OLDEST_RUNNER}.0")
    assert done["versions"] == ("ok", f"GitLab {OLDEST_GITLAB}.0-ee, runner {OLDEST_RUNNER}.0", "")
    assert done.status == 0, done.text


UPDATE_GITLAB = f"Have GitLab updated to {OLDEST_GITLAB} or newer."
UPDATE_RUNNER = f"Have the runner updated to {OLDEST_RUNNER} or newer."


@pytest.mark.parametrize(
    ("server", "runner", "remedy"),
    [
        ("17.2.0-ee", "19.4.0", UPDATE_GITLAB),
        ("16.11.2-rc42-ee", "unknown", UPDATE_GITLAB),
        ("19.4.1-ee", "17.2.1", UPDATE_RUNNER),
        ("16.0.0", "15.0.0", f"{UPDATE_GITLAB} {UPDATE_RUNNER}"),
    ],
)
def test_a_gitlab_or_a_runner_that_is_too_old(check: Program, server: str, runner: str, remedy: str) -> None:
    done = check(CI_SERVER_VERSION=server, CI_RUNNER_VERSION=runner)
    shown = "unknown runner" if runner == "unknown" else f"runner {runner}"
    assert done["versions"] == ("FAIL", f"GitLab {server}, {shown}", remedy)
    assert done.status == 1


@pytest.mark.parametrize("version", ["", "latest", "18.4\x1b[31m"])
def test_what_is_no_version_is_unknown_and_no_failure(check: Program, version: str) -> None:
    done = check(CI_SERVER_VERSION=version, CI_RUNNER_VERSION=version)
    assert done["versions"] == ("ok", "unknown GitLab, unknown runner", "")
    assert done.status == 0, done.text


def test_it_explains_itself(check: Program) -> None:
    done = check("--help")
    assert done.status == 0
    for option in ("--python-container-image", "--stage", "--persons-name"):
        assert option in done.text


def test_it_says_which_argument_is_missing(check: Program) -> None:
    done = check("--stage", ".pre")
    assert done.status == 2
    assert "--python-container-image" in done.text.splitlines()[-1]


@pytest.mark.parametrize("name", ["-Ada", "--help", "--persons-name", "- #:{[\"'"])
def test_a_person_may_be_called_anything(check: Program, name: str) -> None:
    done = check(*ASKED[:4], f"--persons-name={name}")
    assert done.text.startswith(f"Thank you, {name}!")


@pytest.mark.parametrize("name", ["", "  ", "\u202e\n"])
def test_a_person_without_a_name_is_thanked_too(check: Program, name: str) -> None:
    assert check(*ASKED[:4], "--persons-name", name).text.startswith("Thank you, whoever you are!")


def test_a_name_cannot_write_to_the_terminal(check: Program) -> None:
    done = check(*ASKED[:4], "--persons-name", '\x1b[31m$(id) "Ada"\n  FAIL')
    assert done.text.startswith('Thank you, [31m$(id) "Ada"  FAIL!')


@pytest.fixture
def _as_root() -> None:
    """Go on only as root, who alone can become another user."""
    if os.geteuid() != 0:
        raise MissingRequirementError("only root can run a program as another user: run this test as root")


@pytest.mark.usefixtures("_as_root")
def test_it_knows_root(check: Program) -> None:
    assert check()["user"][1].startswith("root")


@pytest.mark.usefixtures("_as_root")
def test_it_runs_without_root(check: Program, shared_folder: Path) -> None:
    python = find_program("/usr/bin/python3", "apt install python3-venv")
    os.chown(check.folder, USER, USER)
    make_traversable(shared_folder.parent, check.folder)
    done = check(python=python, path="/usr/bin:/bin", user=USER)
    assert done["user"] == ("ok", "not root", "")
    assert done.status == 0, done.text


@pytest.mark.usefixtures("_as_root")
def test_a_folder_that_cannot_be_written(check: Program, shared_folder: Path) -> None:
    python = find_program("/usr/bin/python3", "apt install python3-venv")
    make_traversable(shared_folder.parent, check.folder)
    done = check(python=python, path="/usr/bin:/bin", user=USER)
    assert done.status == 1
    assert done.text.endswith("cannot be written: give it to the user of the runner.\n")


def test_a_home_that_cannot_be_written(check: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no folders to make, for root neither, and uv keeps its cache in the home of the user."""
    for variable in ("UV_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    done = check(HOME="/proc/nobody")
    assert done.status == 0, done.text
    assert done["Python"][:2] == ("ok", HERE)


def test_without_uv_there_is_pip(check: Program) -> None:
    done = check(path="/usr/bin:/bin")
    assert done["tools"] == ("ok", "pip, which fetches uv for each job", "")
    assert done["index"] == ("ok", "answers", "")


def test_without_uv_and_pip_there_is_venv(check: Program, tmp_path: Path) -> None:
    # A program of the path, so that the environment that venv makes has its own pip.
    python = tmp_path / "no-pip"
    run(sys.executable, "-m", "venv", "--without-pip", python)
    done = check(python=str(python / "bin" / "python"), path="/usr/bin:/bin")
    assert done["tools"] == ("ok", "venv, which fetches pip and uv for each job", "")
    assert done["index"] == ("ok", "answers", "")


def test_no_venv_module(check: Program, tmp_path: Path) -> None:
    python = tmp_path / "no-venv"
    run(sys.executable, "-m", "venv", "--without-pip", python)
    (packages,) = python.glob("lib/python*/site-packages")
    (packages / "sitecustomize.py").write_text("import sys\nsys.modules['venv'] = None\n", encoding="utf-8")
    done = check(python=str(python / "bin" / "python"), path="/usr/bin:/bin")
    assert done.status == 1
    remedy = "Install python3-venv, or choose an image that has one of them."
    assert done["tools"] == ("FAIL", "neither uv, pip nor venv", remedy)
    assert done["index"] == ("ok", "not asked", "")


@pytest.mark.parametrize("path", [None, "/usr/bin:/bin"], ids=["uv", "pip"])
def test_an_index_that_cannot_be_reached(check: Program, path: str | None) -> None:
    nowhere = "http://127.0.0.1:9/simple"
    done = check(path=path, UV_DEFAULT_INDEX=nowhere, PIP_INDEX_URL=nowhere, PIP_RETRIES="0", PIP_NO_INDEX="")
    assert done.status == 1
    mark, finding, remedy = done["index"]
    assert (mark, remedy[:37]) == ("FAIL", "Set UV_DEFAULT_INDEX and PIP_INDEX_UR")
    assert finding.startswith("no answer: ")


@pytest.mark.parametrize("path", [None, "/usr/bin:/bin"], ids=["uv", "pip"])
def test_a_python_that_is_not_here(check: Program, path: str | None) -> None:
    done = check(*ASKED, "--python-version", "3.99", path=path)
    assert done.status == 1
    mark, finding, remedy = done["Python"]
    assert (mark, remedy) == ("FAIL", "Choose an image or a runner that has it.")
    assert finding.endswith("but no 3.99")


def test_a_registry_that_refuses_the_token(check: Program, gitlab: GitLab) -> None:
    other = gitlab.add_project("group/other")
    done = check(CI_JOB_TOKEN="glcbt-expired")  # noqa: S106
    assert done.status == 1
    remedy = "Start a new pipeline: the token of an old job has ended."
    assert done["registry"] == ("FAIL", "refuses the token of this job (401)", remedy)
    assert check(CI_JOB_TOKEN=other.token)["registry"][1] == "is closed to this job (403)"
    assert "glcbt" not in done.text


def test_a_registry_that_is_turned_off(check: Program, gitlab: GitLab) -> None:
    gitlab.fail_next(1, path="/packages$", status=403)
    mark, finding, remedy = check()["registry"]
    assert (mark, finding) == ("FAIL", "is closed to this job (403)")
    assert remedy == "Turn it on: Settings > General > Visibility > Package registry."


@pytest.mark.parametrize("status", [403, 404])
def test_a_token_that_may_not_read_the_jobs_of_its_pipeline(check: Program, gitlab: GitLab, status: int) -> None:
    assert check(CI_PIPELINE_ID="7")["jobs"] == ("ok", "answers and takes the token of this job", "")
    gitlab.fail_next(1, path="/pipelines/7/jobs$", status=status)
    mark, finding, remedy = check(CI_PIPELINE_ID="7")["jobs"]
    assert (mark, finding) == ("FAIL", f"is closed to this job ({status})")
    assert remedy.startswith("Let job tokens read jobs:")


def test_a_registry_that_fails(check: Program, gitlab: GitLab) -> None:
    gitlab.fail_next(3, path="/packages$", status=502)
    assert check()["registry"][:2] == ("FAIL", "fails (502)")


@pytest.mark.parametrize("fault", [{"status": 503}, {"cut": True}], ids=["503", "cut"])
def test_a_fault_of_the_registry_heals(check: Program, gitlab: GitLab, fault: dict[str, Any]) -> None:
    gitlab.fail_next(1, path="/packages$", **fault)
    assert check()["registry"][0] == "ok"
    assert len(gitlab.requests()) == 2


def test_a_gitlab_that_cannot_be_reached(check: Program) -> None:
    mark, finding, remedy = check(CI_API_V4_URL="http://127.0.0.1:9/api/v4")["registry"]
    assert (mark, finding[:10]) == ("FAIL", "no answer:")
    assert remedy == "See whether the runner reaches GitLab and trusts its certificate."


def test_a_registry_that_is_not_needed_is_not_asked(check: Program, gitlab: GitLab) -> None:
    assert check(*ASKED, "--package-registry", "false")["registry"] == ("ok", "not needed", "")
    assert gitlab.requests() == []


def test_an_unprotected_tag(check: Program) -> None:
    done = check(CI_COMMIT_TAG="v1.0.0", CI_COMMIT_REF_PROTECTED="false")
    assert done.status == 1
    remedy = (
        "Protect v* by py-ci-project, or in Settings > Repository > Protected tags; delete the tag and push it again."
    )
    assert done["tag"] == ("FAIL", "v1.0.0, not protected", remedy)
    assert done.text.endswith("1 check failed.\n")


def test_an_unprotected_tag_of_one_of_several_packages(check: Program) -> None:
    remedy = (
        "Protect the tags of this package in Settings > Repository > Protected tags; delete the tag and push it again."
    )
    done = check(CI_COMMIT_TAG="acme-api-v1.0.0", CI_COMMIT_REF_PROTECTED="false")
    assert done["tag"] == ("FAIL", "acme-api-v1.0.0, not protected", remedy)


@pytest.mark.parametrize("tag", ["v1.0.0", "acme-api-v1.0.0", "v10.20.30", "v1.0.0a1", "v1.0.0b2", "v1.0.0rc10"])
def test_a_tag_that_is_a_version(check: Program, tag: str) -> None:
    assert check(CI_COMMIT_TAG=tag, CI_COMMIT_REF_PROTECTED="true")["tag"] == ("ok", f"{tag}, protected", "")


@pytest.mark.parametrize(
    "tag",
    [
        "1.0.0",
        "v1",
        "v1.0",
        "v1.0.0.0",
        "v01.0.0",
        "v1.0.0-rc.1",
        "v1.0.0rc",
        "v1.0.0.dev1",
        "vnext",
        "v1.0.0\n",
        "é-v1.0.0",
        "a$(id)-v1.0.0",
    ],
)
def test_a_tag_that_is_no_version(check: Program, tag: str) -> None:
    done = check(CI_COMMIT_TAG=tag, CI_COMMIT_REF_PROTECTED="true")
    assert done.status == 1
    assert f"{tag}, not a version" in done.text
    assert "-> Delete the tag and push one such as v1.2.3, or v1.2.3rc1 before it is ready." in done.text


SCOPED = (*ASKED, "--scoped-variables", "THE_KEY THE_PASSWORD")
REMEDY = (
    "Edit it in Settings > CI/CD > Variables: protected, and with the environment of the job sign, signing; "
    "py-ci-project --check says what differs."
)


def test_a_key_that_only_the_signing_jobs_see(check: Program) -> None:
    done = check(*SCOPED, CI_COMMIT_TAG="v1.0.0", CI_COMMIT_REF_PROTECTED="true")
    assert done["secrets"] == ("ok", "THE_KEY and THE_PASSWORD cannot be seen here", "")
    assert done.status == 0
    assert check()["secrets"] == ("ok", "none needed", "")


@pytest.mark.parametrize(
    ("variables", "whose"),
    [
        ({"CI_COMMIT_TAG": "v1.0.0", "CI_COMMIT_REF_PROTECTED": "true"}, "every job of a release"),
        ({"CI_COMMIT_REF_PROTECTED": "true"}, "every job of a release"),
        ({"CI_COMMIT_REF_PROTECTED": "false"}, "every branch"),
        ({"CI_MERGE_REQUEST_IID": "1"}, "this merge request"),
    ],
)
def test_a_key_that_other_jobs_can_see(check: Program, variables: dict[str, Any], whose: str) -> None:
    done = check(*SCOPED, **variables, THE_KEY="a secret", THE_PASSWORD="another secret")  # noqa: S106
    mark, finding, remedy = done["secrets"]
    assert (mark, finding) == ("FAIL", f"THE_KEY and THE_PASSWORD can be seen by {whose}")
    assert remedy.startswith(REMEDY)
    assert ("replace it" in remedy) == (whose != "every job of a release")
    assert done.status == 1
    assert "secret" not in done.text.replace("secrets", "")
