"""The Jinja filters, as functions."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.utils import create_env_with_context
from hypothesis import given
from markdown_it import MarkdownIt

import local_extensions
from local_extensions import (
    absent_paths,
    component_project,
    known_here,
    markdown_text,
    origin_of,
    person,
    quoted,
    shell_word,
    template_link,
    template_package,
    troubleshooting,
    warnings,
)
from tools.commands import commit_all, run
from tools.options import ROOT
from tools.samples.answers import LINES
from tools.template import context_of, render


@given(LINES)
def test_quoted_text_is_the_same_in_toml_and_yaml(line: str) -> None:
    assert tomllib.loads(f"key = {quoted(line)}") == {"key": line}
    assert yaml.safe_load(f"key: {quoted(line)}") == {"key": line}


@given(LINES)
def test_markdown_shows_the_text_as_it_is(line: str) -> None:
    tokens = MarkdownIt().parse(f"# {markdown_text(line)}\n\n{markdown_text(line)}\n")
    kinds = ["heading_open", "inline", "heading_close", "paragraph_open", "inline", "paragraph_close"]
    assert [token.type for token in tokens] == kinds
    for inline in (tokens[1], tokens[4]):
        assert "".join(child.content for child in inline.children or ()) == line


@given(LINES)
def test_a_shell_reads_one_word(line: str) -> None:
    assert run("sh", "-c", f"printf %s {shell_word(line)}") == line


def test_filters_are_read_anew_for_each_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under `cruft update`, where the file changes between the old and the new template."""
    newer = tmp_path / "local_extensions.py"
    newer.write_text('FILTERS = {"shout": str.upper}\n', encoding="utf-8")
    monkeypatch.setattr(local_extensions, "__file__", str(newer))
    environment = create_env_with_context({"cookiecutter": {"_extensions": ["local_extensions.Filters"]}})
    assert environment.from_string("{{ 'a' | shout }}").render() == "A"


ANSWERS = {
    "project_slug": "my-service",
    "author_name": "Zoë",
    "_repo_dir": "anywhere",
    "_checkout": "1.0.0",
}


