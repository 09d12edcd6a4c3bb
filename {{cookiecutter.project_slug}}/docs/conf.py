"""What Sphinx makes of README.md, CHANGELOG.md, this folder and the docstrings."""

import re
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains import Domain

PACKAGE = "{{ cookiecutter.package_name }}"
ABOUT = metadata("{{ cookiecutter.project_slug }}")
HOMEPAGE = dict(url.split(", ", 1) for url in ABOUT.get_all("Project-URL"))["Homepage"]

project = html_title = ABOUT["Name"]
html_theme = "furo"
html_copy_source = html_show_copyright = False
smartquotes = False
extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
apidoc_modules = [{"path": f"../src/{PACKAGE}", "destination": "reference"}]
apidoc_separate_modules = apidoc_module_first = True
napoleon_use_ivar = True
nitpicky = True
# Who is not logged in may not see them; files among them are looked for below.
linkcheck_ignore = [re.escape(HOMEPAGE)]
# Markdown as GitLab shows it.
myst_heading_anchors = 6
myst_disable_syntax = ["myst_block_break", "myst_line_comment", "myst_role", "myst_target"]


def adapt(app: Sphinx, doctree: nodes.document) -> None:
    """Let links to files that are no pages lead to GitLab; a badge would need a login there."""
    for badge in [*doctree.findall(nodes.image)]:
        if badge["uri"].startswith(HOMEPAGE):
            badge.replace_self(nodes.Text(badge.get("alt", "")))
    for link in [*doctree.findall(pending_xref)]:
        file = link["reftarget"].partition("#")[0]
        if link["reftype"] == "myst" and (Path(__file__).parents[1] / file).is_file():
            address = f"{HOMEPAGE}/-/blob/HEAD/{link['reftarget']}"
            link.replace_self(nodes.reference("", "", *link, refuri=address))


def is_checked_elsewhere(app: Sphinx, domain: Domain | None, link: pending_xref) -> bool | None:
    """Tell whether a name is of an annotation, which mypy checks, or of another package."""
    package, dot, _ = link["reftarget"].partition(".")
    other = dot and package not in ("", PACKAGE) and find_spec(package)
    annotation = link["reftype"] == "obj" or not isinstance(link[0], nodes.literal)
    return bool(other or annotation) or None


def setup(app: Sphinx) -> None:
    """Register both with Sphinx."""
    app.connect("doctree-read", adapt)
    app.connect("warn-missing-reference", is_checked_elsewhere)
