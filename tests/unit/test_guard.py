"""What a pipeline says is data to `py-ci-pipeline`, until its jobs run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.commands import commit_all, run
from tools.gitlab_ci_local import NOT_READ, arguments_of, as_on_gitlab, ask, command, names_of
from tools.pipeline.__main__ import main
from tools.pipeline.containers import pasted
from tools.runner import set_refs

JOB: dict[str, Any] = {"job": {"script": ["true"]}}
# As code of a shell, and of JavaScript; each makes the file MARKER.
SHELL = [
    "; touch MARKER; true",
    "$(touch MARKER)",
    "`touch MARKER`",
    "\ntouch MARKER\n",
    " && touch MARKER",
    "x | touch MARKER",
]
SCRIPT = "process.getBuiltinModule('fs').writeFileSync('MARKER', '')"
CODE = [SCRIPT, f'"a" == "a" && {SCRIPT}', f"$CI_COMMIT_BRANCH =~ /x/ || {SCRIPT}", f"(0,{SCRIPT})", f"`${{{SCRIPT}}}`"]
CODE += [f'"a".matchRE2JS(RE2JS.compile({SCRIPT}, 0)) != null', f"/x/[{SCRIPT}]", f'"\\";{SCRIPT};"']
OPTIONS = ["--upload-pack=touch MARKER", "-cx.y=z", "main --config core.sshCommand=x", "../../../../../above"]
FIELDS: dict[str, Callable[[str], Any]] = {
    "project": lambda text: {"project": text, "file": "x.yml"},
    "the end of a project": lambda text: {"project": f"a/b{text}", "file": "x.yml"},
    "ref": lambda text: {"project": "a/b", "ref": text, "file": "x.yml"},
    "the end of a ref": lambda text: {"project": "a/b", "ref": f"main{text}", "file": "x.yml"},
    "file": lambda text: {"project": "a/b", "file": text},
    "files": lambda text: {"project": "a/b", "file": ["x.yml", f"y{text}.yml"]},
    "component": lambda text: {"component": f"gitlab.com/a/b/c{text}@1.0.0"},
    "version of a component": lambda text: {"component": f"gitlab.com/a/b/c@1.0.0{text}"},
    "template": lambda text: {"template": f"../../{text}"},
    "local": lambda text: {"local": f"/x{text}.yml"},
    "rules": lambda text: {"local": "/x.yml", "rules": [{"if": text}]},
}
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "rules": lambda text: {"job": {**JOB["job"], "rules": [{"if": text}]}},
    "workflow": lambda text: {**JOB, "workflow": {"rules": [{"if": text}]}},
    "a variable": lambda text: {"variables": {"X": text}, "job": {**JOB["job"], "rules": [{"if": '$X == "a"'}]}},
    "a variable as a text": lambda text: {
        "variables": {"X": f'\\"; {text} //'},
        "job": {**JOB["job"], "rules": [{"if": '$X == "a"'}]},
    },
    "an input": lambda text: {"include": [{"local": "/with-input.yml", "inputs": {"x": text}}], **JOB},
    "exists": lambda text: {"job": {**JOB["job"], "rules": [{"exists": [text]}]}},
    "changes": lambda text: {"job": {**JOB["job"], "rules": [{"changes": [text]}]}},
    "a name": lambda text: {text: JOB["job"]},
    "an image": lambda text: {"job": {**JOB["job"], "image": text, "services": [text], "environment": text}},
}
WITH_INPUT = """
spec: {inputs: {x: {}}}
---
included: {script: ["true"], rules: [{if: "$[[ inputs.x ]]"}]}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose pipeline is still to be written."""
    folder = tmp_path_factory.mktemp("guarded") / "project"
    folder.mkdir()
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    (folder / "with-input.yml").write_text(WITH_INPUT, encoding="utf-8")
    return folder


def listed(program: str, project: Path, pipeline: dict[str, Any], message: str = "x") -> tuple[int, str]:
    """Let gitlab-ci-local list the jobs of a pipeline; return its exit status, and what it said."""
    shutil.rmtree(project / ".gitlab-ci-local", ignore_errors=True)
    (project / ".gitlab-ci.yml").write_text(yaml.safe_dump(pipeline), encoding="utf-8")
    commit_all(project, message)
    env = as_on_gitlab(project, project)
    set_refs(project)
    options = ("--list-json", "--no-json-schema-validation", *arguments_of("branch"))
    return ask(program, *options, cwd=project, env=env)


@pytest.mark.parametrize("place", [*FIELDS, *PLACES])
def test_nothing_of_a_pipeline_runs_while_it_is_read(place: str, project: Path, gitlab_ci_local: str) -> None:
    marker = project.parent / "marker"
    for text in (*SHELL, *OPTIONS, *CODE):
        said = text.replace("MARKER", str(marker))
        pipeline = {"include": [FIELDS[place](said)], **JOB} if place in FIELDS else PLACES[place](said)
        status, printed = listed(gitlab_ci_local, project, pipeline)
        # Only the folder of the project has anything new.
        assert {path.name for path in project.parent.iterdir()} == {"project"}, text
        assert status == 0 or printed, text


def test_a_message_of_a_commit_is_a_text(project: Path, gitlab_ci_local: str) -> None:
    marker = project.parent / "marker"
    pipeline = {"job": {**JOB["job"], "rules": [{"if": '$CI_COMMIT_MESSAGE == "a" || $CI_COMMIT_TITLE == "b"'}]}}
    for code in CODE:
        listed(gitlab_ci_local, project, pipeline, f'\\"; {code.replace("MARKER", str(marker))}//')
        assert not marker.exists()


VARIABLES = st.sampled_from(["$CI_COMMIT_BRANCH", "$CI_PIPELINE_SOURCE", "$NOTHING", "$TEXT"])
TEXTS = st.sampled_from(['"main"', "'push'", '""', '"a b"', "null", '"it\'s"', "'\"'", '"$(x)"', '"a;b"'])
PATTERNS = st.sampled_from(["/main/", "/^ma/i", r"/a\.b/", "/(a|b)+/", r"/^v\d+$/", "/x y/"])
COMPARED = st.one_of(
    VARIABLES,
    st.builds("{} {} {}".format, VARIABLES, st.sampled_from(["==", "!="]), st.one_of(TEXTS, VARIABLES)),
    st.builds("{} {} {}".format, VARIABLES, st.sampled_from(["=~", "!~"]), PATTERNS),
)
CONDITIONS = st.recursive(
    COMPARED,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["&&", "||"]), inner), st.builds("({})".format, inner)
    ),
    max_leaves=5,
)


@given(conditions=st.lists(CONDITIONS, min_size=9, max_size=9))
@settings(max_examples=25, deadline=None)
def test_conditions_by_gitlabs_grammar_mean_what_they_did(
    conditions: list[str], project: Path, gitlab_ci_local: str
) -> None:
    jobs = {f"job-{n}": {**JOB["job"], "rules": [{"if": text}]} for n, text in enumerate(conditions)}
    status, printed = listed(gitlab_ci_local, project, {"variables": {"TEXT": "a b"}, **jobs})
    words = command(gitlab_ci_local, "--list-json", "--no-json-schema-validation", *arguments_of("branch"))
    env = {**os.environ, "GIT_CONFIG_GLOBAL": str(project / ".gitlab-ci-local" / "gitconfig")}
    unguarded = subprocess.run(words, cwd=project, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    # gitlab-ci-local stumbles over some.
    assert status == unguarded.returncode
    assert NOT_READ not in printed
    if not status:
        assert names_of(printed) == names_of(unguarded.stdout)


@pytest.mark.parametrize("words", [["--list"], ["--graph"], ["--list", "--containers", "podman"]])
def test_the_command_says_in_a_line_what_it_does_not_read(
    words: list[str],
    project: Path,
    capsys: pytest.CaptureFixture[str],
    gitlab_ci_local: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "podman").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    marker = project.parent / "marker"
    for pipeline in (PLACES["rules"](SCRIPT), {"include": [FIELDS["the end of a ref"](SHELL[0])], **JOB}):
        text = yaml.safe_dump(pipeline).replace("MARKER", str(marker))
        (project / ".gitlab-ci.yml").write_text(text, encoding="utf-8")
        commit_all(project)
        assert main([*words, str(project)]) == 2
        said = capsys.readouterr().err
        assert NOT_READ in said
        assert "#tool-unread" in said
        assert not marker.exists()


PASTED = {
    "image": {"job": {**JOB["job"], "image": "a$X"}},
    "user": {"job": {**JOB["job"], "image": {"name": "a", "docker": {"user": "$X"}}}},
    "service": {"job": {**JOB["job"], "services": [{"name": "a", "alias": "b$X"}]}},
    "cache": {"job": {**JOB["job"], "cache": {"key": "a", "paths": ["b$X"]}}},
    "artifacts": {"job": {**JOB["job"], "artifacts": {"paths": ["b$X"], "exclude": ["c"]}}},
    "report": {"job": {**JOB["job"], "artifacts": {"reports": {"dotenv": "b$X"}}}},
}


@pytest.mark.parametrize("place", PASTED)
@pytest.mark.parametrize("text", [*SHELL, "'", '"', "\\", "<x", ">x", "&", "$CI_COMMIT_REF_NAME", "$Y"])
def test_no_shell_of_the_machine_gets_what_a_job_says_of_its_container(place: str, text: str) -> None:
    """Written there, or in a variable that is named there."""
    pipeline = {"variables": {"Y": "; touch x"}, **PASTED[place]}
    assert pasted(json.loads(json.dumps(pipeline).replace("$X", json.dumps(text)[1:-1])))
    for variables in (
        {"variables": {"X": text, "Y": "$(x)"}},
        {"job": {**PASTED[place]["job"], "variables": {"X": text, "Y": "`"}}},
    ):
        assert pasted({**PASTED[place], **variables})
    assert pasted({**PASTED[place], "variables": {"X": "a-b_c.d/e"}}) is None
    assert pasted({**JOB, "variables": {"A'; touch x; '": "y"}})
