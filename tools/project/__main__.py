"""Makes a project on GitLab, or repairs what is missing there: `py-ci-project`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from tools.project.faults import UNUSABLE


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    if importlib.util.find_spec("gitlab") is None:
        print("python-gitlab is missing: install py-ci-template[fleet].", file=sys.stderr)
        print("See py-ci-template/docs/troubleshooting.md#project-install", file=sys.stderr)
        return UNUSABLE
    from tools.project.command import run

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
