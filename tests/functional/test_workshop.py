"""The workshop, walked through as its text says: what it shows is written, run, and compared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from tools.commands import commit_all
from tools.documents import WORKSHOP, block
from tools.requirements import find_program
from tools.stand_ins.images import HELPER, RELEASES, Podman, uv_image
from tools.template import tagged_copy

# A person has installed them; here the first is that of the clone.
PROGRAMS = {
    ".venv/bin/py-ci-pipeline": f"{sys.executable} -m tools.pipeline",
    ".venv/bin/": f"{sys.prefix}/bin/",
}


@dataclass
class Step:
    """What a participant does: `write` or `append` a file, `run` commands, or `check` what has come of them.

    `expected` is the output of a run that the document shows.
    """

    action: str
    text: str
    path: str = ""
    expected: str = ""


def read_exercises(document: str) -> dict[str, list[Step]]:
    """Return the steps of each exercise by its number, in the order of the document.

    A file is named at the end of the text before it; "Run it" is to run the pipeline as it was run last.
    """
    exercises: dict[str, list[Step]] = {"": []}
    steps, before, label, pipeline = exercises[""], "", "", ""
    for token in MarkdownIt().parse(document):
        if token.type == "inline":
            before = " ".join(token.content.split())
            label = (re.match(r"\*\*(.+?)\.\*\*", before) or [label, label])[1]
            if heading := re.match(r"(\d+)\. .+ \(\d+ minutes\)$", before):
                steps = exercises[heading[1]] = []
            elif re.search(r"\bRun it\b", before):
                steps.append(Step("run", pipeline))
        elif token.type == "fence":
            named = re.search(r"(Write|Add to the end of) `(\S+)`:$", before)
            if named:
                steps.append(Step("write" if named[1] == "Write" else "append", token.content, named[2]))
            elif token.info == "text":
                steps[-1].expected = token.content
            else:
                assert token.info == "sh", before
                steps.append(Step("check" if label == "Check" else "run", token.content))
                pipeline = token.content if "py-ci-pipeline" in token.content else pipeline
    del exercises[""]
    return exercises


EXERCISES = read_exercises(WORKSHOP)


def matches(expected: str, output: str) -> bool:
    """Tell whether lines stand in the output in their order, alone or after the name of a job; `...` is anything."""
    lines = iter(output.splitlines())
    for wanted in expected.splitlines():
        pattern = ".*".join(map(re.escape, wanted.split("...")))
        if not any(re.fullmatch(rf"(?:\S.* [>$] )?{pattern}\s*", line) for line in lines):
            return False
    return True


@dataclass
class Walk:
    """A participant, who has a clone with the workshop's folder beside it, and has tried some exercises.

    `pythons` are the versions that stand for those of the document.
    """

    clone: Path
    env: dict[str, str]
    pythons: dict[str, str] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)

    def here(self, text: str) -> str:
        """Return a text with the Pythons of this machine."""
        return re.sub(r"\b3\.1[13]\b", lambda shown: self.pythons.get(shown[0], shown[0]), text)

    def shell(self, commands: str) -> tuple[int, str]:
        """Run commands in the clone; return their exit status and all that they printed."""
        commands = self.here(commands)
        for shown, here in PROGRAMS.items():
            commands = commands.replace(shown, here)
        done = subprocess.run(
            ["bash", "-c", commands],
            cwd=self.clone,
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        return done.returncode, done.stdout

    def until(self, last: str) -> None:
        """Do the exercises up to one."""
        for number in EXERCISES:
            if int(number) <= int(last) and number not in self.tried:
                self.tried.append(number)
                self.exercise(number)

    def exercise(self, number: str) -> None:
        """Do an exercise, whose check fails before and passes after."""
        *steps, check = EXERCISES[number]
        assert check.action == "check"
        assert not self.passes(check)
        for step in steps:
            self.do(step)
        assert self.passes(check), self.shell(check.text)

    def do(self, step: Step) -> None:
        """Do a step; what is run fails where the document shows that it does, and only there."""
        if step.action == "run":
            log = self.clone.parent / "results" / "log.txt"
            log.unlink(missing_ok=True)
            status, output = self.shell(step.text)
            # The screen has no log of a job that passes.
            output = (log.read_text(encoding="utf-8") if log.exists() else "") + output
            assert (status == 0) == (" failed " not in step.expected), output
            assert matches(self.here(step.expected), output), output
            return
        path = self.clone.parent / "workshop" / step.path
        path.parent.mkdir(exist_ok=True)
        before = f"{path.read_text(encoding='utf-8')}\n\n" if step.action == "append" else ""
        path.write_text(before + self.here(step.text), encoding="utf-8")

    def passes(self, check: Step) -> bool:
        """Run a check; it prints `done`, or else what is missing."""
        status, output = self.shell(check.text)
        said = output.splitlines()[-1]
        assert (said == "done") == (status == 0)
        assert said == "done" or said.startswith("Missing: ")
        return status == 0


def begin(folder: Path, env: dict[str, str], pythons: dict[str, str]) -> Walk:
    """Do what the workshop says before its first exercise, as far as tests need it."""
    find_program("rsync", "apt install rsync")
    # Where the tool installs gitlab-ci-local.
    env = {**env, "XDG_CACHE_HOME": str(folder / "cache")}
    walk = Walk(tagged_copy(folder / "py-ci-template"), env, pythons)
    _, init = block(WORKSHOP, "## Set up").splitlines()
    assert walk.shell(init)[0] == 0
    return walk


@pytest.fixture(scope="module")
def walk(
    tmp_path_factory: pytest.TempPathFactory,
    gitlab_ci_local: str,
    cosign: Path,
    pythons: dict[str, Path],
    warm: dict[str, str],
) -> Walk:
    """A participant with a shell, whose Pythons are those of this machine."""
    folder = tmp_path_factory.mktemp("workshop")
    # Without two of them, uv fetches those of the document, as it does for a participant.
    shown = ["3.11", "3.13"]
    oldest, *_, newest = pythons if len(pythons) > 1 else shown
    # Where gitlab-ci-local finds what a person has set for all projects; it would take a path for the file.
    typed = {name: {"type": "variable", "values": {"*": value}} for name, value in warm.items()}
    home = folder / ".gitlab-ci-local" / "variables.yml"
    home.parent.mkdir()
    home.write_text(yaml.safe_dump({"global": typed}), encoding="utf-8")
    env = {"GCL_HOME": str(folder), "PATH": os.pathsep.join([str(cosign.parent), os.environ["PATH"]]), **warm}
    # Whoever takes part has told git who they are.
    env |= {f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    walk = begin(folder, env, dict(zip(shown, (oldest, newest), strict=True)))
    settings = walk.clone / "cookiecutter.json"
    declared = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps({**declared, "_python_versions": [oldest, newest]}), encoding="utf-8")
    commit_all(walk.clone, "For the Pythons of this machine")
    return walk


@pytest.mark.xdist_group("workshop")
@pytest.mark.parametrize("number", EXERCISES)
def test_an_exercise_leads_to_what_its_check_wants(number: str, walk: Walk) -> None:
    walk.until(number)


def test_a_container_for_each_python(tmp_path: Path, podman: Podman, gitlab_ci_local: str) -> None:
    env = {**podman.env, "GCL_HELPER_IMAGE": HELPER, "GCL_PULL_POLICY": "if-not-present"}
    walk = begin(tmp_path, env, {})
    *steps, check = EXERCISES["5"]
    for step in [*EXERCISES["1"][:2], *steps]:
        walk.do(replace(step, text=step.text.replace("--output ..", "--containers podman --output ..")))
    podman.remove_containers()
    assert walk.passes(check)
    log = (tmp_path / "results" / "log.txt").read_text(encoding="utf-8")
    assert all(uv_image(python) in log for python in RELEASES)


def test_the_workshop_takes_two_hours() -> None:
    assert sum(map(int, re.findall(r"^## .* \((\d+) minutes\)$", WORKSHOP, re.MULTILINE))) == 120
