"""The site that `docs` makes, as people see it, and what it takes for a mistake: the real Sphinx and a real browser."""

from __future__ import annotations

import mimetypes
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect
from werkzeug.wrappers import Request, Response

from answer_rules import one_line
from local_extensions import markdown_text
from tools.runner import Pipe, Pipeline
from tools.samples.answers import HOSTILE, TEXTS
from tools.samples.baked import Bake, BakedProject, edit
from tools.samples.package import COMPONENTS, VERSION
from tools.stand_ins.server import Server

NAME = '<script>alert("x")</script> *My* Service -- 50% \\ {ref}`a` (b)='
DESCRIPTION = "% Greets 'people' & <b>others</b> --- \"by\" name_of_them_... ${HOME} &amp; {py:func}`x` +++"
# What Sphinx could take for a mistake, and is none.
MODULE = '''"""Kinds of things; see :func:`my_service.app.greet`, :class:`pathlib.Path` and :exc:`ValueError`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from argparse import Namespace

T = TypeVar("T")
Names = dict[str, "Person"]


@dataclass(frozen=True)
class Person:
    """A person.

    Attributes:
        name: Who it is.
        friends: Their friends.
    """

    name: str
    friends: list[Person] = field(default_factory=list)


class Box(Generic[T]):
    """A box."""

    def map(self, call: Callable[[T], str], names: Names | None = None) -> Iterator[T]:
        """Apply a function to what is in it, as :meth:`map` does for others.

        Args:
            call: The function.
            names: The people.

        Yields:
            What was there.
        """
        yield from ()


def parse(options: Namespace) -> type[Person]:
    """Return the kind of person that is asked for."""
    return Person
'''
LINKS = """
[The license](LICENSE), [the tests](tests/test_app.py), [how to contribute](CONTRIBUTING.md#set-up), [use](#use), and
[what changed](docs/changelog.md).
"""


class Site(Server):
    """A folder as GitLab Pages has it: below the path of the project."""

    def __init__(self, folder: Path) -> None:
        super().__init__("/my-service")
        self.folder = folder

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}{self.root}"

    def respond(self, request: Request, path: str) -> Response:
        """Return a file."""
        file = self.folder / (path.strip("/") or "index.html")
        if not file.is_file():
            return self.refuse(404)
        return Response(file.read_bytes(), mimetype=mimetypes.guess_type(file.name)[0])


