"""What `py-ci-pipeline` plans, follows and shows; tests/functional/test_tool.py runs it."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from project import OWNED
from tools.components import load
from tools.expander import Expander
from tools.options import DECLARED, DEFAULTS, ROOT
from tools.pipeline.__main__ import arguments, grouped, masking
from tools.pipeline.key import signs
from tools.pipeline.page import Run, excerpt, graph, ranges, render, shortened
from tools.pipeline.plan import IMAGE_JOBS, Plan, UnknownJobError, critical_path, drawing, make_plan
from tools.pipeline.progress import Progress, clean, print_end, say, shown
from tools.pipeline.results import Case, Results, Source, read
from tools.template import render as render_file

PIPELINE: dict[str, Any] = {
    "stages": [".pre", "build", "test", "sign", "publish", ".post"],
    "build": {"stage": "build", "script": ["make"], "needs": []},
    "test": {
        "stage": "test",
        "script": ['uv venv --python "$PY_CI_PYTHON"'],
        "needs": [],
        "parallel": {"matrix": [{"PY_CI_PYTHON": ["3.11", "3.12"], "DJANGO": ["5.2", "6.0"]}]},
    },
    "coverage": {
        "stage": "test",
        "script": ["coverage"],
        "needs": [{"job": "test"}, {"job": "more", "optional": True}],
    },
    "build-image": {"stage": "build", "script": ["buildah"], "needs": ["build"]},
    "sign": {"stage": "sign", "script": ["cosign"], "dependencies": ["build"], "id_tokens": {"TOKEN": {"aud": "me"}}},
    "publish": {"stage": "publish", "script": ["uv publish"]},
    "notes": {"stage": "publish", "script": ["echo"], "needs": ["build"]},
}
MATRIX = [f"test: [{python},{django}]" for python in ("3.11", "3.12") for django in ("5.2", "6.0")]
RUNNING = ["publish", "notes", *MATRIX, "coverage", "build", "build-image", "sign"]


def plan(*wanted: str, missing: tuple[str, ...] = (), running: list[str] = RUNNING) -> Plan:
    """Plan the pipeline above for a branch."""
    return make_plan(PIPELINE, running, missing, wanted, "branch")


def test_what_has_no_registry_or_token_is_left_out_and_nothing_unsigned_is_published() -> None:
    made = plan()
    assert list(made.jobs) == ["build", *MATRIX, "coverage", "notes"]
    assert made.stages == ["build", "test", "publish"]
    assert made.left_out == {
        "build-image": "no container registry on this machine",
        "sign": "no identity token, which GitLab gives",
        "publish": "comes after sign",
    }
    assert grouped(made.left_out)[0] == "left out, no container registry on this machine: build-image"


def test_the_jobs_of_a_missing_python_are_left_out_of_the_matrix() -> None:
    made = plan(missing=("3.12",))
    assert [name for name in made.jobs if name.startswith("test")] == MATRIX[:2]
    assert made.pipeline["test"]["parallel"]["matrix"] == [
        {"PY_CI_PYTHON": ["3.11"], "DJANGO": ["5.2"]},
        {"PY_CI_PYTHON": ["3.11"], "DJANGO": ["6.0"]},
    ]
    assert made.needs["coverage"] == MATRIX[:2]
    assert made.left_out[MATRIX[2]] == "no Python 3.12 on this machine (--pythons download)"


def test_what_needs_only_jobs_that_are_left_out_is_left_out_too() -> None:
    made = plan(missing=("3.11", "3.12"))
    assert made.left_out["coverage"] == f"comes after {MATRIX[0]}"
    assert "test" not in made.pipeline


def test_a_job_is_run_with_what_it_needs() -> None:
    assert list(plan("coverage").jobs) == [*MATRIX, "coverage"]
    assert list(plan(MATRIX[1]).jobs) == [MATRIX[1]]
    assert list(plan("notes", MATRIX[0]).jobs) == ["build", MATRIX[0], "notes"]
    # It names none, and waits for all that are earlier.
    assert list(plan("publish", running=["publish", "build"]).jobs) == ["build", "publish"]
    assert list(plan("sign").jobs) == ["build", *MATRIX, "coverage"]
    assert plan("sign").left_out.keys() == {"build-image", "sign"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tset", "There is no job tset. The jobs are build."),
        ("test: [3.9]", "There is no job test: [3.9]. The jobs are build."),
        ("sign", "The job sign does not run for this event: branch."),
    ],
)
def test_a_job_that_there_is_not(name: str, said: str) -> None:
    with pytest.raises(UnknownJobError, match=re.escape(said)):
        plan(name, running=["build"])


def test_the_graph_as_text() -> None:
    assert drawing(plan("coverage", "publish", running=[MATRIX[0], "coverage", "build", "publish"])).splitlines() == [
        "build",
        "└─ build             at once",
        "test",
        "├─ test: [3.11,5.2]  at once",
        "└─ coverage          after test: [3.11,5.2]",
        "publish",
        "└─ publish           after all earlier stages",
    ]


def test_the_pipeline_of_the_template_is_planned_whole(expander: Expander) -> None:
    written = render_file(".gitlab-ci.yml", {**DEFAULTS, "signing": "key"})
    pipeline, running = load(expander.preview(written)), expander.jobs(written, "tag")
    made = make_plan(pipeline, running, ["3.11"], [], "tag")
    lint = "no Python 3.11 on this machine (--pythons download)"
    # The job itself is for the Python that the machine lacks, but preflight takes any.
    assert made.left_out["lint"] == lint
    assert made.left_out["digests"] == "comes after build"
    assert "preflight" in made.jobs
    whole = make_plan(pipeline, running, [], [], "tag")
    assert set(whole.left_out.values()) == {"no container registry on this machine"}
    assert whole.pipeline["release"]["dependencies"] == ["publish-signatures", "publish-gitlab"]
    assert len(whole.jobs) == len(running) - 6


def test_the_critical_path_is_what_the_end_waited_for() -> None:
    before = {"c": ["a", "b"], "d": ["a"], "e": ["c", "d", "never ran"]}
    times = {"a": (0.0, 3.0), "b": (0.0, 5.0), "c": (5.0, 6.0), "d": (3.0, 7.0), "e": (7.0, 8.0), "alone": (0.0, 7.5)}
    assert critical_path(times, before) == ["a", "d", "e"]
    assert critical_path({**times, "alone": (0.0, 9.0)}, before) == ["alone"]
    assert critical_path({}, before) == []


def test_the_graph_has_a_place_for_each_job() -> None:
    made = plan("coverage", "publish", running=[*MATRIX, "coverage", "build", "publish"])
    run = a_run(made, Progress(made.jobs), Results())
    drawn = graph(run)
    places = {node["name"]: (node["x"], node["y"]) for node in drawn["nodes"]}
    assert places.keys() == made.jobs.keys()
    assert len(set(places.values())) == len(places)
    assert places["coverage"][0] > places[MATRIX[0]][0]
    assert len(drawn["edges"]) == 4
    assert len(drawn["arrows"]) == 1
    assert shortened("a-job-with-a-long-name") == "a-job-with-a-long…"


LINES = """\
test: [3.11]  starting shell (test)
test          starting shell (test)
test: [3.11]  $ if [ -e "$GITLAB_CI_LOCAL_STATE/settings-all.sh" ]; then . x; fi
test: [3.11]  $ REMEDY="Fix it"
test: [3.11]  $ pytest
test: [3.11]  > \x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 10%\r100%
test: [3.11]  >
test: [3.11]  > test finished in 1 s  FAIL 1
test          finished in 1.5 s  FAIL 2
test: [3.11]  finished in 3 min
 PASS  test: [3.11]
