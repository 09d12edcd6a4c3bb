"""Draws panels as SVG: lines of text in boxes, with marks, chips and the bars of a diff.

A drawing has a background of its own, so it can be read in light and in dark mode, and a description of what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

WIDTH, MARGIN, PADDING, STEP = 820, 16, 12, 22
INK, MUTED, EDGE, PAPER, HEAD = "#1f1e24", "#57565c", "#c4c4ca", "#ffffff", "#f0f0f3"
# Signs as well as colours, which not everybody can tell apart.
MARKS = {"passed": ("#217645", "✓"), "failed": ("#c02f12", "✕"), "warning": ("#9d6e06", "!"), "skipped": (MUTED, "»")}
FILLS = {"added": "#e5f5e9", "removed": "#fbe7e3", "": "none"}
SANS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
# Pixels for a character: what the fonts take, and for proportional ones a little more than most.
CHARACTER = 7.9
BOLD = 8.4


@dataclass(frozen=True)
class Line:
    """A line of a box: `style` is `strong`, `muted` or `code`, `mark` a key of MARKS, `fill` one of FILLS.

    `bar` is the mark of a bar at the left, `chips` are texts side by side with their marks, `percent` is shown as a
    bar at the right.
    """

    text: str = ""
    mark: str = ""
    indent: int = 0
    style: str = ""
    fill: str = ""
    bar: str = ""
    chips: tuple[tuple[str, str], ...] = ()
    percent: float | None = None

    @property
    def words(self) -> str:
        """What it says, with the marks in words."""
        marked = [(self.mark if self.mark not in self.text else "", self.text), *self.chips]
        return ", ".join(f"{' '.join(text.split())}{f' ({mark})' if mark else ''}" for mark, text in marked if text)


Box = Sequence[Line]


def sign(mark: str, x: float, y: float) -> str:
    """Draw a mark around a point."""
    colour, character = MARKS[mark]
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="8" fill="{colour}"/>'
        f'<text x="{x:g}" y="{y + 4:g}" fill="{PAPER}" font-size="11" text-anchor="middle">{character}</text>'
    )


def words(text: str, x: float, y: float, style: str = "") -> str:
    """Draw a text whose middle is at a height."""
    font = {"strong": ' font-weight="600"', "code": f' font-family="{MONO}" font-size="13"'}.get(style, "")
    fill = f' fill="{MUTED}"' if style == "muted" else ""
    return f'<text x="{x:g}" y="{y + 5:g}"{font}{fill} xml:space="preserve">{escape(text)}</text>'


def row(line: Line, top: float) -> tuple[list[str], float]:
    """Draw a line below a height; return that of its end."""
    left = MARGIN + PADDING + 20 * line.indent
    start = left + (24 if line.mark else 0)
    parts: list[str] = []
    pieces = wrap(line.text, int((WIDTH - MARGIN - PADDING - start) / CHARACTER), drop_whitespace=False) or [""]
    bottom = top + STEP * len(pieces)
    if line.fill:
        box = f'x="{MARGIN + 1}" y="{top:g}" width="{WIDTH - 2 * MARGIN - 2}" height="{bottom - top:g}"'
        parts.append(f'<rect {box} fill="{FILLS[line.fill]}"/>')
    if line.bar:
        parts.append(
            f'<rect x="{MARGIN + 1}" y="{top:g}" width="6" height="{bottom - top:g}" fill="{MARKS[line.bar][0]}"/>'
        )
    if line.mark:
        parts.append(sign(line.mark, left + 8, top + STEP / 2))
    for number, piece in enumerate(pieces):
        if piece:
            parts.append(words(piece, start, top + STEP * (number + 0.5), line.style))
    if line.percent is not None:
        place = f'x="{WIDTH / 2:g}" y="{top + 4:g}" width="{3 * line.percent:g}" height="14"'
        parts.append(f'<rect {place} fill="{MARKS["passed"][0]}"/>')
    x = start + (len(line.text) * (BOLD if line.style == "strong" else CHARACTER) + 8 if line.text else 0)
    for mark, text in line.chips:
        width = len(text) * BOLD + (34 if mark else 16)
        parts.append(
            f'<rect x="{x:g}" y="{top + 1:g}" width="{width:g}" height="20" rx="10" fill="{HEAD}" stroke="{EDGE}"/>'
        )
        if mark:
            parts.append(sign(mark, x + 11, top + STEP / 2))
        parts.append(words(text, x + (24 if mark else 8), top + STEP / 2))
        x += width + 8
    return parts, bottom


def svg(title: str, *boxes: Box) -> str:
    """Return a drawing of boxes, one below the other, under a title."""
    parts: list[str] = []
    top: float = MARGIN + 36
    for box in boxes:
        begin, inside = top, []
        top += PADDING / 2
        for line in box:
            drawn, top = row(line, top)
            inside += drawn
        top += PADDING / 2
        frame = f'x="{MARGIN}" y="{begin:g}" width="{WIDTH - 2 * MARGIN}" height="{top - begin:g}" rx="4"'
        parts += [f'<rect {frame} fill="{PAPER}" stroke="{EDGE}"/>', *inside]
        top += PADDING
    said = ". ".join(line.words.strip(". ") for box in boxes for line in box if line.words)
    height = f"{top - PADDING + MARGIN:g}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
            f'role="img" aria-labelledby="title desc" font-family="{escape(SANS)}" font-size="14" fill="{INK}">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(said)}</desc>',
            f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
            f'<rect width="{WIDTH}" height="{MARGIN + 24}" fill="{HEAD}"/>',
            words(title, MARGIN, (MARGIN + 24) / 2, "strong"),
            *parts,
            "</svg>\n",
        ]
    )
