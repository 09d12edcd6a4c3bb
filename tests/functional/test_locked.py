"""What jobs bring with them is what was locked, whatever the package index or an earlier job offers."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.__main__ import LOCKS, text_of
from tools.bare_runner import version_of
from tools.commands import run
from tools.options import DECLARED, ROOT
from tools.requirements import find_program
from tools.runner import Executor, Pipe
from tools.samples.package import COMPONENTS, VERSION
from tools.shared import made_once
from tools.stand_ins.gitlab import GitLab

GROUPS = tomllib.loads((LOCKS / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
(UV,), (SBOM,) = GROUPS["uv"], GROUPS["sbom"]
OF_A_PROJECT = ROOT / "{{cookiecutter.project_slug}}" / "build-requirements.txt"
REMEDY = "Choose an image or a runner that has Python "
PLATFORMS = [
    f"{machine}-{system}"
    for machine in ("x86_64", "aarch64")
    for system in ("manylinux_2_17", "unknown-linux-musl", "apple-darwin")
]
# These have no wheel.
LACKING = {
    ("attest-pypi", "x86_64-apple-darwin"),
    # Node wants glibc 2.28, which the image of the bot has.
    ("fleet", "x86_64-manylinux_2_17"),
    ("fleet", "aarch64-manylinux_2_17"),
    ("sbom-image", "x86_64-unknown-linux-musl"),
    ("sbom-image", "aarch64-unknown-linux-musl"),
}


@pytest.mark.parametrize("lock", [*sorted(LOCKS.glob("*.txt")), OF_A_PROJECT], ids=lambda path: path.stem)
def test_a_lock_is_whole_on_every_python_and_platform(lock: Path, tmp_path: Path) -> None:
    """uv refuses a lock that lacks a package or the hash of the file that it takes."""
    lacking = set()
    networks: tuple[list[str], ...] = ([],)
    for python in DECLARED["_python_versions"]:
        for platform in PLATFORMS:
            target = ("--target", tmp_path, "--python-version", python, "--python-platform", platform)
            options = ("--dry-run", "--require-hashes", "--only-binary", ":all:", "--project", LOCKS)
            command = ["uv", "pip", "install", *options, *target, "--requirements", lock]
            for network in networks:
                done = subprocess.run([*command, *network], stdin=subprocess.DEVNULL, capture_output=True, text=True)
                if done.returncode == 0:
                    break
            # What the index has said now, uv knows; for what it has not, and before uv refuses, the index is asked.
            networks = ["--offline"], []
            assert done.returncode == 0 or "has no usable wheels" in done.stderr, done.stderr
            lacking |= {(lock.stem, platform)} if done.returncode else set()
    assert lacking == {pair for pair in LACKING if pair[0] == lock.stem}


@pytest.mark.parametrize(
    ("group", "command"),
    [
        ("attest-pypi", ["python", "-I", "-m", "pypi_attestations", "--version"]),
        ("sbom", ["cyclonedx-py", "--version"]),
        ("sbom-image", ["syft", "--version"]),
    ],
)
def test_a_locked_tool_runs(group: str, command: list[str], pythons: dict[str, Path], tmp_path: Path) -> None:
    for python, folder in pythons.items():
        run("uv", "venv", "--python", folder / f"python{python}", tmp_path / python)
        options = ("--quiet", "--python", tmp_path / python, "--no-deps", "--require-hashes", "--only-binary", ":all:")
        run("uv", "pip", "install", *options, "--requirements", LOCKS / f"{group}.txt")
        (version,) = {tool.partition("==")[2] for tool in GROUPS[group]}
        program, *arguments = command
        assert version in run(tmp_path / python / "bin" / program, *arguments)


@pytest.fixture(scope="session")
def wheels(shared_folder: Path, bare_python: Path) -> Path:
    """The wheels of two tools, as PyPI has them, for the Python of the system."""

    def fetch(folder: Path) -> None:
        options = ("--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", version_of(bare_python))
        run(sys.executable, "-m", "pip", "download", *options, "--dest", folder, UV, SBOM)

    return made_once(shared_folder / "wheels", fetch)


# Its program, or the module that the job starts, leaves a mark.
EVIL = "import pathlib\npathlib.Path({marker!r}).touch()\n"


def add_a_file(wheel: Path, evil: str) -> None:
    """Make it a wheel that runs code in every Python of the environment."""
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("evil.pth", evil.replace("\n", ";"))


def be_an_sdist(wheel: Path, evil: str) -> None:
    """Leave only a source distribution, whose build runs code."""
    name, version, *_ = wheel.name.split("-")
    folder = wheel.parent / f"{name}-{version}"
    folder.mkdir()
    (folder / "setup.py").write_text(f"{evil}import setuptools\nsetuptools.setup(name={name!r}, version={version!r})\n")
    run("tar", "--create", "--gzip", "--file", f"{folder}.tar.gz", folder.name, cwd=wheel.parent)
    run("rm", "--recursive", folder, wheel)


def be_newer(wheel: Path, evil: str) -> None:
    """Leave only a newer version."""
    name, version, rest = wheel.name.split("-", 2)
    add_a_file(wheel, evil)
    wheel.rename(wheel.with_name(f"{name}-{version}.1-{rest}"))


def add_a_build(wheel: Path, evil: str) -> None:
    """Add a wheel of the same version that would be taken before the right one."""
    name, version, rest = wheel.name.split("-", 2)
    other = wheel.with_name(f"{name}-{version}-1-{rest}")
    other.write_bytes(wheel.read_bytes())
    add_a_file(other, evil)


Attack = Callable[[Path, str], None]
ATTACKS = [add_a_file, add_a_build, be_an_sdist, be_newer]


def offer(
    gitlab: GitLab, repository: Path, wheels: Path, tool: str, attack: Attack | None, marker: Path
) -> dict[str, str]:
    """Return variables with which jobs install from an index that has a file of a tool, and all else from elsewhere."""
    here = gitlab.add_project("group/another", repository)
    folder = here.folder / "pypi"
    folder.mkdir(exist_ok=True)
    name = tool.partition("==")[0].replace("-", "_")
    (wheel,) = wheels.glob(f"{name}-*.whl")
    (folder / wheel.name).write_bytes(wheel.read_bytes())
    if attack:
        attack(folder / wheel.name, EVIL.format(marker=str(marker)))
    return gitlab.index_variables(here)


def include(project: Path, python: str, *components: str) -> None:
    """Give a project some components."""
    lines = [
        f"  - component: {COMPONENTS}/{each}@{VERSION}\n    inputs: {{python_version: '{python}'}}\n"
        for each in components
    ]
    (project / ".gitlab-ci.yml").write_text("include:\n" + "".join(lines), encoding="utf-8")


@pytest.mark.parametrize("attack", [None, *ATTACKS])
def test_uv_is_the_locked_one_or_the_job_ends(
    attack: Attack | None,
    another: Path,
    pipe: Pipe,
    gitlab: GitLab,
    wheels: Path,
    bare_shell: Executor,
    bare_python: Path,
    tmp_path: Path,
) -> None:
    include(another, version_of(bare_python), "build")
    marker = tmp_path / "evil"
    done = pipe(another, executor=bare_shell, variables=offer(gitlab, another, wheels, UV, attack, marker))
    assert not marker.exists()
    passes = attack in (None, add_a_build)
    assert done.results == {"build": "passed" if passes else "failed"}, done.output
    if passes:
        assert f"uv {UV.partition('==')[2]} (" in done.log("build")
        assert gitlab.requests(r"/files/.*/uv-.*\.whl", status=200)
    else:
        assert done.last_line("build").startswith(REMEDY)


@pytest.mark.parametrize("attack", [None, *ATTACKS])
def test_a_tool_is_the_locked_one_or_the_job_ends(
    attack: Attack | None, another: Path, pipe: Pipe, python: str, gitlab: GitLab, wheels: Path, tmp_path: Path
) -> None:
    include(another, python, "build", "sbom")
    marker = tmp_path / "evil"
    # What a group has set does not matter.
    variables = {
        **offer(gitlab, another, wheels, SBOM, attack, marker),
        "UV_NO_VERIFY_HASHES": "1",
        "UV_NO_BINARY": "1",
    }
    done = pipe(another, variables=variables)
    assert not marker.exists()
    passes = attack in (None, add_a_build)
    assert done.results == {"build": "passed", "sbom": "passed" if passes else "failed"}, done.output
    if passes:
        assert gitlab.requests(r"/files/.*/cyclonedx_bom-.*\.whl", status=200)
    else:
        assert done.last_line("sbom").startswith(REMEDY)


# What another job has left where this one writes, and what a project may have in its place.
LEFT = {
    ".uv/site-packages/bin/uv": "#!/bin/sh\ntouch {marker}\n",
    ".uv/site-packages/uv/__init__.py": EVIL,
    ".pip/bin/python3": "#!/bin/sh\ntouch {marker}\n",
    ".pip/pip.conf": "[global]\nno-binary = :all:\nindex-url = http://127.0.0.1:9/\n",
    "pip.conf": "[global]\nno-binary = :all:\nindex-url = http://127.0.0.1:9/\n",
    "pip.py": EVIL,
    "uv.py": EVIL,
}


def test_what_an_earlier_job_left_is_not_taken_for_uv(
    another: Path, pipe: Pipe, upstream: str, bare_shell: Executor, bare_python: Path, tmp_path: Path
) -> None:
    include(another, version_of(bare_python), "build")
    marker = tmp_path / "evil"
    for name, text in LEFT.items():
        file = another / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{marker!r}", repr(str(marker))).replace("{marker}", str(marker)), "utf-8")
        file.chmod(0o755)
    settings = {"PIP_NO_BINARY": ":all:", "PIP_REQUIRE_HASHES": "0", "PIP_TARGET": str(tmp_path / "elsewhere")}
    done = pipe(another, executor=bare_shell, variables={"PIP_INDEX_URL": upstream, **settings})
    assert not marker.exists()
    assert done.results == {"build": "passed"}, done.output
    assert f"uv {UV.partition('==')[2]} (" in done.log("build")


def test_a_machine_that_has_no_locked_file_is_told_so(
    bare_shell: Executor, bare_python: Path, upstream: str, tmp_path: Path
) -> None:
    setarch = find_program("setarch", "it says that the machine is another: apt install util-linux")
    script = text_of("scripts/remedy.sh") + text_of("scripts/uv.sh")
    env = {**bare_shell.variables, "PY_CI_PYTHON": version_of(bare_python), "PIP_INDEX_URL": upstream}
    command = [setarch, "i686", find_program("busybox", "apt install busybox"), "ash", "-e", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8")
    assert done.returncode != 0
    assert "uv: not found" in done.stderr
    assert done.stdout.splitlines()[-1].startswith(REMEDY)
