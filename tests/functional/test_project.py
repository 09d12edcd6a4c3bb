"""`py-ci-project`, which makes a project on GitLab with all that it needs there, on the GitLab of the tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.commands import ROOT, commit_all, run
from tools.pipeline.key import public_key
from tools.project import first_pipeline
from tools.project.answers import Answers
from tools.project.command import run as run_command
from tools.project.wanted import IMAGES, settings
from tools.requirements import find_program
from tools.samples.baked import Bake
from tools.stand_ins.gitlab_rest import server
from tools.stand_ins.gitlab_rest.access import Level, User
from tools.stand_ins.gitlab_rest.pipelines import add_pipeline
from tools.stand_ins.gitlab_rest.projects import SharedProject
from tools.stand_ins.gitlab_rest.server import SharedGitLab

OPTIONS: list[dict[str, str]] = [
    {"signing": "keyless", "publish": "gitlab", "kind": "service"},
    {"signing": "key", "publish": "pypi", "kind": "command"},
    {"signing": "none", "publish": "none", "kind": "library"},
]
KEY: dict[str, str] = {"signing": "key", "publish": "gitlab", "kind": "service"}
SETTINGS = (
    "protected_tags",
    "pipeline_schedules",
    "environments",
    "protected_environments",
    "variables",
    "package_rules",
    "tag_rules",
)

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def gitlab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedGitLab]:
    """A GitLab without projects, which the environment names; the pipeline of each push passes."""
    with SharedGitLab(tmp_path / "gitlab", "http://127.0.0.1:1") as shared:
        shared.pushed = lambda project, name, commit: commit and add_pipeline(project, name, commit, "success")
        monkeypatch.setenv("CI_SERVER_URL", shared.url)
        monkeypatch.setattr(first_pipeline, "PAUSE", 0.02)
        yield shared


@pytest.fixture
def person(gitlab: SharedGitLab, monkeypatch: pytest.MonkeyPatch) -> User:
    """Somebody with a token for all that may make projects in the group."""
    return enter(gitlab.add_user("ada", {"org": Level.MAINTAINER}), monkeypatch)


def enter(user: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """Let a person with a name for git run the command."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada Lovelace")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.com")
    monkeypatch.setenv("GITLAB_TOKEN", user.token)
    return user


@pytest.fixture
def folder(tmp_path: Path, bake: Bake) -> Callable[..., Path]:
    """Return a function that makes a project that was never committed."""

    def make(**options: str) -> Path:
        made = bake(gitlab_namespace="org", **options).path
        return Path(shutil.copytree(made, tmp_path / made.name, symlinks=True))

    return make


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], person: User) -> Run:
    """Return a function that runs the command here; it returns the exit status and all that was printed."""

    def run_it(*words: str | Path) -> tuple[int, str]:
        # What the bake has said is not the command's.
        capfd.readouterr()
        status = run_command([str(word) for word in words])
        printed = capfd.readouterr()
        said = printed.out + printed.err
        assert os.environ.get("GITLAB_TOKEN", "none") not in said
        return status, said

    return run_it


def writes(gitlab: SharedGitLab) -> list[str]:
    """Return the paths of requests that would change something, with those of a push, below the project."""
    return [
        request.path.rpartition("/projects/")[2].partition("/")[2] or request.path
        for request in gitlab.requests()
        if request.method not in ("GET", "HEAD") and "git-upload-pack" not in request.path
    ]


