"""What the bot says of a project, whose template it takes, and its own project."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import gitlab
import pytest
import requests
import yaml
from cookiecutter.main import cookiecutter

from tools.commands import commit_all, run
from tools.fleet import drafts
from tools.fleet.__main__ import main
from tools.fleet.data import FleetError
from tools.fleet.drafts import troubles
from tools.fleet.template import Template
from tools.fleet.update import clone_template
from tools.options import ROOT
from tools.renovate import node
from tools.samples.organisation import make_releases
from tools.schema import check

SEEN = {"problems": [], "packageFiles": {"regex": [{"deps": [{"depName": "py-ci-template"}]}]}}


def test_a_template_is_cloned_with_all_its_tags_and_its_token_stays_in_no_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = tmp_path / "template", "https://oauth2:glpat-secret@gitlab.example.org/org/t.git"
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", folder)
    make_releases(folder, 1, 2)
    run("git", "checkout", "--quiet", "-b", "old", "0.1.0", cwd=folder)
    (folder / "mended").touch()
    commit_all(folder)
    run("git", "tag", "0.1.1", cwd=folder)
    run("git", "checkout", "--quiet", "main", cwd=folder)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{folder.as_uri()}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", address)
    template = Template(address, tmp_path / "clone")
    assert [each["version"] for each in template.releases] == ["0.1.0", "0.1.1", "0.2.0"]
    assert template.address == "https://gitlab.example.org/org/t.git"
    with pytest.raises(FleetError, match=r"from https://gitlab\.example\.org/org/t\.gitx: ") as error:
        Template(f"{address}x", tmp_path / "none")
    assert "glpat" not in str(error.value)
    clone_template(address, tmp_path / "for-nobody")
    assert "glpat" not in (tmp_path / "for-nobody" / ".git" / "config").read_text(encoding="utf-8")
    assert run("git", "tag", cwd=tmp_path / "for-nobody").split() == ["0.1.0", "0.1.1", "0.2.0"]


def test_troubles_of_a_project_are_said_but_a_conflict_is_none() -> None:
    conflict = {"msg": "artifactErrors", "artifactErrors": [{"stderr": "Command failed\nConflict: both changed a\n"}]}
    failed = {"msg": "artifactErrors", "artifactErrors": [{"stderr": "Command failed\nThe update failed: x\n"}]}
    refused = {"msg": "Error updating branch", "err": {"message": "Pushing\nfatal: error: 403\n"}}
    expected = {"msg": "Package lookup failures"}
    assert troubles(SEEN) == []
    assert troubles({**SEEN, "problems": [conflict, failed, refused, expected]}) == [
        "artifactErrors: The update failed: x",
        "Error updating branch: fatal: error: 403",
    ]
    wrong = {
        "msg": "Repository has invalid config",
        "err": {"validationError": "Invalid JSON", "message": "validation"},
    }
    assert troubles({"packageFiles": {}, "problems": [wrong]}) == [
        ".cruft.json is missing, or not as cruft writes it, or renovate.json is wrong or leaves it out",
        "Repository has invalid config: Invalid JSON",
    ]
    unknown = {
        "depName": "py-ci-template",
        "warnings": [{"topic": "t", "message": "Failed to look up git-tags package t"}],
    }
    assert troubles({"packageFiles": {"regex": [{"deps": [unknown]}]}, "problems": [expected]}) == [
        "Failed to look up git-tags package t"
    ]
    (line,) = troubles(None)
    assert line.startswith("not looked at")


def configure(folder: Path, shard: str, *projects: str) -> dict[str, Any]:
    """Return what Renovate is told to do in a shard."""
    plan = folder / "plan.json"
    version = {"wave": "normal", "version": "v0.2.0", "automerge": False}
    listed = [{"path": path, **version} for path in projects]
    plan.write_text(json.dumps({"template": "https://gitlab.example.org/git/org/t.git", "projects": listed}))
    env = {"CI_SERVER_URL": "https://gitlab.example.org/git", "PLAN": str(plan), "SHARD": shard}
    code = "console.log(JSON.stringify(require(process.argv[1])))"
    return dict(json.loads(run(node("node"), "-e", code, ROOT / "bot" / "config.js", env=env)))


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_each_project_is_in_one_shard(shards: int, tmp_path: Path) -> None:
    names = ["org/a", "org/d", "org/sub/b.c"]
    parts = [configure(tmp_path, f"{number}/{shards}", *names) for number in range(1, shards + 1)]
    assert sorted(each["repository"] for part in parts for each in part["repositories"]) == names
    assert [part["reportPath"] for part in parts] == [f"report-{number}.json" for number in range(1, shards + 1)]


def test_no_rule_of_a_project_makes_something_else_of_a_release(tmp_path: Path) -> None:
    """Renovate applies the rules of a project last, and what is forced after each."""
    preset = json.loads((ROOT / "bot" / "preset.json").read_text(encoding="utf-8"))
    (project,) = configure(tmp_path, "1/1", "org/a")["repositories"]
    release, components, programs = project["packageRules"]
    wanted = preset["packageRules"][0]
    force = {name: value for name, value in wanted.items() if not name.startswith(("description", "match"))}
    assert release["matchDepNames"] == wanted["matchDepNames"]
    assert release["overridePackageName"] == "https://gitlab.example.org/git/org/t.git"
    assert release["force"].items() >= {**force, "allowedVersions": "<=0.2.0"}.items()
    assert components == {"matchManagers": ["gitlabci"], "matchDepNames": ["org/t"], "force": {"enabled": False}}
    assert programs == {"matchManagers": ["hermit", "maven-wrapper"], "force": {"enabled": False}}


@pytest.mark.parametrize(
    ("checkout", "value"), [('"0.1.0"', "0.1.0"), ('"v0.1.0"', "v0.1.0"), ("null", None), ('"0.1.0-rc.1"', None)]
)
def test_renovate_sees_the_release_of_a_link(checkout: str, value: str | None) -> None:
    """It writes the next one as its tag is, and finds that again."""
    preset = json.loads((ROOT / "bot" / "preset.json").read_text(encoding="utf-8"))
    _, expression = preset["customManagers"][0]["matchStrings"]
    found = re.search(expression.replace("(?<", "(?P<"), f'  "checkout": {checkout},')
    assert found
    assert found["currentValue"] == value


def make(folder: Path, **answers: str | int) -> Path:
    """Make the project of the bot."""
    given = {"no_input": True, "default_config": True, "output_dir": str(folder)}
    return Path(cookiecutter(str(ROOT), directory="bot", extra_context=answers, **given))


def test_names_of_groups_are_words_of_a_command(tmp_path: Path) -> None:
    script = yaml.safe_load((make(tmp_path) / ".gitlab-ci.yml").read_text(encoding="utf-8"))["plan"]["script"]
    groups = "org/sub.group  a_b * --help $(touch made) `touch made` ~ 12"
    command = ["sh", "-ec", f"{script[0]}\nprintf '%s\\n' \"$@\"", "sh", "left over"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PY_CI_GROUPS": groups},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stdout.splitlines() == [f"--group={name}" for name in groups.split()]
    assert [path.name for path in tmp_path.iterdir()] == ["template-bot"]


@pytest.mark.parametrize(("answer", "shards"), [(1, 1), (3, 3), (0, 1), ("none", 1), (" 2", 2)])
def test_the_project_of_the_bot(answer: str | int, shards: int, tmp_path: Path) -> None:
    made = make(tmp_path, shards=answer, template_project="org/py-ci-template", groups='a: b # "c"')
    assert sorted(path.name for path in made.iterdir()) == [".gitlab-ci.yml", "README.md"]
    check(made / ".gitlab-ci.yml")
    pipeline = yaml.safe_load((made / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    (matrix,) = pipeline["renovate"]["parallel"]["matrix"]
    assert matrix == {"SHARD": [f"{number}/{shards}" for number in range(1, shards + 1)]}
    assert pipeline["variables"]["PY_CI_TEMPLATE"] == "$CI_SERVER_URL/org/py-ci-template.git"
    assert pipeline["variables"]["PY_CI_GROUPS"] == 'a: b # "c"'
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    # The page is handed on by a job that needs no token.
    assert all("extends" not in job if name == "pages" else job["extends"] == ".bot" for name, job in jobs.items())
    assert pipeline[".bot"]["environment"] == {"name": "template-bot", "action": "access"}
    assert "{{" not in (made / "README.md").read_text(encoding="utf-8")


def test_a_plan_that_no_job_has_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITLAB_TOKEN", "glpat-any")
    monkeypatch.chdir(tmp_path)
    words = ["drafts", "--gitlab", "http://127.0.0.1:1", "report-*.json"]
    assert main(words) == 1
    see, said = capsys.readouterr().err.splitlines()
    assert see == "See docs/troubleshooting.md#fleet-drafts"
    assert said == "plan.json is not there: the log of the job plan says why."
    # Nobody has a release to get, and Renovate was stopped before its report was whole.
    Path("plan.json").write_text('{"projects": []}', encoding="utf-8")
    Path("report-1.json").write_text('{"repositories": ', encoding="utf-8")
    assert main([*words, "report-1.json"]) == 0


def test_a_gitlab_that_fails_at_one_project_is_said_and_the_others_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = iter(
        [requests.ConnectionError("Connection aborted"), KeyError("iid"), gitlab.GitlabError("Forbidden", 403)]
    )

    def mark(_: object, bot: str) -> list[str]:
        assert bot == "the-bot"
        if error := next(errors, None):
            raise error
        return ["!1: a draft"]

    monkeypatch.setenv("GITLAB_TOKEN", "glpat-any")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(drafts, "mark", mark)
    monkeypatch.setattr(drafts, "user_of", lambda _: "the-bot")
    projects = [{"path": path, "version": None} for path in "abcd"]
    Path("plan.json").write_text(json.dumps({"projects": projects}), encoding="utf-8")
    assert main(["drafts", "--gitlab", "http://127.0.0.1:1"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "d!1: a draft\n"
    assert shown.err.splitlines()[1:] == [
        "a: not marked: Connection aborted",
        "b: not marked: GitLab's answer is odd: KeyError",
        "c: not marked: GitLab says 403 Forbidden",
    ]


def test_without_a_token_one_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GITLAB_TOKEN", raising=False)
    assert main(["drafts", "--gitlab", "http://127.0.0.1:1"]) == 1
    assert capsys.readouterr().err.splitlines()[1] == "Set GITLAB_TOKEN, and CI_SERVER_URL or --gitlab."
