"""Every way to make a project with the template, and to make it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import local_extensions
from tools.commands import run
from tools.options import DECLARED, DEFAULTS, ROOT
from tools.samples.baked import BakedProject
from tools.template import tagged_copy

REFUSED = "The project was not made. Please change:"
GO_ON = "This asks again, and the Enter key keeps what was good:"
# All answers, as the Enter key would give them.
ANSWERS: dict[str, Any] = {
    **{name: value for name, value in DECLARED.items() if not name.startswith("_")},
    **DEFAULTS,
    "project_slug": "my-service",
    "package_name": "my_service",
    # Where git knows nobody.
    "author_name": "Your Name",
    "author_email": "you@example.com",
    "gitlab_host": "gitlab.com",
    "gitlab_namespace": "your-group",
}
VERSION = DECLARED["_component_version"]
# The Enter key, for each question.
ENTER = "\n" * len([name for name in DECLARED if not name.startswith("_")])
COOKIECUTTER = (sys.executable, "-m", "cookiecutter")
CRUFT = (sys.executable, "-m", "cruft")


def made_in(folder: Path, slug: str = "my-service") -> BakedProject:
    """Return the project of a folder."""
    return BakedProject(folder / slug, DEFAULTS)


def contents(project: BakedProject) -> dict[str, str]:
    """Return the text of every file but the link to the template."""
    return {name: project.read(name) for name in project.files - {".cruft.json"}}


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, str]:
    """The files of the default project."""
    run(*COOKIECUTTER, ROOT, "--no-input", "--output-dir", tmp_path / "expected")
    return contents(made_in(tmp_path / "expected"))


def test_from_a_folder_with_relative_paths(expected: dict[str, str], tmp_path: Path) -> None:
    relative = os.path.relpath(ROOT, tmp_path)
    run(*COOKIECUTTER, relative, "--no-input", cwd=tmp_path)
    assert contents(made_in(tmp_path)) == expected


def test_from_a_git_address_at_a_tag(template_repository: Path, tmp_path: Path) -> None:
    address = template_repository.as_uri()
    run(*COOKIECUTTER, f"git+{address}", "--checkout", VERSION, "--no-input", cwd=tmp_path)
    link = json.loads(made_in(tmp_path).read(".cruft.json"))
    assert link["template"] == address
    assert link["checkout"] == VERSION
    assert link["commit"] == run("git", "rev-parse", VERSION, cwd=template_repository).strip()


def test_typed_with_the_enter_key_alone(expected: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*COOKIECUTTER, ROOT], cwd=tmp_path, input=ENTER, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert contents(made_in(tmp_path)) == expected
    shown = ("Name of the project (My Service)", "1 - MIT: short and permissive", "Add a pre-commit configuration")
    for prompt in shown:
        assert prompt in done.stdout
    asked = [name for name in DECLARED if not name.startswith("_")]
    assert not [name for name in asked if f"] {name}" in done.stdout], "a question is not in words"


def test_replayed(tmp_path: Path) -> None:
    run(*COOKIECUTTER, ROOT, "--no-input", "--output-dir", tmp_path / "first", "project_name=Again", "kind=command")
    run(*COOKIECUTTER, ROOT, "--replay", "--output-dir", tmp_path / "second")
    first, second = (made_in(tmp_path / folder, "again") for folder in ("first", "second"))
    assert contents(first) == contents(second)
    assert "Dockerfile" not in second.files


def test_by_cruft(template_repository: Path, expected: dict[str, str], tmp_path: Path) -> None:
    run(*CRUFT, "create", template_repository, "--output-dir", tmp_path, "--no-input")
    project = made_in(tmp_path)
    assert contents(project) == expected
    assert json.loads(project.read(".cruft.json"))["template"] == str(template_repository)
    project.run(*CRUFT, "check")


def test_again_over_itself_with_a_switch_turned_off(tmp_path: Path) -> None:
    command = (*COOKIECUTTER, ROOT, "--no-input", "--overwrite-if-exists", "--output-dir", tmp_path)
    run(*command)
    first = contents(made_in(tmp_path))
    run(*command)
    assert contents(made_in(tmp_path)) == first
    run(*command, "kind=command", "pre_commit=no")
    images = ("build-image", "sbom-image", "digests-image", "sign-image", "verify-image", "publish-image")
    assert first.keys() - contents(made_in(tmp_path)).keys() == {
        "Dockerfile",
        ".dockerignore",
        ".pre-commit-config.yaml",
        *(f".gitlab/ci/{name}.yml" for name in images),
    }
    run(*command, "kind=library")
    package = {name for name in contents(made_in(tmp_path)) if name.startswith(("src/", "tests/"))}
    modules = {"src/my_service/__init__.py", "src/my_service/greeting.py", "src/my_service/py.typed"}
    assert package == modules | {"tests/__init__.py", "tests/test_greeting.py"}
    run(*command, "pipeline=components")
    assert not [name for name in contents(made_in(tmp_path)) if name.startswith(".gitlab/ci/")]
    run(*command)
    assert contents(made_in(tmp_path)) == first


@pytest.mark.parametrize("way", ["cookiecutter", "cruft"])
def test_components_come_from_where_the_template_came_from(way: str, tmp_path: Path) -> None:
    template = tagged_copy(tmp_path / "py-ci-template")
    run("git", "remote", "add", "origin", "https://ada:secret@gitlab.example.org/platform/ci.git", cwd=template)
    answer = "pipeline=components"
    if way == "cookiecutter":
        printed = run(*COOKIECUTTER, template, "--no-input", answer, cwd=tmp_path)
    else:
        context = json.dumps({"pipeline": "components"})
        printed = run(*CRUFT, "create", template, "--no-input", "--extra-context", context, cwd=tmp_path)
    pipeline = made_in(tmp_path).read(".gitlab-ci.yml")
    assert f"  - component: $CI_SERVER_FQDN/platform/ci/lint@{VERSION}\n" in pipeline
    assert "names no project" not in printed
    # Where that is nowhere.
    run("git", "remote", "remove", "origin", cwd=template)
    printed = run(*COOKIECUTTER, template, "--no-input", "--output-dir", tmp_path / "again", answer, cwd=tmp_path)
    assert "in .gitlab-ci.yml, write in place of org/py-ci-template the project on gitlab.com" in printed
    assert "$CI_SERVER_FQDN/org/py-ci-template/lint@" in made_in(tmp_path / "again").read(".gitlab-ci.yml")


def test_a_refusal_is_short_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COOKIECUTTER, ROOT, "--no-input", "project_name=Class", "author_email=me", "python_version=3.9"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("  - ")] == [
        "  - package_name 'class' is a Python keyword; choose another, such as \"class_app\".",
        "  - author_email 'me' is not an email address; use one such as \"team@example.com\".",
        "  - python_version '3.9' is not supported; choose one of 3.11, 3.12, 3.13, 3.14, 3.15.",
    ]
    assert lines[0] == REFUSED
    assert len(lines) == 5


def in_file(folder: Path, name: str, text: str) -> Path:
    """Return a new file with a text, beside the folder where the project is to be."""
    (folder.parent / name).write_text(text, encoding="utf-8")
    return folder.parent / name


def configured(folder: Path, answers: str) -> list[str | Path]:
    """Return the command that takes a person's settings, with these answers as YAML, for defaults."""
    text = f"replay_dir: {folder.parent}/replay\ndefault_context:\n  {answers}\n"
    return [*COOKIECUTTER, ROOT, "--config-file", in_file(folder, "config.yaml", text)]