def records(project: SharedProject) -> dict[str, list[dict[str, Any]]]:
    """Return what is set in a project."""
    return {kind: [dict(each) for each in project.records[kind]] for kind in SETTINGS}


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: str(options["signing"]))
def test_a_new_project_has_all_and_a_second_run_changes_nothing(
    options: dict[str, str], gitlab: SharedGitLab, command: Run, folder: Callable[..., Path]
) -> None:
    project = folder(**options)
    status, said = command(project, "--check")
    assert (status, writes(gitlab)) == (3, []), said
    assert f"missing     project org/{project.name}" in said
    status, said = command(project)
    assert status == 0, said
    assert "The pipeline ended: success." in said
    (made,) = gitlab.shared
    assert (made.path, made.visibility) == (f"org/{project.name}", "private")
    assert made.git.branches() == {"main": run("git", "rev-parse", "HEAD", cwd=project).strip()}
    assert run("git", "status", "--porcelain", cwd=project) == ""
    assert run("git", "rev-parse", "--abbrev-ref", "main@{upstream}", cwd=project).strip() == "origin/main"
    there = records(made)
    assert [(each["name"], each["create_access_levels"][0]["access_level"]) for each in there["protected_tags"]] == [
        ("v*", Level.MAINTAINER)
    ]
    assert [(each["ref"], each["active"]) for each in there["pipeline_schedules"]] == [("refs/heads/main", True)]
    signed, published = options["signing"] != "none", options["publish"] != "none"
    environments = ["signing"] * (options["signing"] == "key") + ["pypi"] * (options["publish"] == "pypi")
    assert [each["name"] for each in there["environments"]] == environments
    rules = ["pypi"] * (options["publish"] == "gitlab") + ["generic"] * (signed and published)
    assert [each["package_type"] for each in there["package_rules"]] == rules
    images = [IMAGES] if options["kind"] == "service" else []
    assert [each["tag_name_pattern"] for each in there["tag_rules"]] == images
    assert len(there["variables"]) == (2 if options["signing"] == "key" else 0)
    assert ("by hand     the trusted publisher on PyPI" in said) == (options["publish"] == "pypi")
    done = len(writes(gitlab))
    for words in ((project,), (project, "--check")):
        status, said = command(*words)
        assert status == 0, said
        assert not re.search("^(made|missing|differs|left)", said, re.MULTILINE), said
    assert writes(gitlab)[done:] == []
    assert records(made) == there


def test_a_key_pair_is_for_the_jobs_that_sign_only(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path]
) -> None:
    project = folder(**KEY)
    _, said = command(project)
    (made,) = gitlab.shared
    secrets = {each["key"]: each for each in made.records["variables"]}
    for name, masked in (("COSIGN_PRIVATE_KEY", False), ("COSIGN_PASSWORD", True)):
        wanted = {"environment_scope": "signing", "protected": True, "raw": True, "masked": masked}
        assert {key: secrets[name][key] for key in wanted} == wanted
    private, password = secrets["COSIGN_PRIVATE_KEY"]["value"], secrets["COSIGN_PASSWORD"]["value"]
    assert made.git.read("main", "cosign.pub") == public_key(private, password).encode()
    line = private.splitlines()[1]
    everything = [file.read_bytes() for file in project.rglob("*") if file.is_file()]
    for secret in (password, line):
        assert secret not in said
        assert not any(secret.encode() in content for content in everything)


def test_the_key_pair_signs_and_verifies_with_cosign(cosign: Path, tmp_path: Path) -> None:
    """As Cosign makes pairs, and as `public_key` reads one of Cosign's own."""
    env = {**os.environ, "COSIGN_PASSWORD": "a pass$word"}
    subprocess.run([cosign, "generate-key-pair"], cwd=tmp_path, env=env, check=True, capture_output=True)
    private, public = (tmp_path / name for name in ("cosign.key", "cosign.pub"))
    assert public_key(private.read_text(), "a pass$word") == public.read_text()
    with pytest.raises(ValueError, match="password does not open"):
        public_key(private.read_text(), "another")


