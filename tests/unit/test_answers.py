"""Hostile but ordinary answers: the result is a project that gives them back, or a refusal that leaves nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from click.testing import CliRunner
from cookiecutter.cli import main as cookiecutter_cli
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from answer_rules import problems
from tools.checks import check_dockerfile, check_python, check_text
from tools.options import DECLARED, DEFAULTS, ROOT, SWITCHES
from tools.samples.answers import JINJA, TEXTS
from tools.samples.baked import Bake, BakedProject

ASKED = [name for name in DECLARED if not name.startswith("_")]
GOOD = {
    "project_name": "My Service",
    "project_slug": "my-service",
    "package_name": "my_service",
    "project_description": "Greets people.",
    "author_name": "Ada",
    "author_email": "ada@example.com",
    "gitlab_host": "gitlab.com",
    "gitlab_namespace": "group",
    "python_version": "3.11",
}
FREE = ("project_name", "project_description", "author_name")
PRECISE = ("project_slug", "package_name", "author_email", "gitlab_host", "gitlab_namespace", "python_version")

thorough = settings(
    max_examples=60,
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    # An example is a whole generation: too slow to search for a smaller one that fails too.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Outcome:
    """What one call of Cookiecutter printed, and the project that it made, if any."""

    exit_code: int
    printed: str
    project: BakedProject | None


def generate(output: Path, answers: dict[str, str], way: str, capfd: pytest.CaptureFixture[str]) -> Outcome:
    """Run Cookiecutter's own command line; its hook is a process of its own."""
    command = ["--output-dir", str(output), str(ROOT)]
    if way == "typed":  # each answer on its line, the others with the Enter key
        lines = "".join(f"{answers.get(name, '')}\n" for name in ASKED)
    else:
        command += ["--no-input", *(f"{name}={answer}" for name, answer in answers.items())]
        lines = None
    capfd.readouterr()
    done = CliRunner().invoke(cookiecutter_cli, command, input=lines)
    captured = capfd.readouterr()
    made = list(output.iterdir())
    assert len(made) <= 1
    project = BakedProject(made[0], DEFAULTS) if made else None
    return Outcome(done.exit_code, done.output + captured.out + captured.err, project)


