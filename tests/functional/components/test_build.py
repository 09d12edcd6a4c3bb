"""What `build` refuses."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from scripts.reproducible_sdist import packed
from tools.commands import commit_all, run
from tools.requirements import find_program
from tools.runner import Pipe
from tools.samples.baked import BakedProject
from tools.samples.package import COMPONENTS, VERSION


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
