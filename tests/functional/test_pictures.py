"""The pictures of the README are those of the template as it is."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from tools.commands import run
from tools.documents import inline, page
from tools.pictures import COMMAND, FOLDER, MADE_FOR, ask_questions, fingerprint, terminal, texts_of
from tools.samples.baked import Bake

OLD = f"it is not what there is now: run `{COMMAND}`"


def drawn(name: str) -> list[str]:
    """Return the texts of a picture."""
    return texts_of((FOLDER / name).read_text(encoding="utf-8"))


def test_the_questions_are_those_that_a_person_is_asked(tmp_path: Path) -> None:
    asked = ask_questions(tmp_path)
    title, *lines = drawn("questions.svg")
    assert lines == texts_of(terminal(title, Text.from_ansi(asked)))[1:], OLD
    assert str(tmp_path) not in asked


def test_the_jobs_are_those_of_a_release(bake: Bake, gitlab_ci_local: str) -> None:
    made = bake(signing="key")
    made.run("git", "add", "--all")
    listed = run("python", "-m", "tools.pipeline", made.path, "--event", "tag", "--list").splitlines()
    named = {line.partition("  ")[0].partition(": [")[0] for line in listed if "left out" not in line}
    assert {"sign", "verify", "release"} <= named
    assert named == {text.partition(": [")[0] for text in drawn("jobs.svg") if text.partition(": [")[0] in named}, OLD
    assert drawn("jobs.svg").count("passed") >= len(named), OLD


def test_the_page_is_made_as_it_is_now() -> None:
    assert b"tEXt" + MADE_FOR + b"\0" + fingerprint().encode() in (FOLDER / "page.png").read_bytes(), OLD


def test_the_readme_shows_every_picture_with_its_text() -> None:
    shown = {str(image.attrs["src"]): image.content for image in inline(page("README.md"), "image")}
    assert shown.keys() == {f"docs/pictures/{file.name}" for file in FOLDER.iterdir()}
    assert all(shown.values())


def test_a_picture_asks_nobody_for_anything_and_tells_nothing_of_the_machine() -> None:
    for file in FOLDER.glob("*.svg"):
        text = file.read_text(encoding="utf-8")
        assert "url(http" not in text
        assert "@font-face" not in text
        assert "/tmp" not in text  # noqa: S108