def test_what_is_missing_is_made_and_nothing_else(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path]
) -> None:
    project = folder(**KEY)
    made = gitlab.share_project(f"org/{project.name}")
    made.settings["premium"] = True
    assert command(project)[0] == 0
    there = records(made)
    assert all(there.values())
    for kind, paths in {
        "protected_tags": ["protected_tags"],
        "pipeline_schedules": ["pipeline_schedules"],
        "environments": ["environments"],
        "protected_environments": ["protected_environments"],
        "package_rules": ["packages/protection/rules"] * 2,
        "tag_rules": ["registry/protection/tag/rules"],
    }.items():
        made.records[kind].clear()
        done = len(writes(gitlab))
        status, said = command(project, "--check")
        assert status == 3
        assert said.count("missing  ") == len(paths), said
        assert writes(gitlab)[done:] == []
        status, said = command(project)
        assert (status, writes(gitlab)[done:]) == (0, paths), said
        assert said.count("made  ") == len(paths)
        timeless = [{**each, "created_at": None} for each in made.records[kind]]
        assert timeless == [{**each, "created_at": None} for each in there[kind]]
    # What was signed is verified with the public key that is there.
    made.records["variables"].clear()
    done = len(writes(gitlab))
    status, said = command(project)
    assert (status, writes(gitlab)[done:]) == (3, []), said
    assert said.count("add those that belong to cosign.pub") == 2
    assert f"{made_page(gitlab, made)}/-/settings/ci_cd" in said


def made_page(gitlab: SharedGitLab, project: SharedProject) -> str:
    """Return the address of a project."""
    return f"{gitlab.url}/{project.path}"


# What git runs for a person, beside the helper for credentials: https://git-scm.com/docs/githooks
HOOKS = [
    *("applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-checkout", "post-commit", "post-index-change"),
    *("post-merge", "post-rewrite", "pre-auto-gc", "pre-commit", "pre-merge-commit", "pre-push", "pre-rebase"),
    *("prepare-commit-msg", "reference-transaction", "sendemail-validate"),
]


def test_nothing_that_git_runs_gets_the_token(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, dumps, hooks = folder(**KEY), tmp_path / "dumps", tmp_path / "hooks"
    dumps.mkdir()
    hooks.mkdir()
    dump = f'#!/bin/sh\nf="$(mktemp {dumps}/XXXXXXXX)"\n{{ echo "$0 $*"; env; ls -R /proc/self/fd; for t in $(env | '
    dump += 'grep -o \'/[^ ]*/token\'); do cat "$t"; done; } > "$f" 2> /dev/null || :\n'
    for name in (*HOOKS, "filter"):
        (hooks / name).write_text(dump + ("cat\n" if name == "filter" else ""), encoding="utf-8")
        (hooks / name).chmod(0o755)
    configured = {
        "core.hooksPath": hooks,
        "core.fsmonitor": hooks / "fsmonitor-watchman",
        "filter.x.clean": hooks / "filter",
    }
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(configured)))
    for number, (name, value) in enumerate(configured.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", str(value))
    (project / ".gitattributes").write_text("*.md filter=x\n", encoding="utf-8")
    status, said = command(project)
    assert status == 0, said
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in dumps.iterdir()]
    ran = {name for name in HOOKS if any(text.startswith(f"{hooks}/{name} ") for text in texts)}
    assert {"pre-push", "pre-commit", "reference-transaction", "fsmonitor-watchman"} <= ran
    assert any(text.startswith(f"{hooks}/filter") for text in texts)
    assert not [text for text in texts if os.environ["GITLAB_TOKEN"] in text]


@given(
    rules=st.lists(
        st.tuples(
            st.sampled_from(["v*", "*", "v1.*", "v1.0.0", "*.0", "release-*"]),
            st.lists(
                st.sampled_from(
                    [
                        {"access_level": 0},
                        {"access_level": 30},
                        {"access_level": 40},
                        {"access_level": 60},
                        {"access_level": None, "user_id": 7},
                        {"access_level": 40, "user_id": 7},
                        {"access_level": None, "group_id": 7},
                        {"access_level": 40, "group_id": 7},
                        {"access_level": None, "deploy_key_id": 7},
                    ]
                ),
                max_size=3,
            ),
        ),
        max_size=4,
        unique_by=lambda rule: rule[0],
    )
)
def test_the_weakest_rule_counts_for_protected_tags(rules: list[tuple[str, list[dict[str, Any]]]]) -> None:
    records = [{"name": name, "create_access_levels": levels} for name, levels in rules]
    asked = Answers("gitlab.example.com", "org", "my-service", "service", "key", "gitlab")
    (tags,) = [each for each in settings(asked, "main") if each.path == "protected_tags"]

    def may_create(tag: str, who: dict[str, Any]) -> bool:
        fitting = [levels for name, levels in rules if fnmatchcase(tag, name)]
        return any(who.items() <= level.items() for levels in fitting for level in levels)

    others = [{"access_level": 30}, {"group_id": 7}, {"deploy_key_id": 7}]
    samples = ("v1.0.0", "v2.3.4", "release-1")
    weak = any(may_create(tag, who) for tag in samples for who in others)
    found = [each for each in records if tags.same(each)]
    assert bool(tags.fault(found, records)) == weak
    assert bool(found) == any(name in ("v*", "*") for name, _ in rules)