def check(answers: dict[str, str], way: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Generate a project; require that it gives the answers back, or that it was refused whole."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        output.mkdir()
        outcome = generate(output, answers, way, capfd)
        assert not list(Path(folder).rglob("pwned"))
        assert not Path("pwned").exists()
        if problems({**DECLARED, **DEFAULTS, **answers}, DECLARED):
            assert outcome.exit_code == 1
            assert outcome.project is None
            assert list(Path(folder).iterdir()) == [output]
            assert "The project was not made. Please change:" in outcome.printed
            assert "Traceback" not in outcome.printed
        else:
            assert outcome.exit_code == 0, outcome.printed
            assert outcome.project
            assert_gives_back(outcome.project, answers)
            for name in outcome.project.files:
                check_text(name, outcome.project.read(name))
            check_dockerfile(outcome.project)
            check_python(outcome.project)


def assert_gives_back(project: BakedProject, answers: dict[str, str]) -> None:
    """The metadata, and the page that people read, have each answer character for character."""
    metadata = project.pyproject["project"]
    assert metadata["name"] == answers["project_slug"]
    assert metadata["description"] == answers["project_description"]
    assert metadata["authors"] == [{"name": answers["author_name"], "email": answers["author_email"]}]
    assert metadata["urls"]["Homepage"] == "https://{gitlab_host}/{gitlab_namespace}/{project_slug}".format(**answers)
    assert metadata["scripts"] == {answers["project_slug"]: f"{answers['package_name']}.app:main"}
    assert answers["author_name"] in project.read("LICENSE")
    inlines = [token for token in MarkdownIt().parse(project.read("README.md")) if token.type == "inline"]
    for inline, name in ((inlines[0], "project_name"), (inlines[2], "project_description")):
        assert "".join(child.content for child in inline.children or ()) == answers[name]


def only(names: tuple[str, ...], texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    """Give some of the named answers as text, and good ones for the rest."""
    some = st.fixed_dictionaries({}, optional=dict.fromkeys(names, texts))
    return some.map(lambda answers: {**GOOD, **answers})


# The prompt reads a line, and strips it; an empty one is the default.
TYPED = TEXTS.map(lambda text: re.split(r"[\r\n]", text)[0].strip()).filter(bool)

# The engine itself renders what stands on its command line.
GIVEN = TEXTS.map(lambda text: re.sub(r"\{(?=[{%#])", "(", text))


@given(answers=only(FREE, TYPED | st.sampled_from(JINJA)))
@thorough
def test_typed_text_is_given_back_or_refused(answers: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    check(answers, "typed", capfd)


@given(answers=only(FREE, GIVEN))
@thorough
def test_text_on_the_command_line_is_given_back_or_refused(
    answers: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    check(answers, "command line", capfd)


@given(name=st.sampled_from(PRECISE), text=TYPED | st.sampled_from(JINJA))
@thorough
def test_hostile_names_and_addresses_that_are_typed_are_refused_or_work(
    name: str, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check({**GOOD, name: text}, "typed", capfd)


@given(name=st.sampled_from(PRECISE), text=GIVEN)
@thorough
def test_hostile_names_and_addresses_on_the_command_line_are_refused_or_work(
    name: str, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check({**GOOD, name: text}, "command line", capfd)


GOOD_NAMES = st.fixed_dictionaries(
    {
        "project_slug": st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True),
        "package_name": st.from_regex(r"[a-z][a-z0-9_]{0,49}", fullmatch=True),
        # The engine itself renders what stands on its command line.
        "author_email": st.emails().filter(lambda text: not re.search(r"\{[{%#]", text)),
        "gitlab_host": st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,20}){0,5}(:[0-9]{2,5})?(/[a-z]+)?", fullmatch=True),
        "gitlab_namespace": st.from_regex(r"[A-Za-z0-9_]{1,30}(/[A-Za-z0-9_.-]{1,30}){0,5}", fullmatch=True),
        "python_version": st.sampled_from(DECLARED["_python_versions"]),
    }
)


@given(answers=GOOD_NAMES)
@thorough
def test_ordinary_names_and_addresses_of_any_length_make_a_sound_project(
    answers: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    check({**GOOD, **answers}, "command line", capfd)


@pytest.mark.parametrize("jinja", JINJA)
def test_jinja_on_the_command_line_leaves_nothing_or_a_project(
    jinja: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The engine renders it before the answers are checked: its own word on it stands."""
    outcome = generate(tmp_path, {**GOOD, "author_name": jinja}, "command line", capfd)
    assert (outcome.exit_code == 0) == bool(outcome.project)


def values_of(document: object, names: set[str]) -> list[object]:
    """Return what a document has under some names, however deep."""
    if isinstance(document, list):
        return [value for item in document for value in values_of(item, names)]
    if not isinstance(document, dict):
        return []
    own = [value for key, value in document.items() if key in names]
    return own + [value for item in document.values() for value in values_of(item, names)]


@pytest.mark.parametrize("slug", ["null", "true", "no", "012", "0x10", "1e3", "2001-01-01"])
@pytest.mark.parametrize("pipeline", SWITCHES["pipeline"])
def test_a_name_that_yaml_reads_as_something_else_stays_a_name(slug: str, pipeline: str, bake: Bake) -> None:
    project = bake(project_slug=slug, package_name="app", pipeline=pipeline, signing="key")
    names = {"package_name", "program", "PY_CI_PACKAGE_NAME", "PY_CI_PROGRAM"}
    given = values_of(yaml.safe_load(project.read(".gitlab-ci.yml")), names)
    assert given == [slug] * 4
    assert {type(value) for value in given} == {str}