class Elsewhere(Server):
    """Another site, with one page."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def respond(self, request: Request, path: str) -> Response:
        """Return the page."""
        return Response("here") if path == "/here" else self.refuse(404)


@pytest.fixture(scope="module")
def documented(bake: Bake, python: str) -> BakedProject:
    """A project with a site, and with more in it than the skeleton has."""
    answers = {"project_name": NAME, "project_slug": "my-service", "package_name": "my_service"}
    project = bake(
        **answers,
        project_description=DESCRIPTION,
        docs=True,
        kind="command",
        _python_versions=[python],
        python_version=python,
    )
    (project.path / "src" / "my_service" / "kinds.py").write_text(MODULE, encoding="utf-8")
    add(project, "README.md", LINKS)
    return project


@pytest.fixture(scope="module")
def made(documented: BakedProject, pipe: Pipe, warm: dict[str, str]) -> Pipeline:
    """Its job, in a merge request."""
    done: Pipeline = pipe(documented.path, "docs", event="merge request", variables=warm)
    assert done.results == {"docs": "passed"}, done.output
    return done


@pytest.fixture(scope="module")
def site(made: Pipeline) -> Iterator[Site]:
    """The site that it made, on a server."""
    with Site(made.artifact("docs", "public")) as running:
        yield running


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page of the browser, which has asked for nothing but the site when the test ends, and found all of it."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda response: faults.append(response.url) if response.status >= 400 else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    yield page
    context.close()
    assert asked
    assert not [url for url in asked if not url.startswith(f"{site.url}/") and not url.startswith("data:")]
    # A browser asks for this by itself.
    assert not [fault for fault in faults if not fault.endswith("/favicon.ico")]


def add(project: BakedProject, name: str, text: str) -> None:
    """Add a text to the end of a file of a project."""
    with (project.path / name).open("a", encoding="utf-8") as file:
        file.write(text)


def text_of(page: Page, selector: str, number: int = 0) -> str:
    """Return what an element says, without the link to itself that a heading has."""
    element = page.locator(selector).nth(number)
    said = element.evaluate(
        "e => { e = e.cloneNode(true); e.querySelector('.headerlink')?.remove(); return e.textContent }"
    )
    return str(said)


def test_the_start_page_says_what_was_answered(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/")
    assert text_of(page, "article h1") == NAME
    # The badges of GitLab are links in words.
    assert text_of(page, "article p") == "Pipeline\nCoverage\nRelease"
    assert text_of(page, "article p", 1) == DESCRIPTION
    assert page.locator("img").count() == 0


def test_links_of_the_readme_lead_to_pages_and_to_files_on_gitlab(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/")
    links = {
        link.inner_text(): link.get_attribute("href")
        for link in page.locator("article section a:not(.headerlink)").all()
    }
    file = "https://gitlab.com/your-group/my-service/-/blob/HEAD"
    assert links["The license"] == f"{file}/LICENSE"
    assert links["the tests"] == f"{file}/tests/test_app.py"
    assert links["how to contribute"] == f"{file}/CONTRIBUTING.md#set-up"
    assert links["use"] == "#use"
    assert links["what changed"] == "changelog.html"


def test_every_module_has_its_docstrings_and_the_changelog_is_there(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/")
    navigation = page.locator(".sidebar-tree")
    navigation.get_by_role("link", name="Reference").click()
    page.locator("article").get_by_role("link", name="my_service.app module").click()
    expect(page.locator("article")).to_contain_text("Return a greeting for a person.")
    navigation.get_by_role("link", name="my_service.kinds module").click()
    expect(page.locator("article")).to_contain_text("Apply a function to what is in it")
    # A name in a docstring leads to where it is.
    page.locator("article").get_by_role("link", name="my_service.app.greet()").click()
    assert page.url.endswith("/reference/my_service.app.html#my_service.app.greet")
    navigation.get_by_role("link", name="Changelog").click()
    expect(page.locator("article")).to_contain_text("The first version.")


def test_the_search_needs_no_server(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/")
    page.get_by_role("textbox", name="Search").fill("greeting")
    page.keyboard.press("Enter")
    page.locator("#search-results").get_by_role("link", name="my_service.app module").click()
    expect(page.locator("article")).to_contain_text("Return a greeting for a person.")


def test_it_is_light_or_dark_as_the_person_wants(page: Page, site: Site) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{site.url}/")
        found.append(page.evaluate(background))
    assert found[0] == "rgb(255, 255, 255)"
    assert max(map(int, re.findall(r"\d+", found[1]))) < 50
    # The button goes from what the system has to the other.
    page.locator("button.theme-toggle:visible").click()
    assert page.evaluate(background) == "rgb(255, 255, 255)"


def test_nothing_is_wider_than_a_telephone(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    pages = [file.relative_to(site.folder).as_posix() for file in site.folder.rglob("*.html")]
    assert len(pages) >= 8
    for name in pages:
        page.goto(f"{site.url}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") == 400, name


def test_nothing_but_the_site_is_handed_on(site: Site) -> None:
    assert not [file for file in site.folder.rglob("*") if file.is_symlink() or file.suffix in (".doctree", ".pickle")]


@given(texts=st.lists(TEXTS, min_size=40, max_size=80))
@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_any_answer_is_shown_as_it_was_typed(
    texts: list[str], documented: BakedProject, made: Pipeline, browser: Browser
) -> None:
    """Each in a README of its own, which the site of one project has."""
    folder = made.report("docs", "answers")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(documented.path / "docs", folder / "docs", ignore=shutil.ignore_patterns("reference"))
    shutil.copytree(documented.path / "src", folder / "src")
    shutil.copy(documented.path / "CHANGELOG.md", folder)
    included = documented.read("docs/index.md").partition("\n\n")[0]
    answers = [text.strip() for text in (*texts, *HOSTILE, *(f"{piece} a" for piece in HOSTILE))]
    answers = [text for text in answers if one_line(text, 512) is None]
    for number, text in enumerate(answers):
        written = markdown_text(text)
        (folder / f"README{number}.md").write_text(f"# {written}\n\n[a](#a)\n\n{written}\n\n## a\n", encoding="utf-8")
        page = folder / "docs" / f"page{number}.md"
        page.write_text(included.replace("README", f"README{number}"), encoding="utf-8")
    (folder / "docs" / "index.md").write_text("# All\n\n```{toctree}\n:glob:\n\n*\nreference/modules\n```\n", "utf-8")
    sphinx = made.report("docs", ".venv/bin/sphinx-build")
    documented.run(sphinx, "-M", "html", folder / "docs", folder / "build", "--quiet", "--fail-on-warning")
    pages = [(folder / f"build/html/page{number}.html").read_text("utf-8") for number in range(len(answers))]
    window = browser.new_page()
    shown = window.evaluate(
        """pages => pages.map(page => {
            const article = new DOMParser().parseFromString(page, "text/html").querySelector("article");
            article.querySelector(".headerlink").remove();
            return [article.querySelector("h1").textContent, article.querySelectorAll("p")[1].textContent];
        })""",
        pages,
    )
    window.close()
    assert shown == [[text, text] for text in answers]


MISTAKES = {
    "[a](gone.md)": "'myst' cross-reference target not found: 'gone.md'",
    "[a](src/gone.py)": "'myst' cross-reference target not found: 'src/gone.py'",
    "[a](#gone)": "'myst' cross-reference target not found: 'gone'",
    "[a](docs/changelog.md#gone)": "local id not found in doc 'changelog': 'gone'",
    "![a](gone.png)": "image file not readable: ../gone.png",
}
NAMES = {
    ":func:`gone`": "py:func reference target not found: gone",
    ":class:`my_service.app.Gone`": "py:class reference target not found: my_service.app.Gone",
    ":meth:`Person.gone`": "py:meth reference target not found: Person.gone",
}


def test_links_and_names_that_lead_nowhere_fail(bake: Bake, pipe: Pipe, python: str, warm: dict[str, str]) -> None:
    project = bake(
        docs=True,
        kind="command",
        pipeline="components",
        test_runner="unittest",
        _python_versions=[python],
        python_version=python,
    )
    add(project, "README.md", "\n" + "\n\n".join(MISTAKES) + "\n")
    edit(project, "src/my_service/app.py", "Return a greeting for a person.", f"Return it: {', '.join(NAMES)}.")
    (project.path / "docs" / "alone.md").write_text("# In no list\n", encoding="utf-8")
    done = pipe(project.path, "docs", event="merge request", variables=warm)
    assert done.results == {"docs": "failed"}, done.output
    warnings = re.findall(r"WARNING: (.+?) \[[\w.]+\]$", done.log("docs"), re.MULTILINE)
    expected = [*MISTAKES.values(), *NAMES.values(), "document isn't included in any toctree"]
    assert sorted(warnings) == sorted(expected)
    assert done.log("docs").splitlines()[-2].endswith("#docs-warnings")
    assert done.last_line("docs").startswith("Fix the documents and docstrings that are named above")


def test_a_module_that_cannot_be_imported_fails(
    documented: BakedProject, pipe: Pipe, warm: dict[str, str], tmp_path: Path
) -> None:
    project = BakedProject(Path(shutil.copytree(documented.path, tmp_path / "my-service", symlinks=True)), {})
    (project.path / "src" / "my_service" / "broken.py").write_text("import there_is_no_such_module\n", encoding="utf-8")
    done = pipe(project.path, "docs", variables=warm)
    assert done.results == {"docs": "failed"}, done.output
    assert "No module named 'there_is_no_such_module'" in done.log("docs")


@pytest.fixture
def another_tool(another: Path, python: str) -> Path:
    """A project whose commands make a site in the folder `site`, and leave another in `public`, without Sphinx."""
    (another / ".gitlab-ci.yml").write_text(
        f"""
