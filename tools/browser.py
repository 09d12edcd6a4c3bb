"""A real browser without a window, to look at pages as people do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from tools.requirements import find_program


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium; its pages show what they are given, and ask no service of its maker for anything.

    Raises MissingRequirementError where the machine has none.
    """
    chromium = find_program("chromium", "apt install chromium fonts-dejavu-core")
    # Chromium refuses to run as root with its sandbox; what it shows here, this repository has made.
    sandbox = [] if os.getuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=sandbox)
        yield browser
        browser.close()


@contextmanager
def open_file(
    browser: Browser, file: Path, scheme: Literal["light", "dark"] = "light", width: int = 1400
) -> Iterator[Page]:
    """Show a page that is one file, as somebody sees it who likes light or dark ones.

    It has to fit into the window, and may ask for nothing but itself, warn of nothing and open no dialog.
    """
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(numbers(background)) < 0.5) == (scheme == "dark")
    yield page
    assert not wrong
    assert asked == [file.as_uri()]
    context.close()


def numbers(colour: str) -> list[float]:
    """Return the parts of a colour as a browser writes it."""
    return [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]


def luminance(parts: list[float]) -> float:
    """Return how light a colour is: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
