"""A real browser without a window, to look at pages as people do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

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
