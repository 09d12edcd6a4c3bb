"""Fixtures: baked projects, a copy of the template in git, and the tools that tests need."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment
from pytest_cookies.plugin import Cookies

from tools.expander import Expander
from tools.options import COMPONENT_PROJECT, DEFAULTS, ROOT, Combination, all_combinations, name_of
from tools.requirements import MissingRequirementError, find_program
from tools.samples.baked import Bake, BakedProject
from tools.samples.hostile import processes_with
from tools.schema import fetch_oldest
from tools.shared import made_once
from tools.template import bare_clone, tagged_copy

IN_CI = os.environ.get("CI") == "true"
SECONDS_BETWEEN_LINES = 5


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option with which all tests run, as they do in CI."""
    parser.addoption("--proof", action="store_true", default=IN_CI, help="run tests/functional too, as CI=true does")


class Progress:
    """Says every few seconds which test begins, and how many have ended, in place of a dot for each."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager
        self._ended = self._all = 0
        self._said = time.monotonic()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn how many tests there are."""
        self._all = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Learn it from a worker; each has collected all."""
        self._all = len(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which test begins."""
        if time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            terminal: pytest.TerminalReporter = self._plugins.getplugin("terminalreporter")
            terminal.write_line(f"{self._ended:5} of {self._all}  {nodeid}")

    def pytest_runtest_logfinish(self) -> None:
        """Count a test that has ended."""
        self._ended += 1


def pytest_configure(config: pytest.Config) -> None:
    """Show progress where several workers run many tests."""
    if config.get_verbosity() == 0 and config.getoption("numprocesses", None):
        config.pluginmanager.register(Progress(config), "progress")


def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """Print no dot where progress is shown."""
    if report.passed and report.when == "call" and config.pluginmanager.hasplugin("progress"):
        return "passed", "", "PASSED"
    return None


def pytest_report_header(config: pytest.Config) -> str:
    """Say what is left out."""
    return "" if config.getoption("proof") else "without tests/functional: --proof or CI=true runs these too"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests that take long, unless they are asked for by name or all are."""
    slow = collection_path == Path(__file__).parent / "functional"
    return (slow and not config.getoption("proof") and not any("functional" in word for word in config.args)) or None


def pytest_xdist_auto_num_workers() -> int:
    """Use twice as many workers as there are cores: a test that runs a pipeline also waits for it."""
    return (os.cpu_count() or 1) * 2


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a combination once for each of them.

    The tests of one combination share a worker, so that it is baked once in the whole run; so do those whose pipelines
    are the same, for which another worker would wait.
    """
    if "combination" in metafunc.fixturenames:
        marked = []
        for combination in all_combinations():
            group = name_of({**combination, **{name: DEFAULTS[name] for name in ("license", "pre_commit")}})
            marked.append(pytest.param(combination, id=name_of(combination), marks=pytest.mark.xdist_group(group)))
        metafunc.parametrize("combination", marked)


@contextmanager
def _missing_requirements() -> Iterator[None]:
    """Skip the test for what the machine lacks, and fail in CI."""
    try:
        yield
    except MissingRequirementError as missing:
        if IN_CI:
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    """Judge what the fixtures of a test find missing."""
    with _missing_requirements():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Judge what a test itself finds missing."""
    with _missing_requirements():
        return (yield)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test that needs the runner program, so that `-m "not runner"` leaves it out."""
    if "gitlab_ci_local" in getattr(item, "fixturenames", ()):
        item.add_marker("runner")


@pytest.fixture(autouse=True, scope="session")
def _a_home_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the person's settings of Cookiecutter and git out of the tests, and the tests out of them."""
    home = tmp_path_factory.mktemp("home")
    config = home / "cookiecutter.yaml"
    config.write_text(f"cookiecutters_dir: {home}/cookiecutters\nreplay_dir: {home}/replay\n", encoding="utf-8")
    (home / "gitconfig").touch()
    os.environ["COOKIECUTTER_CONFIG"] = str(config)
    os.environ["GIT_CONFIG_GLOBAL"] = str(home / "gitconfig")
    os.environ["GIT_CONFIG_NOSYSTEM"] = "1"
    # Cookiecutter never removes its rendered hooks.
    tempfile.tempdir = os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("tmp"))