include:
  - component: {COMPONENTS}/docs@{VERSION}
    inputs:
      python_version: "{python}"
      dependency_group: checks
      docs_commands: [mkdir -p public site, echo old > public/old.html, "echo '*' > site/index.html"]
      folder: site
      link_command: ""
""",
        encoding="utf-8",
    )
    return another


def test_another_tool_makes_the_site_in_another_folder(another_tool: Path, pipe: Pipe, warm: dict[str, str]) -> None:
    for event in ("branch", "schedule"):
        done = pipe(another_tool, "docs", event=event, variables=warm)
        assert done.results == {"docs": "passed"}, done.output
        made = done.artifact("docs", "public")
        assert {file.name: file.read_text("utf-8") for file in made.iterdir()} == {"index.html": "*\n"}


def test_a_folder_that_the_commands_do_not_make(another_tool: Path, pipe: Pipe, warm: dict[str, str]) -> None:
    file = another_tool / ".gitlab-ci.yml"
    file.write_text(file.read_text("utf-8").replace("folder: site", "folder: site/html"), encoding="utf-8")
    done = pipe(another_tool, "docs", variables=warm)
    assert done.results == {"docs": "failed"}, done.output
    assert "site/html/index.html" in done.log("docs")
    assert (
        done.last_line("docs") == "The commands made no such file. Set the input folder to the folder that they make."
    )


@pytest.mark.parametrize("folder", ["../x", "/etc", "a/../../b", ".", "a b", "-x", "a;b", ""])
def test_a_folder_elsewhere_is_refused(folder: str, another_tool: Path, pipe: Pipe) -> None:
    file = another_tool / ".gitlab-ci.yml"
    file.write_text(file.read_text("utf-8").replace("folder: site", f'folder: "{folder}"'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"folder.*does not match"):
        pipe(another_tool)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """A site that pages of the project link to."""
    with Elsewhere() as running:
        yield running


def test_only_a_schedule_asks_other_sites_and_warns(
    documented: BakedProject, pipe: Pipe, warm: dict[str, str], elsewhere: Elsewhere, tmp_path: Path
) -> None:
    project = BakedProject(Path(shutil.copytree(documented.path, tmp_path / "my-service", symlinks=True)), {})
    # Nothing of this machine reaches other hosts; a retry would only take longer.
    edit(project, "docs/conf.py", "linkcheck_ignore = [", 'linkcheck_timeout = 2\nlinkcheck_ignore = ["https:", ')
    add(project, "README.md", f"\n[here]({elsewhere.url}/here)\n")
    done = pipe(project.path, "docs", event="schedule", variables=warm)
    assert done.results == {"docs": "passed"}, done.output
    assert elsewhere.requests("/here")

    add(project, "README.md", f"\n[gone]({elsewhere.url}/gone)\n")
    done = pipe(project.path, "docs", event="schedule", variables=warm)
    assert done.results == {"docs": "failed, allowed"}, done.output
    assert re.search(rf"broken +{elsewhere.url}/gone", done.log("docs"))
    assert done.last_line("docs").startswith("Correct the links that are broken by the lines above.")
    asked = len(elsewhere.requests())
    done = pipe(project.path, "docs", event="merge request", variables=warm)
    assert done.results == {"docs": "passed"}, done.output
    assert len(elsewhere.requests()) == asked

    elsewhere.fail_next(1000, timeout=600)
    done = pipe(project.path, "docs", event="schedule", variables=warm)
    assert done.results == {"docs": "failed, allowed"}, done.output
    assert re.search(rf"timeout +{elsewhere.url}/here", done.log("docs"))
