"""Measures what it takes to read the projects of an organisation: seconds and requests, the first and the second time.

`tox run -e benchmarks` runs it. GitLab is on loopback and answers at once; the requests are those that a real one gets.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tools.fleet.collect import Reader, collect
from tools.fleet.data import Fleet
from tools.fleet.page import render
from tools.fleet.template import Template
from tools.fleet.waves import Days
from tools.samples.organisation import GROUP, add_projects, make_releases, reader_of
from tools.stand_ins.gitlab_rest.server import SharedGitLab
from tools.template import tagged_copy

COUNTS = (100, 300, 1000)


def measure(count: int) -> tuple[list[Fleet], int]:
    """Read so many projects twice; return what was read, and the bytes of the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repository = tagged_copy(folder / "template")
        commits = make_releases(repository, 2, 3)
        with SharedGitLab(folder / "gitlab", "http://127.0.0.1:1") as server:
            token = reader_of(server).token
            add_projects(server, repository, commits, count)
            template, read = Template(str(repository), folder / "clone"), None
            found = []
            for _ in range(2):
                reader = Reader(server.url, token)
                read = collect(reader, [GROUP], template, read, datetime.now(UTC), changes=False)
                found.append(read)
        return found, len(render(found[-1], Days()))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="fleet", description=__doc__)
    parser.add_argument("counts", type=int, nargs="*", default=COUNTS, help="of projects: 100 300 1000")
    print(f"{'projects':>8}{'time':>8}{'seconds':>9}{'requests':>10}{'for each':>10}{'page':>9}")
    for count in parser.parse_args().counts:
        found, size = measure(count)
        for turn, read in zip(("first", "second"), found, strict=True):
            each = read["requests"] / count
            print(f"{count:8}{turn:>8}{read['seconds']:9}{read['requests']:10}{each:10.2f}{size / 1000:6.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
