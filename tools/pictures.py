"""Makes the pictures of the README from real runs: `python -m tools.pictures`, with the PATH of the tests.

The questions, as a person sees them; the table of jobs, and the page, of a release that is signed with a key.
"""

from __future__ import annotations

import hashlib
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from rich.console import Console, RenderableType
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from tools.browser import open_browser
from tools.commands import commit_all
from tools.options import COMPONENT_PROJECT, DECLARED, ROOT
from tools.pipeline.__main__ import arguments, follow, prepare
from tools.pipeline.page import Run, render
from tools.stand_ins.cosign import find_cosign
from tools.template import bake, tagged_copy

FOLDER = ROOT / "docs" / "pictures"
COMMAND = "python -m tools.pictures"
# Columns of a terminal, and pixels of a page.
COLUMNS, WIDTH, HEIGHT, MARGIN = 100, 1200, 900, 16
# What a terminal shows for a person to type: Cookiecutter's questions end so.
PROMPT = re.compile(rb"\)(?:\x1b\[[0-9;]*m)*: $")
# What makes the page, beside the run itself.
SOURCES = ("page.html", "page.css", "page.py")
MADE_FOR = b"Made for"


def ask_questions(folder: Path) -> str:
    """Return what a terminal shows of the questions, each answered with the Enter key."""
    template = tagged_copy(folder / "py-ci-template")
    (folder / "gitconfig").write_text("[user]\n\tname = Ada Lovelace\n\temail = ada@example.com\n", encoding="utf-8")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), "COLUMNS": str(COLUMNS), "TERM": "xterm"}
    env |= {"COOKIECUTTER_CONFIG": str(folder / "cookiecutter.yaml"), "TMPDIR": str(folder)}
    (folder / "cookiecutter.yaml").write_text(f"replay_dir: {folder}/replay\n", encoding="utf-8")
    ours, its = pty.openpty()
    command = (sys.executable, "-m", "cookiecutter", "--output-dir", folder, template)
    with subprocess.Popen(command, env=env, stdin=its, stdout=its, stderr=its):
        os.close(its)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:
                # The other side has ended.
                break
            if PROMPT.search(shown):
                os.write(ours, b"\n")
    os.close(ours)
    return shown.decode().replace("\r\n", "\n").partition("\nMade ")[0].strip("\n")


def terminal(title: str, *shown: RenderableType) -> str:
    """Return a drawing of a terminal; it asks nobody for a font."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for each in shown:
        console.print(each)
    name = re.sub(r"\W+", "-", title)
    drawn = console.export_svg(title=title, theme=DIMMED_MONOKAI, unique_id=name)
    return re.sub(r" *@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL).replace("Fira Code, ", "")


def texts_of(drawn: str) -> list[str]:
    """Return the texts of a drawing, line by line."""
    return [text.replace("&#160;", " ").strip() for text in re.findall(r"<text [^>]*>([^<]+)</text>", drawn)]


def release(folder: Path) -> Run:
    """Release a project of the template that is signed with a key, on this machine."""
    made = bake(folder / "made", signing="key")
    commit_all(made)
    (work := folder / "work").mkdir()
    given = arguments([str(made), "--event", "tag"])
    done, _ = follow(given, prepare(given, work), Console(file=io.StringIO()))
    assert done.status == "passed", done.progress.text
    return done


def fingerprint() -> str:
    """Return a digest of the program that makes the page."""
    parts = [(ROOT / "tools" / "pipeline" / name).read_bytes() for name in SOURCES]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def described(png: bytes) -> bytes:
    """Return a picture with a text in it that says what it was made for: https://www.w3.org/TR/png-3/#11tEXt"""
    text = b"tEXt" + MADE_FOR + b"\0" + fingerprint().encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    # After the signature and the header.
    return png[:33] + chunk + png[33:]


def page(done: Run) -> bytes:
    """Return the page of a run down to its time line, as a browser shows it."""
    logs = {name: Path(name) for name in done.progress.jobs}
    with open_browser() as browser:
        opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        opened.set_content(render(done, logs))
        last = opened.locator("section", has=opened.locator("#time")).bounding_box()
        assert last
        height = last["y"] + last["height"] + MARGIN
        return described(opened.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height}))


def main() -> int:
    """Write every picture."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cosign = find_cosign(ROOT / ".pytest_cache" / "d" / "cosign")
        os.environ["PATH"] = os.pathsep.join([str(cosign.parent), os.environ["PATH"]])
        asked = ask_questions(folder)
        address = f"cookiecutter gl:{COMPONENT_PROJECT}"
        (FOLDER / "questions.svg").write_text(terminal(address, Text.from_ansi(asked)), encoding="utf-8")
        done = release(folder)
        (FOLDER / "jobs.svg").write_text(
            terminal("py-ci-pipeline --event tag", done.progress.table()), encoding="utf-8"
        )
        (FOLDER / "page.png").write_bytes(page(done))
    print(f"{len(DECLARED['__prompts__'])} questions and {len(done.progress.jobs)} jobs are in {FOLDER}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
