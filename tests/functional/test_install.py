"""A covering set of combinations, installed, tested, linted and built for real, as a developer would."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from email.utils import parseaddr
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from tools.commands import commit_all, run
from tools.documents import commands_of
from tools.options import DECLARED, SWITCHES, Combination, covering_combinations, name_of
from tools.runner import pythons_here
from tools.samples.baked import Bake, BakedProject, edit
from tools.samples.developer import environment, failing, oldest_of_tox, outside
from tools.samples.kinds import check_use


def distributions(project: BakedProject) -> tuple[Path, Path]:
    """Return the wheel and the source distribution that were built last, and no others."""
    (wheel,) = (project.path / "dist").glob("*.whl")
    (sdist,) = (project.path / "dist").glob("*.tar.gz")
    return wheel, sdist


def check_step_by_step(project: BakedProject, env: dict[str, str]) -> None:
    """Run every check that a developer can run, one by one."""
    project.run("ruff", "check", env=env)
    # As the line that makes it strict.
    project.run("ruff", "check", "--extend-select", "ANN,D", env=env)
    project.run("ruff", "format", "--check", env=env)
    project.run("mypy", env=env)
    project.run("deptry", ".", env=env)
    if project.options["test_runner"] == "pytest":
        project.run("pytest", env=env)
        project.run("pytest", "--cov", "--cov-fail-under=100", env=env)
    else:
        project.run("python", "-m", "unittest", env=env)
        project.run("coverage", "run", "-m", "unittest", env=env)
        project.run("coverage", "combine", env=env)
    project.run("coverage", "report", "--fail-under", "100", env=env)


def check_with_tox(project: BakedProject, env: dict[str, str]) -> None:
    """Run them all at once, on the oldest Python of the machine; the first steps below do it on each."""
    oldest = oldest_of_tox()
    docs = ",docs" if project.options["docs"] else ""
    printed = project.run("tox", "run", "-e", f"lint,{oldest},coverage{docs}", env=env)
    assert f"{oldest}: OK (" in printed
    assert "congratulations" in printed


def check_build(project: BakedProject, env: dict[str, str]) -> None:
    """Build, and check what was built."""
    for old in (project.path / "dist").glob("*"):
        old.unlink()
    project.run("python", "-m", "build", "--installer", "uv", env=env)
    wheel, sdist = distributions(project)
    project.run("twine", "check", "--strict", wheel, sdist, env=env)
    project.run("check-wheel-contents", wheel, env=env)


# All that a developer runs depends on the first two options, each pair of which is there; what is added to it on the
# third, and what is built on the fourth, of which each value is there.
FOR_DEVELOPERS = {(options["kind"], options["test_runner"]): options for options in covering_combinations()}
assert {options["pre_commit"] for options in FOR_DEVELOPERS.values()} == {True, False}
assert {options["publish"] for options in FOR_DEVELOPERS.values()} >= {"gitlab", "pypi"}
# What tox does depends on the test runner alone.
WITH_TOX = [FOR_DEVELOPERS["service", runner] for runner in SWITCHES["test_runner"]]


@pytest.mark.parametrize("options", FOR_DEVELOPERS.values(), ids=name_of)
def test_works_before_its_first_commit_and_after_it(options: Combination, bake: Bake) -> None:
    project = bake(**options)
    env = environment(project)
    project.run("uv", "venv", "--quiet", ".venv")
    project.run("uv", "pip", "install", "--quiet", "--editable", ".", "--group", "dev", "tox-uv", env=env)
    check_use(project, env)
    # Of tox before the first commit, see the first steps of the README below.
    check_step_by_step(project, env)
    check_build(project, env)
    commit_all(project.path)
    if options in WITH_TOX:
        check_with_tox(project, env)
    if options["pre_commit"]:
        project.run("pre-commit", "run", "--all-files", env=env)
    assert project.run("git", "status", "--porcelain") == "", "a check leaves files that git does not ignore"

    run("git", "tag", "v1.2.3", cwd=project.path)
    project.run("uv", "build", "--quiet", "--clear", env=env)
    wheel, sdist = distributions(project)
    sources = set(project.run("git", "ls-files", "src", "tests").split())
    project.run("twine", "check", "--strict", wheel, sdist, env=env)
    assert (wheel.name, sdist.name) == ("my_service-1.2.3-py3-none-any.whl", "my_service-1.2.3.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if not name.startswith("my_service-1.2.3.dist-info/")}
        assert inside == {name.removeprefix("src/") for name in sources if name.startswith("src/")}
        metadata = PathDistribution(zipfile.Path(archive, "my_service-1.2.3.dist-info/")).metadata
        licence = archive.read("my_service-1.2.3.dist-info/licenses/LICENSE").decode()
    assert metadata["License-Expression"] == project.pyproject["project"]["license"]
    assert metadata["License-File"] == "LICENSE"
    assert licence == project.read("LICENSE")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", *sources} <= names


def test_a_developer_measures_with_one_word(bake: Bake) -> None:
    project = bake(test_runner="pytest", kind="command")
    env = environment(project)
    commit_all(project.path)
    project.run("uv", "venv", "--quiet", ".venv")
    project.run("uv", "pip", "install", "--quiet", "--editable", ".", "--group", "test", env=env)
    assert "Total coverage: 100.00%" in project.run("pytest", "--cov", env=env)
    assert project.run("git", "status", "--porcelain") == ""
    # One test alone misses most lines, whatever an environment of tox has left; nobody is judged without asking.
    (project.path / ".coverage").rename(project.path / ".coverage.py311")
    project.run("pytest", "tests/test_app.py::test_refuses_a_blank_name", env=env)
    alone = failing(project, "pytest", "tests/test_app.py::test_refuses_a_blank_name", "--cov", env=env)
    assert "Coverage failure: total of" in alone
    # Warnings are errors in tests, but not that coverage is slow where it has no wheel.
    for tracer in project.path.glob(".venv/lib/python*/site-packages/coverage/tracer*.so"):
        tracer.unlink()
    assert "Total coverage: 100.00%" in project.run("pytest", "--cov", env=env)

    pyproject = project.read("pyproject.toml").replace("fail_under = 90", "fail_under = 99")
    (project.path / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    app = project.read("src/my_service/app.py") + "\n\ndef never() -> None:\n    raise NotImplementedError\n"
    (project.path / "src" / "my_service" / "app.py").write_text(app, encoding="utf-8")
    missed = failing(project, "pytest", "--cov", env=env)
    (row,) = [line for line in missed.splitlines() if line.startswith("src/my_service/app.py")]
    assert row.split()[-1] == str(len(app.splitlines()))
    assert "is less than fail-under=99" in missed


NO_TEST_OF_THE_PACKAGE = {
    "pytest": "import my_service.app\n\n\ndef test_imports() -> None:\n    assert my_service.app\n",
    "unittest": "import unittest\n\nimport my_service.app\n\n\nclass ImportTest(unittest.TestCase):\n"
    "    def test_imports(self) -> None:\n        self.assertTrue(my_service.app)\n",
}


@pytest.mark.parametrize("runner", ["pytest", "unittest"])
def test_coverage_of_an_earlier_run_is_not_joined(runner: str, bake: Bake) -> None:
    project = bake(test_runner=runner)
    env = environment(project)
    commit_all(project.path)
    project.run("uv", "venv", "--quiet", ".venv")
    project.run("uv", "pip", "install", "--quiet", "--editable", ".", "--group", "test", "tox-uv", env=env)
    oldest = oldest_of_tox()
    # It covers every line, and nothing takes its data until the tests are gone.
    project.run("tox", "run", "-e", oldest, env=env)
    assert list(project.path.glob(f".coverage.{oldest}*"))
    (project.path / "tests" / "test_app.py").write_text(NO_TEST_OF_THE_PACKAGE[runner], encoding="utf-8")
    # Of another Python, as of the same.
    newest = "py" + list(pythons_here(DECLARED["_python_versions"]))[-1].replace(".", "")
    assert newest != oldest
    for python in (oldest, newest):
        printed = failing(project, "tox", "run", "-e", f"{python},coverage", env=env)
        assert f"{python}: OK (" in printed, "the threshold is not for one Python"
        assert "coverage: FAIL" in printed
        assert "is less than fail-under=90" in printed
        assert not list(project.path.glob(".coverage.*"))
    project.run("git", "checkout", "--quiet", ".")
    project.run("tox", "run", "-e", newest, env=env)
    # A file that is gone is no business of a later run.
    app = project.path / "src" / "my_service" / "app.py"
    app.rename(app.with_name("program.py"))
    for name in ("src/my_service/__main__.py", "tests/test_app.py", "pyproject.toml"):
        edit(project, name, "my_service.app", "my_service.program")
    assert "congratulations" in project.run("tox", "run", "-e", f"{oldest},coverage", env=env)


def test_tox_does_not_test_a_module_that_is_gone(bake: Bake) -> None:
    project = bake()
    env = environment(project)
    module = project.path / "src" / "my_service" / "farewell.py"
    module.write_text('"""Says goodbye."""\n\nBYE = "Bye!"\n', encoding="utf-8")
    (project.path / "tests" / "test_farewell.py").write_text(
        'from my_service.farewell import BYE\n\n\ndef test_says_goodbye() -> None:\n    assert BYE == "Bye!"\n',
        encoding="utf-8",
    )
    commit_all(project.path)
    project.run("uv", "venv", "--quiet", ".venv")
    project.run("uv", "pip", "install", "--quiet", "tox", "tox-uv", env=env)
    oldest = oldest_of_tox()
    assert f"{oldest}: OK" in project.run("tox", "run", "-e", oldest, env=env)
    module.unlink()
    assert "No module named 'my_service.farewell'" in failing(project, "tox", "run", "-e", oldest, env=env)


WITH = {"uv": 0, "pip": 1}


@pytest.mark.parametrize("tool", WITH)
def test_the_first_steps_of_its_readme_work(tool: str, bake: Bake) -> None:
    project = bake()
    commands = commands_of(project.read("README.md"), "Develop", WITH[tool])
    printed = project.run("sh", "-e", "-c", commands, env=outside(project))
    assert "congratulations" in printed
    for python in pythons_here(DECLARED["_python_versions"]):
        assert re.search(rf"py{python.replace('.', '')}: OK \(", printed), printed
    assert (project.path / "uv.lock").exists() == (tool == "uv")


@pytest.mark.parametrize("tool", WITH)
def test_the_set_up_that_contributing_says_works(tool: str, bake: Bake) -> None:
    project = bake()
    env = outside(project)
    project.run("sh", "-e", "-c", commands_of(project.read("CONTRIBUTING.md"), "Set up", WITH[tool]), env=env)
    assert (project.path / ".git" / "hooks" / "pre-commit").exists()
    # The hook runs the checks before a commit, and brings its tools: an editor knows no virtual environment.
    app = project.path / "src" / "my_service" / "app.py"
    good = app.read_text(encoding="utf-8")
    app.write_text(good + "\n\nunused: int = 'text'\n", encoding="utf-8")
    refused = commit(project, env)
    assert refused.returncode == 1
    assert "Incompatible types in assignment" in refused.stdout
    app.write_text(good, encoding="utf-8")
    done = commit(project, env)
    assert done.returncode == 0, done.stdout
    assert project.run("git", "status", "--porcelain") == ""
    assert len(project.run("git", "log", "--oneline").splitlines()) == 1
    assert (project.path / "uv.lock").exists() == (tool == "uv")


def commit(project: BakedProject, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Commit all files, as an editor does it."""
    project.run("git", "add", "--all")
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    return subprocess.run(
        ["git", *identity, "commit", "--message", "x"],
        cwd=project.path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )


def test_a_dependency_and_a_program_are_there_with_the_next_command(bake: Bake) -> None:
    project = bake(kind="command")
    env = outside(project)
    project.run("uv", "sync", "--quiet", env=env)
    edit(project, "pyproject.toml", "dependencies = []", 'dependencies = ["idna>=3"]')
    edit(project, "pyproject.toml", "[project.scripts]\n", '[project.scripts]\nhail = "my_service.app:main"\n')
    assert project.run("uv", "run", "--quiet", "hail", "Ada", env=env) == "Hello, Ada!\n"
    assert project.run("uv", "run", "--quiet", "python", "-c", "import idna", env=env) == ""


def test_builds_from_a_copy_without_git(bake: Bake, tmp_path: Path) -> None:
    project = bake()
    for name in project.files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(project.read(name), encoding="utf-8")
    run("uv", "build", "--quiet", "--wheel", cwd=tmp_path)
    assert [path.name for path in (tmp_path / "dist").glob("*.whl")] == ["my_service-0.0.0-py3-none-any.whl"]


NASTY = [
    ('Robert "Bob" O\'Connor', "Quotes \" and ' and \\ backslashes \\n, 100% #1: {braces} $HOME `x` <b>"),
    ("Zoë Łukasz, Ltd. (R&D)", "Ünïcödé, 中文, 😀 and שלום"),
    ("d'Artagnan; DROP TABLE", "- a list? * no. 1. &amp; [link](x)"),
]


@pytest.mark.parametrize(("name", "description"), NASTY)
def test_a_built_wheel_gives_the_answers_back(name: str, description: str, bake: Bake) -> None:
    project = bake(author_name=name, author_email="o'connor+x@example.com", project_description=description)
    project.run("uv", "build", "--quiet", "--wheel")
    (wheel,) = (project.path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {entry.partition("/")[0] for entry in archive.namelist() if ".dist-info/" in entry}
        metadata = PathDistribution(zipfile.Path(archive, f"{info}/")).metadata
    assert metadata["Summary"] == description
    assert parseaddr(metadata["Author-email"]) == (name, "o'connor+x@example.com")
    assert "my_service" in wheel.name
