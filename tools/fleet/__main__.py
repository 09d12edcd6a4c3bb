"""Keeps the projects of an organisation current: `py-ci-fleet COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tools.fleet import collect, confined, drafts, page, plan, update
from tools.fleet.data import FleetError

COMMANDS = {"collect": collect, "drafts": drafts, "page": page, "plan": plan, "run": confined, "update": update}


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="py-ci-fleet", description=__doc__.partition(":")[0] + ".")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=module.HELP, description=module.HELP))
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    given = arguments(words)
    try:
        return int(COMMANDS[given.command].main(given))
    except FleetError as error:
        print(f"See docs/troubleshooting.md#{error.paragraph}", file=sys.stderr)
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