def test_what_a_person_has_set_otherwise_stays_and_is_named(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path]
) -> None:
    project = folder(**KEY)
    made = gitlab.share_project(f"org/{project.name}")
    assert command(project)[0] == 0
    made.records["protected_tags"][0]["create_access_levels"][0]["access_level"] = 30
    made.records["pipeline_schedules"][0]["active"] = False
    made.records["variables"][0].update(protected=False, masked=False)
    made.records["variables"][1].update(environment_scope="*", raw=False)
    made.records["package_rules"][0]["package_name_pattern"] = "my-*"
    made.records["tag_rules"][0]["tag_name_pattern"] = ".*"
    there, done = records(made), len(writes(gitlab))
    for words in ((project,), (project, "--check")):
        status, said = command(*words)
        assert status == 3, said
        page = f"{made_page(gitlab, made)}/-/"
        named = dict(re.findall(r"^differs +(.+?): (.+): " + re.escape(page), said, re.MULTILINE))
        assert named == {
            "protected tags v*": "people below Maintainer may create v*",
            "weekly schedule of main": "not active",
            "variable COSIGN_PASSWORD": "not protected, not masked",
            "variable COSIGN_PRIVATE_KEY": "the environment is not signing, Expand variable reference is on",
        }
        assert "docs/troubleshooting.md#project-settings" in said
    assert (records(made), writes(gitlab)[done:]) == (there, [])


@pytest.mark.parametrize(
    "faults",
    [[{"status": 500}, {"status": 200}], [{"cut": True}]],
    ids=["refused, or answered by a page", "done, but the answer is lost"],
)
def test_an_error_at_any_step_is_made_good_by_the_next_run(
    faults: list[dict[str, Any]], gitlab: SharedGitLab, command: Run, folder: Callable[..., Path]
) -> None:
    project = folder(**KEY)
    steps = (
        "/projects$",
        "/variables$",
        "/variables$",
        "git-receive-pack$",
        "protected_tags",
        "pipeline_schedules",
        "environments",
        "packages/",
        "registry/",
    )
    for path, fault in zip(steps, cycle(faults), strict=False):
        gitlab.fail_next(1, method="POST", path=path, **fault)
        status, said = command(project)
        assert status in (2, 3), (path, said)
        gitlab.heal()
        assert "docs/troubleshooting.md#project-" in said
        assert "Traceback" not in said
    status, said = command(project)
    assert status == 0, said
    (made,) = gitlab.shared
    there = {kind: len(each) for kind, each in records(made).items()}
    assert there == {**dict.fromkeys(SETTINGS, 1), "variables": 2, "package_rules": 2, "protected_environments": 0}
    secrets = {each["key"]: each["value"] for each in made.records["variables"]}
    public = public_key(secrets["COSIGN_PRIVATE_KEY"], secrets["COSIGN_PASSWORD"])
    assert made.git.read("main", "cosign.pub") == public.encode()
    assert len(made.records["pipelines"]) == 1