def replaying(folder: Path, answers: dict[str, Any]) -> list[str | Path]:
    """Return the command that reads all answers from a file."""
    file = in_file(folder, "answers.json", json.dumps({"cookiecutter": answers}))
    return [*COOKIECUTTER, ROOT, "--replay-file", file]


def tried(folder: Path, command: list[str | Path], typed: str = "") -> tuple[int, list[str]]:
    """Run a command in a folder; return its exit status and the lines that it printed."""
    done = subprocess.run(
        command, cwd=folder, input=typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    return done.returncode, done.stdout.splitlines()


def refusal(folder: Path, command: list[str | Path], typed: str = "") -> list[str]:
    """Return why a command made no project; require that this is the last thing it says, and that it left nothing."""
    around = folder.parents[1]
    before = {*around.rglob("*"), folder.parent / "replay", folder.parent / "replay" / f"{ROOT.name}.json"}
    status, lines = tried(folder, command, typed)
    assert status == 1
    assert not set(around.rglob("*")) - before
    assert not [line for line in lines if line.startswith("Traceback")]
    # A question stands before it where there is no echo of the Enter key.
    (start,) = (number for number, line in enumerate(lines) if line.endswith(REFUSED))
    problems = [line for line in lines[start + 1 :] if line.startswith("  - ")]
    explained, *after = lines[start + 1 + len(problems) :]
    assert explained.startswith("See ")
    assert explained.endswith("docs/troubleshooting.md#answers")
    # Who was asked gets a command that goes on; nobody else has answered anything yet.
    nobody = {"--no-input", "--replay-file"} & set(map(str, command))
    assert after[:2] == ([] if nobody else ["", GO_ON])
    return problems


def command_after(lines: list[str]) -> str:
    """Return the command that goes on from a refusal."""
    return lines[lines.index(GO_ON) + 2].strip()


# What a shell would read otherwise, and what the engine would.
ODD = {
    "project_name": 'It\'s "3" $HOME `x` \\ one',
    "project_description": "100% & <b> #1: ünïcödé",
    "license": "4",
    "pre_commit": "n",
}


@pytest.mark.parametrize("way", ["program", "module", "cruft"])
def test_a_refusal_says_how_to_go_on_without_typing_all_again(
    way: str, template_repository: Path, folder: Path
) -> None:
    programs = Path(sys.executable).parent
    commands: dict[str, list[str | Path]] = {
        "program": [programs / "cookiecutter", ROOT, "--output-dir", folder, "project_slug=-on-the-command-line-"],
        "module": [*COOKIECUTTER, ROOT, "-o", folder, "_component_version=9.9.9"],
        "cruft": [programs / "cruft", "create", template_repository.as_uri(), "--output-dir", folder],
    }
    typed = {**ODD, "project_slug": "-bad-", "author_email": "not one"}
    questions = [name for name in DECLARED if not name.startswith("_")]
    status, lines = tried(folder, commands[way], "".join(f"{typed.get(name, '')}\n" for name in questions))
    assert status == 1
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    again = {"project_slug": "good", "author_email": "ada@example.com"}
    run_again = subprocess.run(
        ["sh", "-c", command_after(lines)],
        cwd=folder,
        env=env,
        input="".join(f"{again.get(name, '')}\n" for name in questions),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert run_again.returncode == 0, run_again.stdout
    answers = json.loads(made_in(folder, "good").read(".cruft.json"))["context"]["cookiecutter"]
    expected = {**ODD, **again, "license": "GPL-3.0-or-later", "pre_commit": False, "package_name": "good"}
    assert {name: answers[name] for name in expected} == expected


def test_a_refusal_shows_no_password(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cookiecutter", "https://ada:secret@gitlab.example.org/x.git?token=secret"])
    command = local_extensions.command_to_go_on({"project_name": "x"}, ["project_name"])
    assert command == "cookiecutter https://gitlab.example.org/x.git project_name=x"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in folders, where the project is to be."""
    made = tmp_path / "a" / "b"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize("slug", ["../x", "../../x", "a/b/c", pytest.param("x" * 300, id="300")])
@pytest.mark.parametrize("way", ["typed", "command line", "configuration", "replay", "cruft"])
def test_a_slug_that_cannot_be_a_folder_makes_nothing_anywhere(
    way: str, slug: str, template_repository: Path, folder: Path
) -> None:
    commands: dict[str, list[str | Path]] = {
        "typed": [*COOKIECUTTER, ROOT],
        "command line": [*COOKIECUTTER, ROOT, "--no-input", f"project_slug={slug}"],
        "configuration": [*configured(folder, f"project_slug: {slug}"), "--no-input"],
        "replay": replaying(folder, {**ANSWERS, "project_slug": slug}),
        "cruft": [
            *CRUFT,
            "create",
            template_repository,
            "--no-input",
            "--extra-context",
            f'{{"project_slug": "{slug}"}}',
        ],
    }
    line, *more = refusal(folder, commands[way], f"\n{slug}\nx{ENTER}")
    assert line.startswith("  - project_slug ")
    assert all(line.startswith("  - package_name ") for line in more)


@pytest.mark.parametrize("slug", ["a\\b", ".", "..", "con", "", "-x"])
def test_a_slug_that_no_system_should_have_as_a_folder_makes_nothing(slug: str, folder: Path) -> None:
    command: list[str | Path] = [*COOKIECUTTER, ROOT, "--no-input", f"project_slug={slug}", "package_name=x"]
    (line,) = refusal(folder, command)
    assert line.startswith("  - project_slug ")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"signing": "maybe"}, "signing 'maybe' is not supported; choose one of keyless, key, none."),
        ({"pre_commit": "maybe"}, "pre_commit 'maybe' is not supported; choose one of yes, no."),
        ({"pre_commit": None}, "pre_commit null is not supported; choose one of yes, no."),
        ({"project_slug": None}, "project_slug null is not text; write it in quotes."),
        ({"project_slug": ["a"]}, 'project_slug ["a"] is not text; write it in quotes.'),
        ({"project_description": 5}, "project_description 5 is not text; write it in quotes."),
        ({"author_name": {"a": "b"}}, 'author_name {"a": "b"} is not text; write it in quotes.'),
        (
            {"author_name": "\ud83d"},
            "author_name '\\ud83d' has a character that is not valid Unicode text; type it again.",
        ),
    ],
)
def test_what_no_question_would_take_is_refused_in_a_replay_file(
    answer: dict[str, Any], line: str, folder: Path
) -> None:
    assert refusal(folder, replaying(folder, {**ANSWERS, **answer})) == [f"  - {line}"]


def test_an_answer_that_a_replay_file_does_not_have_is_asked_for(folder: Path) -> None:
    kept = {name: value for name, value in ANSWERS.items() if name not in ("author_name", "pre_commit")}
    status, lines = tried(folder, replaying(folder, {**kept, "author_email": "ada@example.com"}), "Ada\nno\n")
    assert status == 0, lines
    project = made_in(folder)
    assert project.pyproject["project"]["authors"] == [{"name": "Ada", "email": "ada@example.com"}]
    assert ".pre-commit-config.yaml" not in project.files


def test_an_empty_replay_file_asks_for_everything(folder: Path) -> None:
    status, lines = tried(folder, replaying(folder, {}), ENTER)
    assert status == 0, lines
    assert (folder / "my-service").is_dir()


def test_a_name_that_would_follow_from_a_replayed_one_is_asked_for(folder: Path) -> None:
    lines = refusal(folder, replaying(folder, {"project_name": "Again", "_python_versions": ["3.11"]}), ENTER)
    assert [line.split()[1:4] for line in lines] == [
        ["project_slug", "''", "is"],
        ["package_name", "''", "is"],
        ["python_version", "''", "is"],
    ]


def test_a_refused_answer_that_is_mended_in_the_replay_file_is_mended_everywhere(folder: Path) -> None:
    command = configured(folder, "{}")
    assert refusal(folder, [*command, "--no-input", "project_slug=Bad_Name", "package_name=corrected"])
    (file,) = (folder.parent / "replay").iterdir()
    file.write_text(file.read_text(encoding="utf-8").replace("Bad_Name", "corrected"), encoding="utf-8")
    status, lines = tried(folder, [*command, "--replay"])
    assert status == 0, lines
    assert "  git remote add origin https://gitlab.com/your-group/corrected.git" in lines
    corrected = made_in(folder, "corrected")
    urls = corrected.pyproject["project"]["urls"]
    assert urls["Homepage"] == "https://gitlab.com/your-group/corrected"
    assert not [
        name for name in corrected.files if "Bad_Name" in corrected.read(name) or "refused" in corrected.read(name)
    ]


@pytest.mark.parametrize("way", ["asked", "--no-input"])
def test_a_surrogate_pair_in_the_configuration_is_the_character(way: str, folder: Path) -> None:
    command = configured(folder, r'project_description: "\ud83d\ude00 is \u00e9"')
    status, lines = tried(folder, [*command, "--no-input"] if way == "--no-input" else command, ENTER)
    assert status == 0, lines
    assert made_in(folder).pyproject["project"]["description"] == "😀 is é"


@pytest.mark.parametrize("way", ["asked", "--no-input"])
def test_half_a_surrogate_pair_in_the_configuration_is_refused(way: str, folder: Path) -> None:
    command = configured(folder, r'project_description: "half \ud83d"')
    (line,) = refusal(folder, [*command, "--no-input"] if way == "--no-input" else command, ENTER)
    assert line.startswith("  - project_description 'half \\ufffd' has a character that is not valid Unicode text")


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        ("project_name: null", ["project_name"]),
        ("project_name: true", ["project_name"]),
        ("project_name: {a: b}", ["project_name", "project_slug", "package_name"]),
        ("project_slug: null", ["project_slug", "package_name"]),
        ("pre_commit: 3", ["pre_commit"]),
        ("pre_commit: null", ["pre_commit"]),
        ("pre_commit: [maybe]", ["pre_commit"]),
    ],
)
def test_what_is_no_answer_in_the_configuration_is_refused(answers: str, names: list[str], folder: Path) -> None:
    lines = refusal(folder, [*configured(folder, answers), "--no-input"])
    assert [line.split()[1] for line in lines] == names


@pytest.mark.parametrize("said", ["yes", "No", "0"])
def test_yes_and_no_can_be_said_as_the_engine_takes_them(said: str, template_repository: Path, folder: Path) -> None:
    commands: list[list[str | Path]] = [
        [*COOKIECUTTER, ROOT, "--no-input", f"pre_commit={said}"],
        [*configured(folder, f'pre_commit: "{said}"'), "--no-input"],
        [*CRUFT, "create", template_repository, "--no-input", "--extra-context", f'{{"pre_commit": "{said}"}}'],
        replaying(folder, {**ANSWERS, "pre_commit": said}),
    ]
    for number, command in enumerate(commands):
        (folder / str(number)).mkdir()
        status, lines = tried(folder / str(number), command)
        assert status == 0, lines
        project = made_in(folder / str(number))
        assert (".pre-commit-config.yaml" in project.files) == (said == "yes")
        assert ("pre-commit" in project.read("CONTRIBUTING.md")) == (said == "yes")
        assert json.loads(project.read(".cruft.json"))["context"]["cookiecutter"]["pre_commit"] is (said == "yes")


def test_the_engine_itself_refuses_a_choice_on_the_command_line(folder: Path) -> None:
    """It does so before it loads anything of the template; `docs/troubleshooting.md` says more."""
    status, lines = tried(folder, [*COOKIECUTTER, ROOT, "--no-input", "signing=maybe"])
    assert status == 1
    choices = DECLARED["signing"]
    assert lines[-1] == f"ValueError: maybe provided for choice variable signing, but the choices are {choices}."
    assert list(folder.iterdir()) == []


def test_what_is_neither_yes_nor_no_on_the_command_line_is_refused(folder: Path) -> None:
    status, lines = tried(folder, [*COOKIECUTTER, ROOT, "--no-input", "pre_commit=maybe"])
    assert status == 1
    # The engine has a word for it since 2.7; before that it is refused like any other answer.
    assert lines[-1] in (
        "ValueError: maybe provided for variable pre_commit could not be converted to a boolean.",
        "  - pre_commit 'maybe' is not supported; choose one of yes, no.",
    )
    assert list(folder.iterdir()) == []


def test_a_default_in_the_configuration_that_is_no_choice_is_named_and_not_taken(folder: Path) -> None:
    status, lines = tried(folder, [*configured(folder, "signing: maybe"), "--no-input"])
    assert status == 0
    assert any("maybe provided for choice variable signing, but the choices are" in line for line in lines)
    assert json.loads(made_in(folder).read(".cruft.json"))["context"]["cookiecutter"]["signing"] == "keyless"


def test_a_password_in_the_address_of_the_template_is_in_no_file(template_repository: Path, folder: Path) -> None:
    address = "https://user:p@ssphrase@gitlab.example.com/org/t.git"
    instead = ("-c", f"url.{template_repository.as_uri()}.insteadOf={address}")
    clone = folder.parent / "clone"
    run("git", *instead, "clone", "--quiet", address, clone)
    run(*COOKIECUTTER, clone, "--no-input", cwd=folder)
    project = made_in(folder)
    assert json.loads(project.read(".cruft.json"))["template"] == "https://gitlab.example.com/org/t.git"
    assert not [name for name in project.files if "ssphrase" in project.read(name)]


def test_a_refusal_over_a_project_leaves_it_as_it_was(tmp_path: Path) -> None:
    command = (*COOKIECUTTER, ROOT, "--no-input", "--overwrite-if-exists", "--output-dir", tmp_path)
    run(*command)
    before = contents(made_in(tmp_path))
    for answer in ("author_email=me", "project_slug=../my-service"):
        assert subprocess.run([*command, "kind=command", answer], capture_output=True, check=False).returncode == 1
        assert contents(made_in(tmp_path)) == before
        assert [path.name for path in tmp_path.iterdir()] == ["my-service"]


def test_a_project_that_exists_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "my-service").mkdir()
    (tmp_path / "my-service" / "README.md").write_text("Mine\n", encoding="utf-8")
    done = subprocess.run([*COOKIECUTTER, ROOT, "--no-input"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"already exists" in done.stdout
    assert [path.name for path in (tmp_path / "my-service").iterdir()] == ["README.md"]


def test_without_git_on_the_machine(tmp_path: Path) -> None:
    printed = run(*COOKIECUTTER, ROOT, "--no-input", cwd=tmp_path, env={**os.environ, "PATH": str(tmp_path)})
    assert "Git could not be run; install it first." in printed
    assert not (tmp_path / "my-service" / ".git").exists()
    assert (tmp_path / "my-service" / "pyproject.toml").exists()


def test_no_name_in_the_template_is_refused_by_windows() -> None:
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in names:
        for part in name.split("/"):
            assert not set(part) & set('<>:"\\|?*'), name
            assert not part.endswith((".", " ")), name
            assert part.partition(".")[0].lower() not in ("aux", "con", "nul", "prn"), name
        assert name.isascii(), name
