"""What `build` refuses."""

from __future__ import annotations

import io
import os
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.reproducible_sdist import packed
from tools.commands import commit_all, run
from tools.documents import block
from tools.options import ROOT
from tools.requirements import find_program
from tools.runner import Pipe
from tools.samples.baked import BakedProject, edit
from tools.samples.package import COMPONENTS, VERSION
from tools.stand_ins.gitlab import GitLab

REMEDY = "If the lines above name a requirement of the build, lock build-requirements.txt anew"
LOCKED = dict(
    re.findall(
        r"^(\S+)==(\S+)",
        (ROOT / "{{cookiecutter.project_slug}}" / "build-requirements.txt").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)


def test_a_tag_that_is_not_the_version_of_the_package_is_refused(
    another: Path, pipe: Pipe, python: str, warm: dict[str, str]
) -> None:
    (another / ".gitlab-ci.yml").write_text(
        f"""
include:
  - component: {COMPONENTS}/build@{VERSION}
    inputs:
      python_version: "{python}"
""",
        encoding="utf-8",
    )
    done = pipe(another, event="tag", variables=warm)
    assert done.results == {"build": "failed"}
    assert "The tag v1.0.0 does not name the version that was built: dist/another-2.0" in done.log("build")


def test_the_source_distribution_is_the_same_whether_there_is_git(
    project: BakedProject, python: str, pythons: dict[str, Path], tmp_path: Path
) -> None:
    """setuptools-scm adds all files that git knows, where it finds git; slim images have none."""
    commit_all(project.path)
    programs = {"uv": find_program("uv", "run the tests with tox"), "git": find_program("git", "apt install git")}
    archives = {}
    for name in ("with git", "without"):
        folder = tmp_path / name
        run("git", "clone", "--quiet", project.path, folder / "project")
        (folder / "programs").mkdir()
        for program in ("uv", "git") if name == "with git" else ("uv",):
            (folder / "programs" / program).symlink_to(programs[program])
        env = {**os.environ, "PATH": str(folder / "programs"), "SETUPTOOLS_SCM_PRETEND_VERSION": "1.0.0"}
        interpreter = pythons[python] / f"python{python}"
        run(programs["uv"], "build", "--sdist", "--python", interpreter, cwd=folder / "project", env=env)
        (sdist,) = (folder / "project" / "dist").glob("*.tar.gz")
        archives[name] = sdist
    with tarfile.open(archives["without"]) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    shown = {name for name in names if ".egg-info/" not in name}
    ours = {f"src/my_service/{name}" for name in ("__init__.py", "__main__.py", "app.py", "py.typed")}
    ours |= {"CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}
    assert shown == ours | {"tests/__init__.py", "tests/test_app.py", "PKG-INFO", "setup.cfg"}
    one, other = (packed(archive.read_bytes(), 0) for archive in archives.values())
    assert one == other


NEWER = "999.0"


def offer_newer_setuptools(folder: Path) -> None:
    """Put setuptools into an index, and the same with a higher version."""
    run(
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        folder,
        f"setuptools=={LOCKED['setuptools']}",
    )
    (wheel,) = folder.glob("setuptools-*.whl")
    version = LOCKED["setuptools"]
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(folder / wheel.name.replace(version, NEWER), "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename.endswith((".dist-info/METADATA", ".dist-info/RECORD")):
                content = content.replace(version.encode(), NEWER.encode())
            new.writestr(member.filename.replace(f"setuptools-{version}", f"setuptools-{NEWER}"), content)


def built(pipe: Pipe, project: BakedProject, variables: dict[str, str], **options: Any) -> dict[str, bytes]:
    """Return the distributions that the job makes, by name."""
    done = pipe(project.path, "build", variables=variables, **{"event": "tag", **options})
    assert done.results == {"build": "passed"}, done.output
    return {file.name: file.read_bytes() for file in done.artifact("build", "dist").iterdir()}


def generator(files: dict[str, bytes]) -> str:
    """Return what a wheel says that it was made with."""
    (wheel,) = (content for name, content in files.items() if name.endswith(".whl"))
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        (found,) = re.findall("^Generator: (.+)$", archive.read(name).decode(), re.MULTILINE)
    return str(found)


def test_a_newer_setuptools_does_not_change_a_tag_that_is_run_again(
    project: BakedProject, pipe: Pipe, gitlab: GitLab
) -> None:
    here = gitlab.add_project("your-group/my-service")
    variables = gitlab.index_variables(here)
    first = built(pipe, project, variables)
    assert first.keys() == {"my_service-1.0.0-py3-none-any.whl", "my_service-1.0.0.tar.gz"}
    (here.folder / "pypi").mkdir(exist_ok=True)
    offer_newer_setuptools(here.folder / "pypi")
    assert built(pipe, project, variables, again=True) == first
    assert generator(first) == f"setuptools ({LOCKED['setuptools']})"
    # As it would be without the file, and is where nothing is released.
    assert generator(built(pipe, project, variables, event="schedule")) == f"setuptools ({NEWER})"
    (project.path / "build-requirements.txt").unlink()
    assert generator(built(pipe, project, variables)) == f"setuptools ({NEWER})"


def test_another_file_of_what_builds_it_is_refused(
    project: BakedProject, pipe: Pipe, gitlab: GitLab, tmp_path: Path
) -> None:
    here = gitlab.add_project("your-group/my-service")
    folder = here.folder / "pypi"
    folder.mkdir(exist_ok=True)
    offer_newer_setuptools(folder)
    marker = tmp_path / "evil"
    with zipfile.ZipFile(folder / f"setuptools-{LOCKED['setuptools']}-py3-none-any.whl", "a") as archive:
        archive.writestr("evil.pth", f"import pathlib; pathlib.Path({str(marker)!r}).touch()")
    variables = {**gitlab.index_variables(here), "UV_NO_VERIFY_HASHES": "1"}
    done = pipe(project.path, "build", event="tag", variables=variables)
    assert done.results == {"build": "failed"}
    assert "Hash mismatch for `setuptools==" in done.log("build")
    assert done.last_line("build").startswith(REMEDY)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"setuptools>=77.0.3"', '"setuptools>=999"', "requirements are unsatisfiable"),
        ('"setuptools>=77.0.3"', '"setuptools>=77.0.3", "wheel"', "no trusted hash was provided for: `wheel`"),
    ],
)
def test_a_lock_that_lacks_what_the_build_requires_is_said_and_made_anew(
    old: str, new: str, said: str, project: BakedProject, pipe: Pipe
) -> None:
    edit(project, "pyproject.toml", old, new)
    done = pipe(project.path, "build")
    assert done.results == {"build": "failed"}
    assert said in " ".join(done.log("build").split())
    assert done.last_line("build").startswith(REMEDY)
    if "wheel" in new:
        command = block(project.read("CONTRIBUTING.md"), "## Update what it is built with", "sh")
        run("sh", "-e", "-c", command, cwd=project.path)
        assert pipe(project.path, "build").results == {"build": "passed"}


def test_the_lock_of_a_new_project_is_what_its_command_gives(project: BakedProject) -> None:
    before = project.read("build-requirements.txt")
    assert LOCKED.keys() >= {"setuptools", "setuptools-scm"}
    run(
        "sh",
        "-e",
        "-c",
        block(project.read("CONTRIBUTING.md"), "## Update what it is built with", "sh"),
        cwd=project.path,
    )
    assert project.read("build-requirements.txt") == before
