"""The template as it is in the working tree: copies of it in git, and single files of it rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter
from cookiecutter.prompt import prompt_for_config
from cookiecutter.utils import create_env_with_context
from jinja2 import FileSystemLoader

from tools.commands import commit_all, copy_working_tree, run
from tools.options import COMPONENT_PROJECT, DECLARED, ROOT, Combination

# The name of the project's folder in the template.
FOLDER = "{{cookiecutter.project_slug}}"


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that is in a file."""
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{file.name} has no {old!r}"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def tagged_copy(folder: Path) -> Path:
    """Make a repository of the template as it is now, with the tag of the version that projects pin."""
    copy_working_tree(ROOT, folder)
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    commit_all(folder)
    run("git", "tag", DECLARED["_component_version"], cwd=folder)
    return folder


def bare_clone(repository: Path, folder: Path) -> Path:
    """Make a clone as a server has it."""
    run("git", "clone", "--quiet", "--bare", repository, folder)
    return folder


def bake(folder: Path, **options: Any) -> Path:
    """Make a project in a folder with these options, and the defaults of all others, whatever a person has set."""
    context = {"_component_project": COMPONENT_PROJECT, **options}
    made = cookiecutter(str(ROOT), no_input=True, extra_context=context, output_dir=str(folder), default_config=True)
    return Path(made)


def context_of(options: Combination) -> dict[str, Any]:
    """Return what Cookiecutter renders a project with: these options, and the defaults of all others."""
    context = generate_context(
        str(ROOT / "cookiecutter.json"), extra_context={"_component_project": COMPONENT_PROJECT, **options}
    )
    context["cookiecutter"] = prompt_for_config(context, no_input=True)
    return dict(context)


def render(name: str, options: Combination) -> str:
    """Return a file of the project as Cookiecutter renders it."""
    context = context_of(options)
    environment = create_env_with_context(context)
    environment.loader = FileSystemLoader([ROOT / FOLDER, ROOT / "templates"])
    return str(environment.get_template(name).render(**context))
