"""Makes the paths in `coverage.xml` those of the repository, by which GitLab finds the lines of a merge request."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree


def main() -> None:
    """Change the file in the current folder."""
    report, root = Path("coverage.xml"), Path(os.environ["CI_PROJECT_DIR"]).resolve()
    tree = ElementTree.parse(report)  # noqa: S314 - coverage has written it in this job
    sources = [Path(source.text or ".").resolve() for source in tree.iter("source")]
    for measured in tree.iter("class"):
        # As coverage writes them, they begin in one of the sources.
        places = [source / measured.attrib["filename"] for source in sources]
        found = next((place for place in places if place.is_file() and place.is_relative_to(root)), None)
        if found:
            measured.attrib["filename"] = found.relative_to(root).as_posix()
    tree.write(report, encoding="utf-8", xml_declaration=True)


if __name__ == "__main__":
    main()