def link_of(template: Path) -> dict[str, Any]:
    """Return the parsed link that is made in a template's folder."""
    with contextlib.chdir(template):
        link: dict[str, Any] = json.loads(template_link(ANSWERS) or "null")
    return link


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A folder in git that could be a template."""
    folder = tmp_path / "template"
    folder.mkdir()
    (folder / "cookiecutter.json").write_text("{}\n", encoding="utf-8")
    run("git", "init", "--quiet", cwd=folder)
    commit_all(folder)
    return folder


def test_a_working_copy_is_linked_by_its_folder(template: Path) -> None:
    link = link_of(template)
    assert link["template"] == str(template)
    assert link["commit"] == run("git", "rev-parse", "HEAD", cwd=template).strip()
    assert link["checkout"] == "1.0.0"
    assert link["directory"] is None
    assert link["context"]["cookiecutter"] == {"project_slug": "my-service", "author_name": "Zoë"}


def test_a_clone_is_linked_by_the_address_that_it_came_from(template: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", template.as_uri(), clone)
    assert link_of(clone)["template"] == template.as_uri()
    commit_all(clone, "Not pushed")
    assert link_of(clone)["template"] == str(clone)


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://oauth2:secret@gitlab.com/org/t.git", "https://gitlab.com/org/t.git"),
        ("https://gitlab.com/org/t.git", "https://gitlab.com/org/t.git"),
        ("https://secret@gitlab.com/", "https://gitlab.com/"),
        ("https://user:secr@t@gitlab.com/org/t.git", "https://gitlab.com/org/t.git"),
        ("https://user:s%40cr%3At@gitlab.com/org/t.git", "https://gitlab.com/org/t.git"),
        ("https://user:secret%40gitlab.com/org/t.git", "https://gitlab.com/org/t.git"),
        ("https://user:secret@[::1]:8443/org/t.git", "https://[::1]:8443/org/t.git"),
        ("https://gitlab.com/org/t.git?private_token=secret", "https://gitlab.com/org/t.git"),
        ("https://gitlab.com/@org/t.git#secret", "https://gitlab.com/@org/t.git"),
        ("HTTPS://user:secret@GitLab.com/org/t.git", "HTTPS://GitLab.com/org/t.git"),
        ("git+https://user:secret@gitlab.com/org/t.git", "git+https://gitlab.com/org/t.git"),
        ("hg::https://user:secret@gitlab.com/org/t", "hg::https://gitlab.com/org/t"),
        ("ssh://git@gitlab.com/org/t.git", "ssh://git@gitlab.com/org/t.git"),
        ("ssh://git:s:ecr@t@gitlab.com:22/org/t.git", "ssh://git@gitlab.com:22/org/t.git"),
        ("git+ssh://git%3Asecret%40[::1]/org/t.git", "git+ssh://git@[::1]/org/t.git"),
        ("ssh://gitlab.com/org/t.git", "ssh://gitlab.com/org/t.git"),
        ("git@gitlab.com:org/t.git", "git@gitlab.com:org/t.git"),
        ("file:///srv/a?b#c@d.git", "file:///srv/a?b#c@d.git"),
    ],
)
def test_the_address_is_the_origin_without_a_password(template: Path, origin: str, address: str) -> None:
    run("git", "remote", "add", "origin", origin, cwd=template)
    run("git", "update-ref", "refs/remotes/origin/main", "HEAD", cwd=template)
    assert link_of(template)["template"] == address


@pytest.mark.parametrize("password", ["sec/ret", "sec#ret", "sec?ret"])
def test_an_origin_that_git_cannot_use_is_not_written_down(template: Path, password: str) -> None:
    run("git", "remote", "add", "origin", f"https://user:{password}@gitlab.com/org/t.git", cwd=template)
    run("git", "update-ref", "refs/remotes/origin/main", "HEAD", cwd=template)
    assert link_of(template)["template"] == str(template)


def test_a_template_in_a_subfolder_is_linked_with_it(template: Path) -> None:
    inner = template / "python"
    inner.mkdir()
    (inner / "cookiecutter.json").write_text("{}\n", encoding="utf-8")
    commit_all(template)
    assert link_of(inner)["directory"] == "python"


def test_a_template_that_git_does_not_hold_is_not_linked(template: Path) -> None:
    inner = template / "untracked"
    inner.mkdir()
    (inner / "cookiecutter.json").write_text("{}\n", encoding="utf-8")
    assert link_of(inner) is None


def test_a_template_without_a_commit_is_not_linked(tmp_path: Path) -> None:
    (tmp_path / "cookiecutter.json").write_text("{}\n", encoding="utf-8")
    run("git", "init", "--quiet", cwd=tmp_path)
    run("git", "add", "--all", cwd=tmp_path)
    assert link_of(tmp_path) is None


def test_cruft_writes_the_link_itself() -> None:
    assert template_link({"project_slug": "my-service"}) == ""


def test_without_git_a_template_is_not_linked(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert link_of(template) is None


def test_another_repository_in_the_environment_is_not_asked(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the template is run from a hook of git."""
    commit = link_of(template)["commit"]
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    assert link_of(template)["commit"] == commit


@pytest.fixture(autouse=True)
def _nothing_is_known_yet() -> None:
    """Forget where the template of another test came from, whose folder may have had the same name."""
    origin_of.cache_clear()
    person.cache_clear()


SOUND = {
    "gitlab_host": "gitlab.com",
    "gitlab_namespace": "acme",
    "author_email": "ada@acme.example",
    "pipeline": "self-contained",
    "signing": "keyless",
    "publish": "gitlab",
    "license": "Proprietary",
    "_component_project": "",
    "_component_version": "0.1.0",
}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, ""),
        ({"signing": "key", "gitlab_host": "gitlab.acme.example"}, ""),
        ({"gitlab_host": "gitlab.acme.example"}, "gitlab.acme.example needs one of its own to sign keyless"),
        ({"publish": "pypi"}, "publish=gitlab keeps it"),
        ({"publish": "pypi", "license": "MIT"}, ""),
        ({"gitlab_namespace": "your-group"}, "Still an example: gitlab_namespace=your-group. Make"),
        ({"author_email": "you@example.com"}, "Still an example: author_email=you@example.com. Make"),
    ],
)
def test_answers_that_do_not_work_together_are_said(answers: dict[str, str], said: str) -> None:
    found = warnings({**SOUND, **answers})
    assert len(found) == bool(said)
    assert said in "".join(found.values())


