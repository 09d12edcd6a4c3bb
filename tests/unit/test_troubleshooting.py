"""docs/troubleshooting.md explains each message, in the paragraph that the message names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import cookiecutter

from tools.commands import run
from tools.components import component, component_names
from tools.documents import anchors, page
from tools.options import ROOT

TEXT = page("docs/troubleshooting.md")
# What stands below each heading that messages name, in one line.
PARAGRAPHS = {
    name: " ".join(text.split())
    for name, text in re.findall(r"^### ([a-z-]+)\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
# Where our messages are.
SOURCES = (
    "templates/",
    "hooks/",
    "tools/adopt/",
    "tools/fleet/",
    "tools/pipeline/",
    "tools/project/",
    "scripts/",
    "answer_rules.py",
    "local_extensions.py",
    "{{",
)


def remedies() -> Iterator[tuple[str, str]]:
    """Return what jobs set for the case that they fail: the name of the paragraph, and the advice."""
    for text in [*map(component, component_names()), page("scripts/remedy.sh")]:
        for remedy in re.findall(r'REMEDY="(.+?)"', text):
            name, _, advice = remedy.partition(" ")
            advice = (
                advice.replace("$PY_CI_PYTHON", "3.x")
                .replace("$workspace", "..")
                .replace("$CI_ENVIRONMENT_NAME", "signing")
            )
            yield name, advice.replace("$PY_CI_IDENTITY", "--key cosign.pub --insecure-ignore-tlog")


def endings() -> Iterator[tuple[str, str]]:
    """Return what ends the programs of jobs: the name of the paragraph, or nothing for any, and a part of the message.

    The shell gives the advice, and names its paragraph, where a program does not.
    """
    for file in sorted((ROOT / "scripts").glob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("sys.exit", "give_up"):
                texts = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]
                name = str(texts.pop(0)) if ast.unparse(call.func) == "give_up" else ""
                yield name, ""
                for text in texts:
                    if isinstance(text, str) and len(text.split()) > 1:
                        yield name, " ".join(text.split()).strip(' :("')


def checks() -> Iterator[tuple[str, str]]:
    """Return the remedies of preflight: the name of the paragraph, and the advice."""
    for function in ast.parse(page("scripts/preflight.py")).body:
        if isinstance(function, ast.FunctionDef) and "Finding" in ast.unparse(function):
            said = [str(node.value) for node in ast.walk(function) if isinstance(node, ast.Constant)]
            for text in said:
                if re.fullmatch(r"[A-Z].+ .+\.|Have .+ ", text) and text != ast.get_docstring(function):
                    yield (
                        f"preflight-{function.name.replace('environments', 'tools').replace('asked', 'registry')}",
                        text.strip(),
                    )


def of_the_template() -> set[str]:
    """Return the paragraphs that the questions and the hook name."""
    hook, extension = page("hooks/post_gen_project.py"), page("local_extensions.py")
    (warnings,) = re.findall(r"\n    lines = \(\n(.+?)\n    \)\n", extension, re.DOTALL)
    return {
        *re.findall(r'found\["([a-z-]+)"\] = ', hook),
        *re.findall(r"}#([a-z-]+)\"", hook + extension),
        *re.findall(r'^ +\(?"([a-z-]+)",', warnings, re.MULTILINE),
    }


def of_the_tools() -> set[str]:
    """Return the paragraphs that the programs name which people install."""
    adopt, fleet, project = (
        "".join(page(str(file.relative_to(ROOT))) for file in (ROOT / "tools" / name).glob("*.py"))
        for name in ("adopt", "fleet", "project")
    )
    return {
        *re.findall(r'\("(tool-[a-z]+)",', page("tools/pipeline/__main__.py")),
        *re.findall(r'\bRefusedError\(\s*"(adopt-[a-z]+)",', adopt),
        *re.findall(r"#(fleet-[a-z]+) ", fleet),
        *re.findall(r'\(\s*"(fleet-[a-z]+)",', fleet),
        *re.findall(r'[("#](project-[a-z]+)"', project),
    }


def test_each_remedy_of_a_job_stands_in_the_paragraph_that_it_names() -> None:
    for name, advice in [*remedies(), *checks()]:
        assert f"`{advice}" in PARAGRAPHS[name].replace("`**", ""), name
    assert len(set(checks())) > 8


def test_what_ends_a_program_of_a_job_is_explained() -> None:
    for name, part in endings():
        assert part in (PARAGRAPHS[name] if name else " ".join(PARAGRAPHS.values())), part


def test_each_paragraph_has_a_message_that_names_it() -> None:
    named = {name for name, _ in [*remedies(), *endings(), *checks()]} - {""}
    assert sorted(named | of_the_template() | of_the_tools()) == sorted(PARAGRAPHS)
    assert PARAGRAPHS.keys() <= set(anchors(TEXT))


# Programs whose messages stand in docs/troubleshooting.md.
MESSAGES_ELSEWHERE = {
    "Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)": "apt",
    "are you root?": "apt",
    "The virtual environment was not created successfully because ensurepip is not available": "Debian's Python",
    "repository does not exist or may require 'docker login'": "Docker",
    "fatal: repository '": "git",
    "detected dubious ownership in repository": "git",
    "' - content not found": "GitLab",
    "' - project does not exist or you don't have sufficient permissions": "GitLab",
    "The project you were looking for could not be found": "GitLab",
    "This job is stuck because": "GitLab",
    "'sbom' job needs 'build' job, but 'build' does not exist in the pipeline": "GitLab",
    "401 Unauthorized": "GitLab",
    "403 Forbidden": "GitLab",
    "File name has already been taken": "GitLab",
    "Local file and index file do not match": "uv",
    "no matching CertificateIdentity found": "Cosign",
    "Error updating branch:": "Renovate",
    "provided for variable pre_commit could not be converted to a boolean": "Cookiecutter",
    "No module named 'local_extensions'": "Python",
    "pip: no such option: --group": "pip",
    "error: unrecognized arguments: --cov": "pytest",
    "Module tests/test_app.py was never imported": "coverage",
    "No data to combine": "coverage",
    "ModuleNotFoundError": "Python",
    "imported but it is a transitive dependency": "deptry",
    "py314: skipped because could not find python interpreter": "tox",
}
# What differs from case to case in a message.
VARYING = (
    r"\.\.\.|--key cosign.pub.*|\[|signing|\bv\d[\w.]*|\d\.x|[A-Z]+_[A-Z_]+(?: and [A-Z_]+)?|\(\d+\)|: (?=No module)"
)


def test_messages_that_troubles_are_found_by_are_said() -> None:
    """By the template or Cookiecutter, as the sources have them, or by another program that is known here."""
    sources = [page(name) for name in run("git", "ls-files").splitlines() if name.startswith(SOURCES)]
    sources += [file.read_text(encoding="utf-8") for file in Path(cookiecutter.__file__).parent.glob("*.py")]
    # A message that goes over several lines is in several strings.
    said = re.sub(r"['\"]\s+f?['\"]|`", "", "\n".join(sources))
    bold = re.findall(r"\*\*(`.+?`)\*\*", TEXT, re.DOTALL)
    messages = [" ".join(message.split()) for part in bold for message in re.findall(r"`(.+?)`", part, re.DOTALL)]
    for message in messages:
        parts = [part.strip(", ") for part in re.split(VARYING, message)]
        ours = all(part in said for part in parts)
        assert ours or MESSAGES_ELSEWHERE.keys() & parts, message
    assert len(messages) > 30
