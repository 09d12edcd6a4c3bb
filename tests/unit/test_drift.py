"""The program of the job `drift`, on links and templates that are not what they should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.drift import access as of_drift
from tools.commands import commit_all, run
from tools.fleet.template import access as of_the_page
from tools.options import ROOT

REPAIR = "Take the file back from an earlier commit, or delete it and let 'cruft link' make it again."


def link(**values: object) -> str:
    """Return a link to a template, with some other values."""
    return json.dumps({"template": "/template", "commit": "0" * 40, "directory": None, **values})


# What stands in .cruft.json, and what is said of it.
LINKS = {
    "cut off": (link()[:20], ".cruft.json is not JSON."),
    "of bytes": ("\0", ".cruft.json is not JSON."),
    "without a bottom": ("[" * 100_000, ".cruft.json is not JSON."),
    "a list": ("[]", ".cruft.json is not an object of JSON."),
    "nothing in it": ("{}", '"template" in .cruft.json is not an address for git clone.'),
    "a list of addresses": (link(template=["/template"]), '"template" in .cruft.json is not an address for git clone.'),
    "an option for git": (link(template="--upload-pack=touch ran"), '"template" in .cruft.json is not an address'),
    "a command for git": (link(template="ext::touch ran"), '"template" in .cruft.json is not an address'),
    "an escape": (link(template="/\n\x1b[2J"), '"template" in .cruft.json is not an address for git clone.'),
    "no commit": (link(commit=None), '"commit" in .cruft.json is not the hexadecimal name of a commit.'),
    "a number": (link(commit=1), '"commit" in .cruft.json is not the hexadecimal name of a commit.'),
    "a branch": (link(commit="main"), '"commit" in .cruft.json is not the hexadecimal name of a commit.'),
    "half a character": (link(directory="\udc00"), '"directory" in .cruft.json is not the name of a folder.'),
}


def drift(project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a project, as its job does."""
    env = {**{name: value for name, value in os.environ.items() if not name.startswith("CI_")}, **variables}
    with (ROOT / "scripts" / "drift.py").open(encoding="utf-8") as program:
        return subprocess.run(
            (sys.executable, "-I", "-"), cwd=project, env=env, stdin=program, capture_output=True, encoding="utf-8"
        )


@pytest.mark.parametrize(("text", "problem"), LINKS.values(), ids=LINKS)
def test_a_link_that_cruft_did_not_write_is_one_line(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / ".cruft.json").write_text(text, encoding="utf-8")
    done = drift(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(problem)
    assert done.stderr.endswith(f" {REPAIR}\n")
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == [".cruft.json"]


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template with one release, of which somebody made a project."""
    folder = tmp_path / "template"
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", folder)
    (folder / "CHANGELOG.md").touch()
    commit_all(folder)
    run("git", "tag", "v1.0.0", cwd=folder)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """That project."""
    folder = tmp_path / "project"
    folder.mkdir()
    commit = run("git", "rev-parse", "HEAD", cwd=template).strip()
    (folder / ".cruft.json").write_text(link(template=str(template), commit=commit), encoding="utf-8")
    return folder


def test_a_changelog_can_only_be_read(template: Path, project: Path) -> None:
    """Escapes would change what a terminal shows, the marks of a section what GitLab's log folds away."""
    section = "section_start:1:hidden[collapsed=true]\r\x1b[0K"
    text = f"## 1.1.0\n\n- \x1b[2J\x9b2JNew: é.\x00\u202e\n{section}\n"
    (template / "CHANGELOG.md").write_bytes(text.encode() + b"\xff\n")
    commit_all(template)
    run("git", "tag", "v1.1.0", cwd=template)
    done = drift(project)
    assert (done.returncode, done.stderr) == (3, "")
    assert "The project is 1 release behind its template: from v1.0.0 to v1.1.0.\n\n## 1.1.0\n" in done.stdout
    assert "New: é." in done.stdout
    assert all(character == "\n" or character.isprintable() for character in done.stdout)


def test_a_tag_is_a_name_and_no_more(template: Path, project: Path) -> None:
    odd = ["$(touch${IFS}ran)", ";touch${IFS}ran", "-d", "--help", "1.2", "2.0.0-rc1", f"{'9' * 200}.0.0", "\u0663.0.0"]
    references = "".join(f"create refs/tags/{tag} HEAD\n" for tag in [*odd, "v1.0.1", "v1.0.10", "v1.0.9"])
    subprocess.run(("git", "update-ref", "--stdin"), cwd=template, input=references.encode(), check=True)
    done = drift(project)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The project is up to date with its template: v1.0.10.\n"
    assert sorted(file.name for file in project.iterdir()) == [".cruft.json", ".drift"]


def test_it_says_where_a_merge_request_of_a_bot_would_be(template: Path, project: Path) -> None:
    commit_all(template)
    run("git", "tag", "v1.1.0", cwd=template)
    said = drift(project, CI_PROJECT_URL="https://gitlab.example.org/org/service").stdout.splitlines()
    assert said[-2:] == [
        "To update: cruft update --checkout v1.1.0",
        "Of a bot: https://gitlab.example.org/org/service/-/merge_requests?state=opened&label_name[]=py-ci-template",
    ]


def test_the_page_of_all_projects_gives_git_the_token_as_drift_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job has its program in one file, and people install the other: neither can import the other's."""
    monkeypatch.setenv("CI_SERVER_URL", "https://gitlab.example.org")
    monkeypatch.setenv("CI_SERVER_HOST", "gitlab.example.org")
    monkeypatch.setenv("CI_JOB_TOKEN", "secret")
    ssh = ["-c", "url.https://gitlab.example.org/.insteadOf=git@gitlab.example.org:"]
    assert of_drift() == of_the_page() + ssh
    monkeypatch.delenv("CI_JOB_TOKEN")
    assert of_the_page() == []
