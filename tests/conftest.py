"""Fixtures: baked projects, a copy of the template in git, and the tools that tests need."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from pytest_cookies.plugin import Cookies

from tests.baked import BakedProject
from tests.options import ROOT, Combination, all_combinations, name_of
from tests.pipeline import Expander, bare_clone, tagged_copy

Bake = Callable[..., BakedProject]


def pytest_xdist_auto_num_workers() -> int:
    """Use half as many workers again as there are cores: a test that runs a pipeline also waits for it."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a combination once for each of them.

    The tests of one combination share a worker, so that it is baked once in the whole run.
    """
    if "combination" in metafunc.fixturenames:
        named = {name_of(combination): combination for combination in all_combinations()}
        marked = [
            pytest.param(combination, id=name, marks=pytest.mark.xdist_group(name))
            for name, combination in named.items()
        ]
        metafunc.parametrize("combination", marked)


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
    result = cookies.bake(extra_context=dict(options), template=str(ROOT))
    assert result.exception is None, result.exception
    return BakedProject(Path(result.project_path), options)


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
def components(template_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare clone of that, which stands for the template's project on GitLab."""
    return bare_clone(template_repository, tmp_path_factory.mktemp("components") / "py-ci-template.git")


def lacking(reason: str) -> NoReturn:
    """Skip the test for what the machine lacks, and fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need(tool: str, remedy: str) -> str:
    """Return the path of a program; skip the test where it is missing, and fail in CI."""
    return shutil.which(tool) or lacking(f"{tool} is missing: {remedy}")


@pytest.fixture(scope="session")
def gitlab_ci_local() -> str:
    """The runner program."""
    return need("gitlab-ci-local", "run the tests with tox, which installs it from npm")


@pytest.fixture(scope="session")
def expander(gitlab_ci_local: str, components: Path, shared_folder: Path) -> Expander:
    """What expands pipelines, with a cache that the workers share."""
    cache = shared_folder / "expanded"
    cache.mkdir(exist_ok=True)
    return Expander(gitlab_ci_local, components, cache)