"""


def test_lines_of_the_runner_are_read() -> None:
    # What is masked may be a word that is in the name of a job too.
    jobs = dict.fromkeys(("test", "test: [3.11]", "after"), "test")
    progress = Progress(jobs, lambda text: text.replace("pytest", "X").replace("test", "Y"))
    said = [changed for line in LINES.split("\n") if (changed := progress.feed(line))]
    assert [re.sub(r"[\d.]+ s", "N s", line) for line in said] == [
        "test: [3.11]: started",
        "test: started",
        "test: failed, N s",
        "test: [3.11]: passed, N s",
    ]
    progress.close()
    assert progress.jobs["test: [3.11]"].log == ["$ X", "100%", "", "Y finished in 1 s  FAIL 1"]
    assert {name: job.status for name, job in progress.jobs.items()} == {
        "test": "failed",
        "test: [3.11]": "passed",
        "after": "skipped",
    }
    assert progress.failed == ["test"]
    assert re.fullmatch(r"after +skipped", progress.text.splitlines()[-1])
    assert "REMEDY" not in "\n".join(progress.output)


def test_what_a_terminal_would_act_on_is_taken_out_of_a_line() -> None:
    assert clean("a\x1b[2J\x1b[31mb\x1b[0m\x07\x08c\x1bPq\x1b\\d\x9be\u202ef\tg\n") == "abcdef  g"


def test_the_table_shows_what_a_job_says_as_it_is() -> None:
    progress = Progress({"[red]job": "test"})
    progress.feed("[red]job starting shell (test)")
    progress.feed("[red]job > [bold]text[/bold]")
    console = Console(width=80, record=True, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(progress)
    shown = console.export_text()
    assert "[red]job" in shown
    assert "[bold]text[/bold]" in shown
    assert "running" in shown
    progress.close(interrupted=True)
    console.print(progress.table())
    assert "interrupted" in console.export_svg(title="py-ci-pipeline")


def test_secrets_are_masked_line_by_line() -> None:
    mask = masking(
        ["sec.ret-1234", "short", "-----BEGIN KEY-----\nabcdefgh\n\n-----END KEY-----", "sec.ret-1234-and-more"]
    )
    assert mask("a sec.ret-1234-and-more b sec.ret-1234 short abcdefgh secxret-1234") == (
        "a [MASKED] b [MASKED] short [MASKED] secxret-1234"
    )
    assert masking([])("x") == "x"


def a_run(made: Plan, progress: Progress, results: Results) -> Run:
    """Return a run for a page."""
    return Run(
        "my-service", "branch", "commit 1234567", "2026-11-29", "failed", 1.5, made, progress, results, ["A note."]
    )


def test_the_page_shows_what_is_hostile_as_text_and_masks_secrets() -> None:
    hostile = "<script>alert('swordfish')</script>"
    made = make_plan({"stages": ["test"], hostile: {"script": ["x"], "stage": "test"}}, [hostile], [], [], "branch")
    progress = Progress(made.jobs)
    progress.feed(f"{hostile} starting shell (test)")
    progress.feed(f"{hostile} > {hostile} STYLE")
    results = Results(
        tests={hostile: [Case(hostile, hostile, 0.5, "failed", hostile)]},
        sources=[Source(hostile, [(hostile, 0)], 1, [1])],
        findings=[{"severity": hostile, "path": hostile, "line": 1, "description": hostile}],
        bill={hostile: hostile},
        unread=[hostile],
    )
    progress.close()
    page = render(a_run(made, progress, results), {hostile: Path("/x")}, masking(["swordfish"]))
    assert "<script" not in page
    assert "swordfish" not in page
    assert page.count("&lt;script&gt;alert(&#39;[MASKED]&#39;)&lt;/script&gt;") > 10
    assert not re.search(r"\son\w+=|style=|javascript:|https?:", page)
    assert "default-src 'none'; style-src 'sha256-" in page


def test_lines_around_those_that_no_test_reaches_are_shown() -> None:
    source = Source("a.py", [(f"line {number}", 1) for number in range(1, 21)], 20, [10])
    assert [number for number, *_ in excerpt(source)] == [0, *range(6, 15), 0]
    assert len(excerpt(Source("a.py", source.lines, 20, []))) == 20
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"


def test_a_report_that_is_none_spoils_no_other(tmp_path: Path) -> None:
    pipeline = {
        "test": {
            "script": [],
            "artifacts": {
                "reports": {
                    "junit": ["junit.xml", "/etc/passwd", "../x.xml"],
                    "codequality": "quality.json",
                    "cyclonedx": ["a.json", "b.json"],
                    "coverage_report": {"coverage_format": "jacoco"},
                }
            },
        }
    }
    folder = tmp_path / "test"
    folder.mkdir()
    (folder / "junit.xml").write_text("<testsuite>", encoding="utf-8")
    (folder / "quality.json").write_text("[{}]", encoding="utf-8")
    (folder / "a.json").write_text("[]", encoding="utf-8")
    (folder / "b.json").write_text(json.dumps({"components": [{"name": "idna"}]}), encoding="utf-8")
    found = read(tmp_path, tmp_path, pipeline, ["test"])
    assert [line.split(":")[1].strip() for line in found.unread] == ["junit.xml", "quality.json", "a.json"]
    assert found.bill == {"idna": ""}


def test_a_command_line_that_cannot_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(["--event", "push"])
    assert ended.value.code == 2
    assert "invalid choice: 'push'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        arguments(["--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "exit codes: 0, all jobs passed; 1, a job failed; 2, the pipeline could not run; 130, it was" in printed


def imported_by(module: str) -> set[str]:
    """Return the modules of this repository that importing a module runs, itself among them."""
    found, left = set(), [module]
    while left:
        name = left.pop()
        file = ROOT / f"{name.replace('.', '/')}.py"
        if name in found or not file.exists():
            continue
        found.add(name)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tools"):
                left += [str(node.module), *(f"{node.module}.{each.name}" for each in node.names)]
    return found


def test_the_package_has_the_modules_that_its_programs_need_and_no_others() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    programs = [target.partition(":")[0] for target in settings["project"]["scripts"].values()]
    packages = settings["tool"]["setuptools"]["packages"]
    imported = set().union(*map(imported_by, programs))
    assert all(program.rpartition(".")[0] in packages for program in programs)
    needed = {name for name in imported if name.rpartition(".")[0] not in packages}
    assert sorted(needed) == settings["tool"]["setuptools"]["py-modules"]
    assert settings["project"]["version"] == DECLARED["_component_version"]
    # What a person gets is what the tests run with, or a newer one.
    needed_by_programs = [*settings["project"]["dependencies"], *settings["project"]["optional-dependencies"]["fleet"]]
    names = {re.split("[<>=]", each)[0] for each in needed_by_programs}
    pinned = {each.partition("==")[0] for each in settings["dependency-groups"]["tests"] if isinstance(each, str)}
    assert names <= pinned


def test_what_a_job_is_called_reaches_no_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    name = "evil\x1b[2J\x07"
    made = make_plan({"stages": ["test"], name: {"script": ["x"]}}, [name], [], [], "branch")
    progress = Progress(made.jobs)
    with shown(progress, Console(), plain=True) as watch:
        watch(f"{name} starting shell (test)\n")
        watch(f"{name} > text\n")
        watch(f"{name} finished in 1 s  FAIL 1\n")
    print_end(progress, Console(), True, {name: "x.log"})
    print_end(progress, Console(force_terminal=True, color_system=None), False, {name: "x.log"})
    say(Console(), drawing(made))
    printed = capsys.readouterr().out
    assert "\x07" not in printed
    assert "\x1b[2J" not in printed
    assert printed.count("evil") == 7


def test_the_jobs_that_want_a_container_registry_are_those_of_a_service() -> None:
    """The package of the tool has not the file that says so."""
    assert OWNED["kind", "service"].jobs == IMAGE_JOBS


def bundle_of(private: EllipticCurvePrivateKey, content: bytes, *, attested: bool) -> dict[str, Any]:
    """Return a bundle as Cosign makes one with a key."""

    def sign(data: bytes) -> str:
        return base64.b64encode(private.sign(data, ECDSA(SHA256()))).decode()

    if not attested:
        return {"messageSignature": {"signature": sign(content)}}
    kind = b"application/vnd.in-toto+json"
    payload = json.dumps({"subject": [{"digest": {"sha256": hashlib.sha256(content).hexdigest()}}]}).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    envelope = {"payloadType": kind.decode(), "payload": base64.b64encode(payload).decode()}
    return {"dsseEnvelope": {**envelope, "signatures": [{"sig": sign(signed)}]}}


@pytest.mark.parametrize("attested", [False, True])
@given(content=st.binary(max_size=20), other=st.binary(max_size=20), data=st.data())
def test_only_a_signature_that_holds_is_shown(
    attested: bool, content: bytes, other: bytes, data: st.DataObject
) -> None:
    private, stranger = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    bundle = json.dumps(bundle_of(private, content, attested=attested)).encode()
    assert signs(public, bundle, content)
    assert signs(public, bundle, other) == (other == content)
    assert not signs(public, json.dumps(bundle_of(stranger, content, attested=attested)).encode(), content)
    cut = data.draw(st.integers(0, len(bundle) - 1))
    for odd in (b"", b"{}", b"[]", other, bundle[:cut], b'{"messageSignature": {"signature": ""}}'):
        assert not signs(public, odd, content)
    assert not signs("", bundle, content)