def bake_with(cookies: Cookies, options: Combination) -> BakedProject:
    """Bake a project or fail with what stopped it."""
    # The template under test may have come from anywhere.
    context = {"_component_project": COMPONENT_PROJECT, **options}
    result = cookies.bake(extra_context=context, template=str(ROOT))
    assert result.exception is None, result.exception
    return BakedProject(Path(result.project_path), options)


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_left_running() -> Iterator[None]:
    """Fail where tests do not end what they start, as far as it has the variables of the tests."""
    name = f"PY_CI_TESTS={os.getpid()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*name.split("="))
        yield
    # What was killed may take a moment.
    give_up = time.monotonic() + 5
    while (left := processes_with(name)) and time.monotonic() < give_up:
        time.sleep(0.1)
    commands = [Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ") for process in left]
    assert not left, f"they still run: {commands}"


@pytest.fixture(autouse=True, scope="session")
def _templates_compiled_once() -> Iterator[None]:
    """Compile a template once in a session, and render it for each project anew: it is half of what a bake takes."""
    compiled: dict[tuple[Any, ...], Any] = {}
    compile_anew = Environment.compile

    def compile_once(self: Environment, source: Any, *more: Any) -> Any:
        key = (source, *more, self.trim_blocks, self.lstrip_blocks, *self.extensions)
        if key not in compiled:
            compiled[key] = compile_anew(self, source, *more)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Environment, "compile", compile_once)
        yield


@pytest.fixture(scope="session")
def bake(cookies_session: Cookies) -> Bake:
    """Return a function that bakes a project with the options that differ from the defaults."""
    return lambda **options: bake_with(cookies_session, options)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if hasattr(request.config, "workerinput") else base


@pytest.fixture(scope="session")
def _baked() -> dict[str, BakedProject]:
    """The projects that this worker baked, by the name of their combination."""
    return {}


@pytest.fixture
def project(
    cookies_session: Cookies, combination: Combination, _baked: dict[str, BakedProject], shared_folder: Path
) -> BakedProject:
    """The project of one combination, baked once for the whole run."""
    name = name_of(combination)
    if name not in _baked:
        _baked[name] = bake_with(cookies_session, combination)
        (shared_folder / f"{name}.baked").touch(exist_ok=False)  # no other worker baked it
    return _baked[name]


@pytest.fixture(scope="session")
def template_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the template as it is in the working tree, tagged with the version that projects pin."""
    return tagged_copy(tmp_path_factory.mktemp("template") / "py-ci-template")


@pytest.fixture(scope="session")
def components(template_repository: Path, shared_folder: Path) -> Path:
    """A bare clone of that, which stands for the template's project on GitLab; all workers share one."""
    return made_once(shared_folder / "components.git", lambda folder: bare_clone(template_repository, folder))


@pytest.fixture(scope="session")
def gitlab_ci_local() -> str:
    """The runner program."""
    return find_program("gitlab-ci-local", "run the tests with tox, which installs it from npm")


@pytest.fixture(scope="session")
def oldest_schema(request: pytest.FixtureRequest) -> Path:
    """The schema of the oldest GitLab."""
    assert request.config.cache
    return fetch_oldest(request.config.cache.mkdir("schema"))


@pytest.fixture(scope="session")
def expander(gitlab_ci_local: str, components: Path, shared_folder: Path, oldest_schema: Path) -> Expander:
    """What expands pipelines, with a cache that the workers share."""
    cache = shared_folder / "expanded"
    cache.mkdir(exist_ok=True)
    return Expander(gitlab_ci_local, components, cache, oldest_schema)
