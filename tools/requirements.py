"""What the machine must have: programs, and rights."""

from __future__ import annotations

import shutil


class MissingRequirementError(Exception):
    """Something that this machine lacks; the message says how to get it."""


def find_program(name: str, remedy: str) -> str:
    """Return the path of a program; raises MissingRequirementError, with the remedy, where it is missing."""
    path = shutil.which(name)
    if path is None:
        raise MissingRequirementError(f"{name} is missing: {remedy}")
    return path