def test_a_name_on_the_command_line_that_is_no_option_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://gitlab.example.org/t.git?ref=x"
    typed = ["cookiecutter", "--output-dir=..", address, "docker=no", "publish=gitlab", "_component_project=", "kinds="]
    monkeypatch.setattr(sys, "argv", typed)
    (line,) = warnings(SOUND).values()
    assert line.startswith("Not an option, and ignored: docker, kinds. ")


def come_from(origin: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the template in a clone, in this folder, of what is at an address."""
    monkeypatch.setattr(local_extensions, "TEMPLATE", folder)
    (folder / "cookiecutter.json").write_text("{}", encoding="utf-8")
    run("git", "init", "--quiet", cwd=folder)
    if origin:
        run("git", "remote", "add", "origin", origin, cwd=folder)
    commit_all(folder)


@pytest.mark.parametrize(
    ("origin", "project"),
    [
        ("https://gitlab.com/acme/tools/py-ci-template.git", "acme/tools/py-ci-template"),
        ("https://user:token@gitlab.example.org:8443/acme/template/", "acme/template"),
        ("git@gitlab.example.org:acme/template.git", "acme/template"),
        ("ssh://git@gitlab.example.org:2222/acme/template.git", "acme/template"),
        ("gitlab.example.org:acme/template", "acme/template"),
        ("https://gitlab.com/acme/git.git", "acme/git"),
        ("https://gitlab.com/acme/template.git?private_token=secret", "acme/template"),
        ("https://gitlab.com/acme/template: [evil]", ""),
        ("https://gitlab.com/template", ""),
        ("file:///srv/git/template.git", ""),
        ("/srv/git/template.git", ""),
        ("../template", ""),
        ("C:/templates/py-ci-template", ""),
        ("", ""),
    ],
)
def test_components_are_where_the_template_came_from(
    origin: str, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_from(origin, tmp_path, monkeypatch)
    assert component_project({"_component_project": ""}) == project
    made = {**SOUND, "pipeline": "components"}
    assert bool(warnings(made)) == (not project)
    assert component_project({"_component_project": "platform/ci"}) == "platform/ci"
    package = template_package({"_component_project": "", "_component_version": "1.2.3"})
    assert bool(package) == bool(project)
    assert "token" not in package
    pattern = rf"git\+(https|ssh)://[\w@.:]+/{project}\.git" + re.escape("@1.2.3")
    assert not package or re.fullmatch(pattern, package)


@pytest.mark.parametrize(
    ("origin", "page"),
    [
        ("https://gitlab.com/acme/tools/py-ci-template.git", "https://gitlab.com/acme/tools/py-ci-template/-"),
        (
            "https://user:token@gitlab.example.org:8443/acme/template/",
            "https://gitlab.example.org:8443/acme/template/-",
        ),
        ("http://gitlab.example.org/acme/template?private_token=x", "http://gitlab.example.org/acme/template/-"),
        ("git@gitlab.example.org:acme/template.git", "https://gitlab.example.org/acme/template/-"),
        ("ssh://git@gitlab.example.org:2222/acme/template.git", "https://gitlab.example.org/acme/template/-"),
        ("gitlab.example.org:acme/template", "https://gitlab.example.org/acme/template/-"),
        ("git@github.com:acme/template.git", "https://github.com/acme/template"),
        ("/srv/git/template.git", ""),
        ("", ""),
    ],
)
def test_messages_are_explained_where_the_template_came_from(
    origin: str, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_from(origin, tmp_path, monkeypatch)
    assert troubleshooting(SOUND) == (f"{page}/blob/0.1.0/docs/troubleshooting.md" if page else "")
    ours = {**SOUND, "gitlab_host": "git.acme.example/gitlab", "_component_project": "platform/ci"}
    where = "https://git.acme.example/gitlab/platform/ci/-/blob/0.1.0/docs/troubleshooting.md"
    assert troubleshooting(ours) == where


ABOUT_A_PERSON = [
    ("author_name", "user.name", "Ada Lovelace", "Ada Lovelace"),
    ("author_name", "user.name", "{{ 7 * 7 }}", ""),
    ("author_name", "user.name", "", ""),
    ("author_email", "user.email", "ada@example.org", "ada@example.org"),
    ("author_email", "user.email", "nobody", ""),
]


@pytest.mark.parametrize(("name", "setting", "known", "default"), ABOUT_A_PERSON)
def test_a_person_is_asked_with_what_git_knows_of_them(
    name: str, setting: str, known: str, default: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("git", "config", "--file", tmp_path / "gitconfig", setting, known)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.chdir(tmp_path)
    assert known_here(name) == default


@pytest.mark.parametrize(
    ("typed", "origin", "host", "group"),
    [
        ("https://git.example.org/a/b/template", "https://git.example.org/a/b/template", "git.example.org", "a/b"),
        ("git@git.example.org:a/template.git", "git@git.example.org:a/template.git", "git.example.org", "a"),
        ("ours:a/template", "ssh://git@git.example.org:2222/a/template.git", "git.example.org", "a"),
        ("https://git.example.org:8443/a/b", "https://git.example.org:8443/a/b", "git.example.org:8443", "a"),
        ("gl:org/py-ci-template", "https://gitlab.com/org/py-ci-template.git", "", ""),
        ("gh:org/py-ci-template", "https://github.com/org/py-ci-template.git", "", ""),
        ("template", "https://git.example.org/a/b/template", "", ""),
        ("file:///srv/template", "https://git.example.org/a/b/template", "", ""),
    ],
)
def test_a_person_is_asked_with_the_gitlab_that_they_have_the_template_from(
    typed: str, origin: str, host: str, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_from(origin, tmp_path, monkeypatch)
    monkeypatch.setattr("sys.argv", ["cookiecutter", typed])
    shutil.copy(ROOT / "answer_rules.py", tmp_path)
    assert (known_here("gitlab_host"), known_here("gitlab_namespace")) == (host, group)


@pytest.mark.parametrize("group", ["acme/tools", "your-group"])
def test_a_group_that_is_given_owns_the_code(group: str) -> None:
    answers = context_of({"gitlab_namespace": group})["cookiecutter"]
    assert (".gitlab/CODEOWNERS" in absent_paths(answers)) == (group == "your-group")
    assert render(".gitlab/CODEOWNERS", {"gitlab_namespace": group}).endswith(f"\n* @{group}\n")


def test_a_devcontainer_has_the_image_of_the_jobs() -> None:
    for image in ({}, {"python_container_image": "registry.example.com/python:${PY_CI_PYTHON}"}):
        made = json.loads(
            render(".devcontainer/devcontainer.json", {"_component_inputs": image, "project_name": 'A "b"'})
        )
        assert made["name"] == 'A "b"'
        assert made["image"] == ("registry.example.com/python:3.11" if image else "astral/uv:python3.11-trixie-slim")


def test_components_are_where_the_clone_came_from_that_the_template_was_cloned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cruft does, which clones what it updates from, and where that may be a folder."""
    first = tmp_path / "first"
    first.mkdir()
    (first / "cookiecutter.json").write_text("{}", encoding="utf-8")
    run("git", "init", "--quiet", cwd=first)
    commit_all(first)
    run("git", "clone", "--quiet", first, tmp_path / "second")
    run("git", "clone", "--quiet", "second", "third", cwd=tmp_path)
    run("git", "clone", "--quiet", "--bare", f"file://{tmp_path}/third", tmp_path / "fourth.git")
    run("git", "clone", "--quiet", tmp_path / "fourth.git", tmp_path / "fifth")
    monkeypatch.setattr(local_extensions, "TEMPLATE", tmp_path / "fifth")
    assert component_project({"_component_project": ""}) == ""
    run("git", "remote", "add", "origin", "git@gitlab.com:acme/template.git", cwd=first)
    origin_of.cache_clear()
    assert component_project({"_component_project": ""}) == "acme/template"
    run("git", "remote", "set-url", "origin", tmp_path / "fifth", cwd=first)
    origin_of.cache_clear()
    assert component_project({"_component_project": ""}) == ""


def test_components_are_not_where_a_repository_around_the_template_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the template was unpacked into somebody's home, which git holds."""
    template = tmp_path / "template"
    template.mkdir()
    (template / "cookiecutter.json").write_text("{}", encoding="utf-8")
    run("git", "init", "--quiet", cwd=tmp_path)
    run("git", "remote", "add", "origin", "https://gitlab.com/ada/dotfiles.git", cwd=tmp_path)
    (tmp_path / ".gitignore").write_text("template\n", encoding="utf-8")
    commit_all(tmp_path)
    monkeypatch.setattr(local_extensions, "TEMPLATE", template)
    assert component_project({"_component_project": ""}) == ""
