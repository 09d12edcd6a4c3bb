"""How the command ends, and why it cannot go on."""

from __future__ import annotations

DONE, FAILED, UNUSABLE, LEFT, INTERRUPTED = 0, 1, 2, 3, 130


class UnusableError(Exception):
    """The command cannot go on: the name of the paragraph about it, and what to do."""

    def __init__(self, paragraph: str, message: str) -> None:
        super().__init__(message)
        self.paragraph = paragraph
