"""Joins the coverage data of the tests, and reports them: as `coverage.xml` to GitLab, and in the log.

What `coverage combine`, `coverage xml` and `coverage report` do, in one start of Python.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from xml.etree import ElementTree

from coverage.cmdline import main as coverage

# Where `take.py` has put the files of the tests.
TAKEN = Path(".from-test")


def name_as_gitlab(report: Path, root: Path) -> None:
    """Make the paths in a report those of the repository, by which GitLab finds the lines of a merge request."""
    tree = ElementTree.parse(report)  # noqa: S314 - coverage has written it in this job
    sources = [Path(source.text or ".").resolve() for source in tree.iter("source")]
    for measured in tree.iter("class"):
        # As coverage writes them, they begin in one of the sources.
        places = [source / measured.attrib["filename"] for source in sources]
        found = next((place for place in places if place.is_file() and place.is_relative_to(root)), None)
        if found:
            measured.attrib["filename"] = found.relative_to(root).as_posix()
    tree.write(report, encoding="utf-8", xml_declaration=True)


def main() -> int | None:
    """Work in the current folder; return the exit status of the first that fails, or of the last; None is 0 too."""
    threshold = os.environ.get("PY_CI_COVERAGE_THRESHOLD")
    # Without files it says that there are none.
    measured = sorted(map(str, TAKEN.glob("**/.coverage.*"))) or [str(TAKEN)]
    failed = coverage(["combine", *measured]) or coverage(["xml", "--fail-under", "0"])
    if failed:
        return failed
    name_as_gitlab(Path("coverage.xml"), Path(os.environ["CI_PROJECT_DIR"]).resolve())
    return coverage(["report", "--show-missing", *(["--fail-under", threshold] if threshold else [])])


if __name__ == "__main__":
    sys.exit(main())
