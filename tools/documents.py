"""The documents of the template: the commands, links, names and tables in them."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tools.options import ROOT

SIGNING = (ROOT / "docs" / "signing.md").read_text(encoding="utf-8")
ADOPTING = (ROOT / "docs" / "adopting.md").read_text(encoding="utf-8")
IMAGE = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")
WORKSHOP = (ROOT / "docs" / "workshop.md").read_text(encoding="utf-8")


def block(document: str, before: str, language: str = "sh") -> str:
    """Return the first code block of a language after a text: shell commands, if not said otherwise."""
    found = re.search(rf"{re.escape(before)}.*?^( *)```{language}\n(.*?)^\1```$", document, re.MULTILINE | re.DOTALL)
    assert found, before
    return dedent(found[2])


def commands_of(markdown: str, heading: str, number: int = 0) -> str:
    """Return the shell commands of a code block below a heading, of the first one unless a number says which."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    assert found
    blocks: list[str] = re.findall(r"^```sh\n(.*?)^```$", found[1], re.MULTILINE | re.DOTALL)
    return blocks[number]


def tokens(document: str) -> list[Token]:
    """Read Markdown with tables, as GitLab does."""
    return MarkdownIt("commonmark").enable("table").parse(document)


def inline(document: str, kind: str) -> list[Token]:
    """Return what is of one kind in the lines of a document, such as `code_inline`."""
    return [child for token in tokens(document) for child in token.children or [] if child.type == kind]


def names(document: str) -> list[str]:
    """Return what a document shows as code within its lines."""
    return [token.content for token in inline(document, "code_inline")]


def anchors(document: str) -> list[str]:
    """Return the anchors of the headings, as GitLab makes them.

    https://docs.gitlab.com/user/markdown/#heading-ids-and-links
    """
    found: list[str] = []
    for opening, text in pairwise(tokens(document)):
        if opening.type == "heading_open":
            shown = "".join(child.content for child in text.children or [])
            anchor = re.sub(r"-{2,}", "-", re.sub(r"[^\w -]", "", shown.lower()).strip().replace(" ", "-"))
            before = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other) is not None for other in found)
            found.append(f"{anchor}-{before}" if before else anchor)
    return found


def tables(document: str) -> list[list[list[str]]]:
    """Return the cells of every table by row, as their Markdown; the first row is that of the headings."""
    found: list[list[list[str]]] = []
    for opening, text in pairwise(tokens(document)):
        if opening.type == "table_open":
            found.append([])
        elif opening.type == "tr_open":
            found[-1].append([])
        if opening.type in ("th_open", "td_open"):
            found[-1][-1].append(text.content)
    return found


def column(document: str, heading: str) -> list[str]:
    """Return the cells below a heading, of every table that has it."""
    return [row[table[0].index(heading)] for table in tables(document) if heading in table[0] for row in table[1:]]


def rows(document: str, first: str) -> dict[str, list[str]]:
    """Return the rows of every table whose first column has that heading, by what stands in it."""
    return {row[0].strip("`"): row[1:] for table in tables(document) if table[0][0] == first for row in table[1:]}


def page(name: str) -> str:
    """Return the text of a document, by its path."""
    return (ROOT / name).read_text(encoding="utf-8")


def linked(document: Path) -> list[str]:
    """Return where the links of a document lead."""
    return [str(token.attrs["href"]) for token in inline(document.read_text(encoding="utf-8"), "link_open")]
