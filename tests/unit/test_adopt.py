"""`py-ci-adopt`: what it reads, what it refuses, and that it changes nothing else."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tools.adopt.__main__ import BRANCH, main
from tools.adopt.answers import LICENSES, REMOTE, derived, pythons_in
from tools.adopt.metadata import FILES, poetry_range, read_package
from tools.adopt.plan import PIPELINE, jobs_in
from tools.adopt.repository import RefusedError, Repository
from tools.adopt.template import clone
from tools.commands import ROOT, commit_all, run
from tools.expander import Expander
from tools.options import DECLARED
from tools.samples.existing import ACME, GEO, OLD, make_repository
from tools.template import FOLDER

Adopt = Callable[..., str]


@pytest.fixture(autouse=True)
def _a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tester@example.com")


@pytest.fixture
def adopt(template_repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Adopt:
    """Return a function that runs the program in a repository, and returns what it said, refusals last."""

    def ask(repository: Path, *words: str, template: str = str(template_repository)) -> str:
        monkeypatch.chdir(repository)
        before = run("git", "for-each-ref", cwd=repository)
        status = main([*(["--template", template] if template else []), *words])
        said = capsys.readouterr()
        assert status == bool(said.err)
        assert "\x1b" not in said.out + said.err
        if status:
            assert run("git", "for-each-ref", cwd=repository) == before
            assert re.match(r"See py-ci-template/docs/troubleshooting.md#adopt-[a-z]+\n", said.err)
        return said.err.partition("\n")[2] or said.out

    return ask


def shown(repository: Path, path: str) -> str:
    """Return a file of the branch that was made."""
    return run("git", "show", f"{BRANCH}:{path}", cwd=repository)


def test_it_only_says_what_it_would_do(adopt: Adopt, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "old", OLD, "old")
    before = run("git", "count-objects", cwd=repository)
    said = adopt(repository)
    assert "its jobs run no more: test, upload" in said
    assert "README.md: the template's differs in" in said
    assert "Nothing was changed." in said
    assert run("git", "count-objects", cwd=repository) == before
    assert run("git", "branch", "--list", BRANCH, cwd=repository) == ""
    assert run("git", "status", "--porcelain", cwd=repository) == ""


HOSTILE = r"""
from os import system
from setuptools import setup
system("touch pwned")
setup(
    name="{{ ''.__class__.__mro__[1] }}-$(touch pwned)",
    description="Line\n{{ 7 * 7 }} {% include '/etc/passwd' %} '\"; $(touch pwned) `touch pwned`",
    author="{# no #}",
    version=__import__("os").system("touch pwned"),
)
"""


@dataclass(frozen=True)
class Files:
    """A repository that has these files alone."""

    files: dict[str, str]

    @property
    def paths(self) -> list[str]:
        """What is in the commit."""
        return sorted(self.files)

    def read(self, path: str) -> str | None:
        """Return the text of a file."""
        return self.files.get(path)

    def remote(self) -> str:
        """Return no address."""
        return ""

    def setting(self, _: str) -> str:
        """Return nothing."""
        return ""


# What may stand in a file as often as somebody likes, each within the last or after it.
PIECES = [
    "a.",
    "(",
    "[",
    "{",
    "a[",
    "not ",
    "-",
    "x = [",
    "[[a]]\n",
    "a.b.",
    '"',
    "'",
    "\\\n",
    "\0",
    "é",
    "1",
    "9" * 99,
]
PIECES += [
    "\n",
    " ",
    "setup(",
    "x=",
    ")",
    "lambda:",
    "f'{",
    "a and (",
    "; (",
    "a;python_version<'3' and (",
    "==",
    "#",
    "~",
]
STARTS = [
    "",
    "[project]\nname = ",
    "[project]\nlicense = ",
    "[metadata]\nname = ",
    "a = ",
    "from setuptools import setup\n",
]
ENDS = ["", "(x=1)", "setup(name='a', version=a)", "\n[tool]\n", "]", ")"]
TEXTS = st.builds(
    lambda start, piece, times, end: start + piece * times + end,
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from([1, 10, 90, 400, 3000, 40_000]),
    st.sampled_from(ENDS),
)


@given(
    files=st.dictionaries(
        st.sampled_from([*FILES, "requirements-dev.txt", "src/a/__init__.py"]), TEXTS, min_size=1, max_size=3
    )
)
@example(files={"pyproject.toml": f"a = {'9' * 5000}"})
@example(files={"setup.py": "a." * 400 + "a(x=1)"})
@example(files={"setup.py": "a." * 3000 + "a(x=1)"})
@example(files={"setup.py": "", "requirements-dev.txt": "a; " + "(" * 40_000})
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.large_base_example])
def test_whatever_files_say_is_read_or_refused(files: dict[str, str]) -> None:
    repository: Any = Files(files)
    with suppress(RefusedError):
        package = read_package(repository, ".")
        derived(package, repository, DECLARED, "")


def test_what_a_file_says_is_data(adopt: Adopt, tmp_path: Path) -> None:
    files = {"setup.py": HOSTILE, "thing/__init__.py": "", "tests/test_it.py": ""}
    repository = make_repository(tmp_path / "thing", files, "thing")
    said = adopt(repository, "--apply")
    assert "project_slug" in said
    assert "normalized name" in said
    said = adopt(repository, "--apply", "project_slug=thing", "project_name=Thing", "author_email=a@example.org")
    assert f"git switch {BRANCH}" in said
    link = json.loads(shown(repository, ".cruft.json"))
    answers = link["context"]["cookiecutter"]
    assert answers["author_name"] == "{ # no #}"
    assert answers["project_description"].startswith(
        "Line { { 7 * 7 }} { % include '/etc/passwd' %} '\"; $(touch pwned)"
    )
    assert not list(tmp_path.rglob("pwned"))


def test_a_clone_with_links_is_left_alone(adopt: Adopt, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "pyproject.toml").write_text(GEO["pyproject.toml"], encoding="utf-8")
    for link, target, reason in (
        (".gitlab", outside, "The repository has .gitlab already"),
        (".gitlab-ci.yml", outside / "ci.yml", "is no plain file of text"),
        (".cruft.json", outside / "link", "'cruft update' keeps it up to date"),
        ("pyproject.toml", outside / "pyproject.toml", "no package."),
    ):
        repository = make_repository(tmp_path / f"geo{link}", GEO, "geo")
        (repository / link).unlink(missing_ok=True)
        (repository / link).symlink_to(target)
        commit_all(repository)
        assert reason in adopt(repository, "--apply")
    assert [file.name for file in outside.iterdir()] == ["pyproject.toml"]


def test_bad_input_is_one_line(adopt: Adopt, tmp_path: Path, template_repository: Path) -> None:
    acme = make_repository(tmp_path / "acme", ACME, "acme")
    assert adopt(acme).endswith("packages are in packages/api, packages/web: name each with --directory.\n")
    assert "is no folder" in adopt(acme, "--directory", "../acme")
    assert "there is only publish=none" in adopt(acme, "--directory", "packages/api", "publish=pypi")
    assert adopt(acme, "--directory", "packages/api", "nonsense=1").startswith("No question of the template: nonsense.")
    assert "opening brace of Jinja" in adopt(acme, "--directory", "packages/api", "project_name={{ 1 }}")
    missing = f"https://user:secret@127.0.0.1:1/{tmp_path.name}.git"
    geo = make_repository(tmp_path / "geo", GEO, "geo")
    said = adopt(geo, template=missing)
    assert said.startswith("The template cannot be had from https://127.0.0.1:1/")
    assert "secret" not in said
    assert adopt(geo, template="") == "Nobody knows here where the template is: add --template ADDRESS.\n"
    assert "is no template" in adopt(geo, template=str(acme))
    run("git", "remote", "remove", "origin", cwd=geo)
    assert "add gitlab_host=... gitlab_namespace=... to the command" in adopt(geo)
    assert adopt(geo, "gitlab_host=gitlab.example.org", "gitlab_namespace=a", "license=None").endswith(
        "Add NAME=VALUE with another value to the command.\n"
    )
    (geo / "README.md").write_text("changed", encoding="utf-8")
    assert adopt(geo).startswith("There are changes that are not committed")


def test_jobs_of_several_packages_run_as_those_of_one(adopt: Adopt, tmp_path: Path, expander: Expander) -> None:
    """A merge request tests with the oldest and the newest Python, all else with each."""
    repository = make_repository(tmp_path / "acme", ACME, "acme")
    adopt(repository, "--directory", "packages/api", "--directory", "packages/web", "--apply")
    every = DECLARED["_python_versions"][DECLARED["_python_versions"].index("3.11") :]
    pipeline = shown(repository, PIPELINE)
    for event, tested in {"branch": every, "tag": every, "merge request": [every[0], every[-1]]}.items():
        jobs = [job for job in expander.jobs(pipeline, event) if job.startswith("test-")]
        assert jobs == [f"test-acme-{name}: [{python}]" for name in ("api", "web") for python in tested], event


def test_no_repository_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    assert main([]) == 1
    assert "is no git repository with a commit" in capsys.readouterr().err


def test_a_merge_request_is_opened_once_and_by_git_alone(adopt: Adopt, tmp_path: Path) -> None:
    """GitLab opens it for the options of a push; a hook of a real remote writes down which it got."""
    repository = make_repository(tmp_path / "geo", GEO, "geo")
    remote = tmp_path / "team" / "geo.git"
    run("git", "clone", "--quiet", "--bare", repository, remote)
    run("git", "config", "receive.advertisePushOptions", "true", cwd=remote)
    hook = remote / "hooks" / "post-receive"
    hook.write_text(
        f"#!/bin/sh\nprintf '\\033[2J'\nenv | grep ^GIT_PUSH_OPTION_[0-9] | sort >> '{tmp_path}/options'\n",
        encoding="utf-8",
    )
    hook.chmod(0o755)
    # The address stays that of a GitLab; git goes to the folder.
    address = run("git", "config", "remote.origin.url", cwd=repository).strip()
    run("git", "config", f"url.{remote}.insteadOf", address, cwd=repository)
    assert f"The branch {BRANCH} is pushed." in adopt(repository, "--merge-request")
    # Nothing is left to send, and git is not asked to: it dies now and then of options that no one reads.
    before_push = repository / ".git" / "hooks" / "pre-push"
    before_push.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    before_push.chmod(0o755)
    assert f"The branch {BRANCH} is pushed." in adopt(repository, "--merge-request")
    options = (tmp_path / "options").read_text(encoding="utf-8").splitlines()
    assert options == [
        "GIT_PUSH_OPTION_0=merge_request.create",
        "GIT_PUSH_OPTION_1=merge_request.title=Take the pipeline of py-ci-template",
    ]
    assert run("git", "rev-parse", BRANCH, cwd=remote) == run("git", "rev-parse", BRANCH, cwd=repository)
    # Another change under the same name is not pushed over it, here or there.
    commit_all(repository)
    assert f"There is a branch {BRANCH} with something else" in adopt(repository, "--merge-request")
    run("git", "branch", "-D", BRANCH, cwd=repository)
    adopt(repository, "--apply")
    assert f"origin has a branch {BRANCH} with something else" in adopt(repository, "--merge-request")
    shutil.rmtree(remote)
    assert adopt(repository, "--merge-request").endswith(f"\nThe branch {BRANCH} is here, but was not pushed.\n")


@pytest.mark.parametrize(
    ("groups", "test"),
    [
        ('[dependency-groups] # ours\ntest = [\n  "pytest",\n]\n', ["pytest-cov>=7", "pytest"]),
        ("[dependency-groups]\r\ntest = []\r\n", ["pytest>=8.3", "pytest-cov>=7"]),
        (
            '[dependency-groups]\ntest = [{include-group = "a"}]\na = ["Pytest_Cov", "pytest"]\n',
            [{"include-group": "a"}],
        ),
        ('[project.optional-dependencies]\ntest = ["pytest<9"]\n', ["pytest<9", "pytest-cov>=7"]),
    ],
)
def test_dependency_groups_get_what_they_lack(groups: str, test: list[object], adopt: Adopt, tmp_path: Path) -> None:
    settings = f'[project]\nname = "geo-lines"\nversion = "1"\n\n{groups}'
    repository = make_repository(tmp_path / "geo", {**GEO, "pyproject.toml": settings}, "geo")
    adopt(repository, "--apply")
    made = shown(repository, "pyproject.toml")
    assert tomllib.loads(made)["dependency-groups"]["test"] == test
    raw = run("git", "cat-file", "blob", f"{BRANCH}:pyproject.toml", cwd=repository)
    assert raw.startswith(settings.partition("test = ")[0].replace("\r\n", "\n"))


def test_a_project_keeps_its_pythons_and_what_its_tests_need(adopt: Adopt, tmp_path: Path) -> None:
    groups = '[dependency-groups]\ndev = ["mock", "pytest"]\n'
    about = 'name = "geo"\nversion = "1"\nlicense = "LGPL-3.0-only"\nrequires-python = ">=3.9,!=3.12.*,<3.15"\n'
    files = {
        "pyproject.toml": f'[project]\n{about}\n{groups}\n[tool.setuptools_scm]\nversion_file = "python/geo/v.py"\n',
        "uv.lock": "",
        "python/geo/__init__.py": "",
        "python/geo/test_lines.py": "",
        "MANIFEST.in": (ROOT / FOLDER / "MANIFEST.in").read_text(encoding="utf-8").replace("\n", "\r\n"),
    }
    repository = make_repository(tmp_path / "geo", files, "geo")
    address = "https://ada:secret@gitlab.example.org:8443/team/tools/geo.git"
    run("git", "remote", "set-url", "origin", address, cwd=repository)
    hook = repository / ".git" / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    said = adopt(repository, "--apply", "package_name=geo")
    assert "uv.lock is older now: the jobs fail until 'uv lock' has renewed it" in said
    assert "MANIFEST.in: the template's differs in -" not in said
    pipeline = shown(repository, ".gitlab-ci.yml")
    assert re.findall(r'python_versions"?: (\[.*?\])', pipeline) == ['["3.11", "3.13", "3.14"]', '["3.11", "3.14"]']
    made = tomllib.loads(shown(repository, "pyproject.toml"))
    assert made["dependency-groups"]["test"] == [{"include-group": "dev"}, "pytest-cov>=7"]
    assert made["tool"]["mypy"]["files"] == ["python/geo"]
    assert made["tool"]["coverage"]["run"]["omit"] == ["*/v.py"]
    link = shown(repository, ".cruft.json")
    assert "secret" not in said + link
    answers = json.loads(link)["context"]["cookiecutter"]
    assert (answers["gitlab_host"], answers["license"]) == ("gitlab.example.org:8443", "Proprietary")


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ("", "3.11 3.12 3.13"),
        (">=3.8,<4", "3.11 3.12 3.13"),
        ("~=3.12", "3.12 3.13"),
        (">=3.11.4,!=3.12.*", "3.11 3.13"),
        ("==3.12.*", "3.12"),
        ("~=3.7.1", ""),
        (">=3.7.*", "3.11 3.12 3.13"),
    ],
)
def test_pythons_are_those_that_the_package_takes(wanted: str, taken: str) -> None:
    assert pythons_in(wanted, ["3.11", "3.12", "3.13"]) == taken.split()


@pytest.mark.parametrize(
    ("licence", "ours"),
    [
        ("MIT License", "MIT"),
        ("Copyright Acme Limited, all rights reserved", ""),
        ("Apache Software License 2.0", "Apache-2.0"),
        ("BSD License", "BSD-3-Clause"),
        ("BSD-2-Clause", ""),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GPL-3.0-only", ""),
        ("GPL-2.0-or-later", ""),
        ("GNU Lesser General Public License v3 (LGPLv3)", ""),
        ("AGPL-3.0-or-later", ""),
    ],
)
def test_a_licence_is_that_of_the_template_or_none(licence: str, ours: str) -> None:
    assert [name for word, name in LICENSES.items() if re.search(word, licence.lower())] == ours.split()


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("default: {}\n.a: {script: x}\nb: {extends: .a}\nc: {script: [!reference [.a, script]]}\n", "b, c"),
        ("include: x.yml\nworkflow: {}\na: {stage: test}\n", "a, those that it includes"),
        ("spec: {}\n---\na: {run: []}\n", "a"),
        ("a: [\n", "those of a file that cannot be read"),
        ("", "none"),
    ],
)
def test_the_jobs_of_the_pipeline_of_before_are_named(pipeline: str, said: str) -> None:
    assert jobs_in(pipeline) == said


@pytest.mark.parametrize(
    "address", ["file:///srv/team/geo.git", "https://gitlab.example.org/geo.git", "/srv/team/geo.git", "../team/geo"]
)
def test_an_address_without_a_group_of_gitlab_says_nothing(address: str) -> None:
    assert not REMOTE.fullmatch(address.removesuffix(".git"))


def test_metadata_of_another_type_say_nothing(tmp_path: Path) -> None:
    odd = "{0} = true\n".format
    tables = {
        "project": ["name", "authors", "license", "scripts", "requires-python"],
        "project.optional-dependencies": ["test"],
        "tool.poetry": ["name", "authors", "license", "scripts", "dependencies", "dev-dependencies"],
    }
    pyproject = "".join(f"[{name}]\n{''.join(map(odd, keys))}" for name, keys in tables.items())
    setup = "setup(name=1, author=1, tests_require=1, extras_require=1, entry_points={'console_scripts': 1})\n"
    files = {"pyproject.toml": pyproject, "setup.py": f"from setuptools import setup\n{setup}"}
    found = read_package(Repository(make_repository(tmp_path / "odd", files, "odd")), ".")
    assert (found.known, found.tests) == ({}, [])


def test_settings_that_cannot_be_added_to_are_left_to_people(adopt: Adopt, tmp_path: Path) -> None:
    settings = 'dependency-groups = {test = ["pytest"]}\n\n[project]\nname = "geo-lines"\nversion = "1"\n'
    repository = make_repository(tmp_path / "geo", {**GEO, "pyproject.toml": settings}, "geo")
    assert adopt(repository, "--apply").startswith("pyproject.toml cannot be added to. Write into it first: ")


@pytest.mark.parametrize(
    ("range_", "pip"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^3.11", ">=3.11,<4"),
        ("~1.2.3", ">=1.2.3,==1.2.*"),
        ("1.2", "==1.2"),
        (">=3.9,<4.0", ">=3.9,<4.0"),
        ({"version": "^2", "extras": ["x"]}, ">=2,<3"),
        ("*", ""),
        ({"git": "https://example.org"}, ""),
        ("$(touch pwned)", ""),
    ],
)
def test_poetry_s_ranges_are_those_of_pip(range_: object, pip: str) -> None:
    assert poetry_range(range_) == pip


def test_all_files_of_metadata_are_read(tmp_path: Path) -> None:
    files = {
        "setup.cfg": "[metadata]\nname = old\nauthor = Ada\nlicense = attr: o.v\n[options]\npython_requires = >=3.12\n"
        "[options.entry_points]\nconsole_scripts =\n    old = old:main\n"
        "[options.extras_require]\ntest =\n    mock\n    file: x.txt\n",
        "setup.py": "from x import setup\nsetup(description='Old', tests_require=['nose; python_version<\"3.9\"'])",
        "requirements/test.txt": "pytest==7.4.4  # pinned\n-r ../requirements.txt\nhttps://example.org/x.whl\n"
        "attrs==1 --hash=sha256:00\nidna>=1 ; python_version > '3' \\\n    --hash=sha256:00\n",
        "pyproject.toml": '[tool.poetry.group.dev.dependencies]\ninside = {path = "../inside"}\nruff = "*"\n',
        "old.py": "",
    }
    package = read_package(Repository(make_repository(tmp_path / "old", files, "old")), ".")
    assert {name: known.value for name, known in package.known.items()} == {
        "name": "old",
        "author_name": "Ada",
        "requires_python": ">=3.12",
        "scripts": "old",
        "description": "Old",
        "package_name": "old",
    }
    assert package.tests == [
        "pytest==7.4.4",
        "attrs==1",
        "idna>=1 ; python_version > '3'",
        'nose; python_version<"3.9"',
        "mock",
        "ruff",
    ]


def test_the_template_is_had_at_a_tag_a_branch_or_a_commit(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", origin)
    (origin / "cookiecutter.json").write_text("1", encoding="utf-8")
    commit_all(origin)
    run("git", "tag", "0.1.0", cwd=origin)
    run("git", "checkout", "--quiet", "-b", "later", cwd=origin)
    (origin / "cookiecutter.json").write_text("2", encoding="utf-8")
    commit_all(origin)
    commit = run("git", "rev-parse", "later", cwd=origin).strip()
    run("git", "checkout", "--quiet", "main", cwd=origin)
    for revision, content in {"": "1", "0.1.0": "1", "later": "2", commit: "2"}.items():
        folder = tmp_path / f"at-{revision}"
        folder.mkdir()
        found = clone(str(origin), revision, folder)
        assert (found / "cookiecutter.json").read_text(encoding="utf-8") == content, revision
    for number, revision in enumerate(("9.9.9", "--orphan=ran", "-")):
        folder = tmp_path / f"not-{number}"
        folder.mkdir()
        with pytest.raises(RefusedError, match="The template cannot be had from "):
            clone(str(origin), revision, folder)
