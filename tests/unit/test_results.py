"""The page that shows where GitLab shows results, and its drawings as they are committed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from tools.components import component_names, jobs_of
from tools.documents import inline, page, tables
from tools.drawing import MARKS, WIDTH, Line, svg
from tools.reports import xml
from tools.results import FOLDER

RESULTS = page("docs/results.md")
DECLARED = {name: {*(jobs_of(name)[name].get("artifacts") or {}).get("reports", {})} for name in component_names()}


def test_the_reports_that_it_names_are_those_that_the_jobs_declare() -> None:
    named: dict[str, set[str]] = {}
    for _, job, report, *_ in (row for table in tables(RESULTS) if table[0][2:3] == ["report"] for row in table[1:]):
        for kind in re.findall(r"`artifacts:reports:(\w+)`", report):
            named.setdefault(job.strip("`"), set()).add(kind)
    # What hands variables on shows nowhere.
    assert named == {name: kinds for name, kinds in DECLARED.items() if kinds - {"dotenv"}}
    said = set(re.findall(r"artifacts:reports:(\w+)", RESULTS))
    assert said == set().union(*DECLARED.values())


def test_every_drawing_is_shown_with_its_text() -> None:
    shown = {str(image.attrs["src"]): image.content for image in inline(RESULTS, "image")}
    assert shown.keys() == {f"results/{file.name}" for file in FOLDER.iterdir()}
    assert all(shown.values())


def test_a_drawing_can_be_read_without_seeing_it() -> None:
    space = "{http://www.w3.org/2000/svg}"
    for file in FOLDER.iterdir():
        root = xml(file)
        assert root.attrib["aria-labelledby"] == "title desc"
        title, text = (root.findtext(f"{space}{name}") for name in ("title", "desc"))
        assert title
        assert text
        assert root.find(f"{space}rect[@width='{WIDTH}']") is not None, "it has a background of its own"


def test_a_line_keeps_what_it_says() -> None:
    lines = [Line('1 < 2 & "so"', mark, chips=((mark, "lint"),)) for mark in MARKS] + [Line("word " * 60)]
    drawn = ET.fromstring(svg("A & B", lines))  # noqa: S314
    texts = [element.text or "" for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count('1 < 2 & "so"') == len(MARKS)
    assert sum(text.split().count("word") for text in texts) == 60
    assert "lint (failed)" in (drawn.findtext("{http://www.w3.org/2000/svg}desc") or "")