def test_a_gitlab_below_a_path_is_one_too(
    command: Run, folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = folder(**OPTIONS[2], gitlab_host="127.0.0.1/gitlab")
    with SharedGitLab(tmp_path / "below", "http://127.0.0.1:1", "/gitlab") as gitlab:
        gitlab.pushed = lambda made, name, commit: commit and add_pipeline(made, name, commit, "success")
        enter(gitlab.add_user("ada", {"org": Level.MAINTAINER}), monkeypatch)
        monkeypatch.setenv("CI_SERVER_URL", gitlab.url)
        for _ in range(2):
            status, said = command(project)
            assert status == 0, said
        assert len(gitlab.shared) == 1


def test_a_limit_of_requests_is_waited_for(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = folder(**OPTIONS[0])
    assert command(project)[0] == 0
    monkeypatch.setattr(server, "MINUTE", 1)
    gitlab.limit = 8
    gitlab.shared[0].records["tag_rules"].clear()
    status, said = command(project)
    assert status == 0, said
    assert gitlab.requests(status=429)
    assert len(gitlab.shared[0].records["tag_rules"]) == 1


def test_a_token_that_may_only_read_checks(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = folder(**KEY)
    assert command(project)[0] == 0
    reader = enter(gitlab.add_user("eve", {"org": Level.MAINTAINER}, "read_api"), monkeypatch)
    assert command(project, "--check")[0] == 0
    gitlab.shared[0].records["protected_tags"].clear()
    status, said = command(project, "--check")
    assert status == 3
    assert "missing     protected tags v*" in said
    there = records(gitlab.shared[0])
    status, said = command(project)
    assert status == 3
    settings = f"{made_page(gitlab, gitlab.shared[0])}/-/settings/repository"
    assert f"left to you protected tags v*: the token has no right to it (403): {settings}" in said
    assert records(gitlab.shared[0]) == there
    reader.expired = True
    status, said = command(project, "--check")
    assert status == 2
    assert said.startswith("GitLab does not know GITLAB_TOKEN (401)")


def test_what_the_role_does_not_allow_is_named_and_the_rest_is_done(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = folder(**OPTIONS[0])
    made = gitlab.share_project(f"org/{project.name}")
    enter(gitlab.add_user("dan", {"org": Level.DEVELOPER}), monkeypatch)
    status, said = command(project)
    assert status == 3
    left = re.findall(r"^left to you ?(.+?): the token has no right to it \(403\): ", said, re.MULTILINE)
    assert left == [
        "protected tags v*",
        f"protected package {project.name} (pypi)",
        f"protected package {project.name} (generic)",
        "protected container tags",
    ]
    assert len(made.records["pipeline_schedules"]) == 1
    assert "The pipeline ended: success." in said


def test_what_this_gitlab_does_not_offer_is_named_and_no_error(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path]
) -> None:
    project = folder(**KEY)
    gitlab.fail_next(9, path="protection/", status=404)
    status, said = command(project)
    assert status == 0, said
    assert re.findall(r"^not offered (.+?): this GitLab has none", said, re.MULTILINE) == [
        "protected environment signing",
        f"protected package {project.name} (pypi)",
        f"protected package {project.name} (generic)",
        "protected container tags",
    ]


def test_another_history_is_not_pushed_to(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path], tmp_path: Path, person: User
) -> None:
    project = folder(**KEY)
    made = gitlab.share_project(f"org/{project.name}")
    other = tmp_path / "other"
    other.mkdir()
    run("git", "init", "--quiet", "--initial-branch=main", cwd=other)
    commit_all(other, "Another")
    run(
        "git",
        "push",
        "--quiet",
        gitlab.url.replace("//", f"//x:{person.token}@") + f"/{made.path}.git",
        "main",
        cwd=other,
    )
    there, done = made.git.branches(), len(writes(gitlab))
    for committed in (False, True):
        if committed:
            commit_all(project)
        status, said = command(project)
        assert (status, writes(gitlab)[done:]) == (2, []), said
        assert "has another history: nothing was pushed." in said
        assert "#project-foreign" in said
    assert made.git.branches() == there


def test_what_cannot_work_changes_nothing(
    gitlab: SharedGitLab, command: Run, folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = folder(**KEY)

    def refuses(paragraph: str, part: str, *words: str | Path) -> None:
        status, said = command(*(words or (project,)))
        assert (status, writes(gitlab)) == (2, []), said
        assert part in said
        assert f"docs/troubleshooting.md#project-{paragraph}" in said
        assert len(said.splitlines()) < 4, said

    refuses("folder", "has no .cruft.json", tmp_path)
    gitlab.fail_next(1, path="/projects/", status=200)
    refuses("server", "what is no answer of its API")
    run("git", "remote", "add", "origin", "https://x:secret@example.com/org/other.git", cwd=project)
    refuses("remote", "origin is https://example.com/org/other.git, not org/")
    run("git", "remote", "set-url", "origin", f"git@example.com:org/{project.name}.git", cwd=project)
    refuses("remote", "not org/")
    run("git", "remote", "remove", "origin", cwd=project)
    link = project / ".cruft.json"
    whole = json.loads(link.read_text())
    whole["context"]["cookiecutter"]["gitlab_namespace"] = "nobody"
    link.write_text(json.dumps(whole))
    refuses("namespace", "There is no group or user nobody")
    del whole["context"]["cookiecutter"]["signing"]
    link.write_text(json.dumps(whole))
    refuses("folder", "has no signing that can be used")
    link.write_text("[]")
    refuses("folder", "cannot be read")
    run("git", "checkout", "--quiet", "--orphan", "main", cwd=project)
    link.unlink()
    refuses("folder", "has no .cruft.json")
    shutil.rmtree(project / ".git")
    whole["context"]["cookiecutter"].update(signing="none", gitlab_namespace="org")
    link.write_text(json.dumps(whole))
    refuses("folder", "is no repository of its own")
    monkeypatch.delenv("GITLAB_TOKEN")
    refuses("token", "GITLAB_TOKEN is not set")


@pytest.mark.parametrize(
    ("pipelines", "status", "last"),
    [(["failed"], 1, "The pipeline ended: failed."), ([], 3, "No pipeline began for ")],
    ids=["failed", "none"],
)
def test_the_first_pipeline_decides(
    pipelines: list[str],
    status: int,
    last: str,
    gitlab: SharedGitLab,
    command: Run,
    folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(first_pipeline, "APPEARS", 0.1)
    gitlab.pushed = lambda project, name, commit: [
        add_pipeline(project, name, str(commit), pipeline) for pipeline in pipelines
    ]
    ended, said = command(folder(**OPTIONS[2]))
    assert ended == status, said
    assert last in said
    assert "#project-pipeline" in said


def test_an_interruption_keeps_the_secrets_and_the_next_run_goes_on(
    gitlab: SharedGitLab, person: User, folder: Callable[..., Path], tmp_path: Path
) -> None:
    """As a person runs it, with the arguments of every process recorded."""
    strace = find_program("strace", "it shows the arguments of every process: apt install strace")
    project, log = folder(**KEY), tmp_path / "log"

    def begin(project_: SharedProject, name: str, commit: str | None) -> None:
        pipeline = add_pipeline(project_, name, str(commit), "running")
        project_.records["jobs"].append(
            {"id": 1, "name": "lint\x1b[2J", "status": "running", "pipeline": {"id": pipeline["id"]}}
        )

    gitlab.pushed = begin
    options = ("--follow-forks", "--seccomp-bpf", "--quiet=all", "--trace=execve", "--string-limit=99999")
    started = subprocess.Popen(
        [strace, *options, f"--output={log}", sys.executable, "-u", "-m", "tools.project", project],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
        # What runs the tests in the background may ignore it, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert started.stdout
    lines = []
    for line in started.stdout:
        lines.append(line)
        if "lint: running" in line:
            os.killpg(started.pid, signal.SIGINT)
    assert started.wait(timeout=30) == 130, lines
    assert lines[-1] == "Interrupted: run this again, and it goes on.\n"
    (made,) = gitlab.shared
    values = [each["value"] for each in made.records["variables"]]
    printed, arguments = "".join(lines), log.read_text(encoding="utf-8")
    assert '"push"' in arguments
    assert "credential.http" in arguments
    config = (project / ".git" / "config").read_text(encoding="utf-8")
    for secret in (person.token, *values, values[-1].splitlines()[1]):
        for text in (printed, arguments, config):
            assert secret not in text
    assert "\x1b" not in printed
    made.records["pipelines"][0]["status"] = "success"
    done = len(writes(gitlab))
    again = (sys.executable, "-m", "tools.project", project)
    ended = subprocess.run(again, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert writes(gitlab)[done:] == []
