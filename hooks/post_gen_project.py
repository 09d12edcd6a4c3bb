"""Removes what the options do not want, brings the components, links the project to its template, says what is next."""

# To import more, such as pathlib, takes longer than all that this does.
import os
import sys


def remove(paths: list) -> None:
    """Remove what belongs to an option that is off, also where an earlier run left it, and a folder of nothing else."""
    for path in paths:
        if os.path.lexists(path):
            os.remove(path)
        folder = os.path.dirname(path)
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def bring_components(components: dict) -> None:
    """Copy each component to where it is in the project, or remove it where the project has none."""
    remove([path for path, file in components.items() if file is None])
    for path, file in components.items():
        if file is not None:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(file, "rb") as source, open(path, "wb") as copy:
                copy.write(source.read())


def make_repository() -> bool:
    """Make the project a git repository, or leave it one; tell whether git could be run."""
    # Inside a hook of git these name another repository.
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        os.environ.pop(name, None)
    # To import subprocess takes longer than git.
    return os.system("git -c init.defaultBranch=main init --quiet") == 0  # noqa: S605


def has_program(name: str) -> bool:
    """Tell whether a program is on the path."""
    file = f"{name}.exe" if sys.platform == "win32" else name
    return any(os.access(os.path.join(folder, file), os.X_OK) for folder in os.get_exec_path())


def shell_word(text: str) -> str:
    """Quote a text as the shell of this machine wants it."""
    return f'"{text}"' if sys.platform == "win32" else "'" + text.replace("'", r"'\''") + "'"


def next_steps(project: str, url: str, *, has_git: bool, has_uv: bool, package: str = "") -> str:
    """Return what the person should type now; `url` is the address of the project on GitLab.

    `package` is what uv takes for the template, whose program does the last steps and more; empty where there is none.
    """
    windows = sys.platform == "win32"
    with_pip = [
        f"{'py' if windows else 'python3'} -m venv .venv",
        r".venv\Scripts\activate" if windows else ". .venv/bin/activate",
        "python -m pip install --upgrade pip",
        "python -m pip install --editable . --group dev",
        "tox",
    ]
    steps = [
        f"cd {project if project.replace('/', '').replace('-', '').isalnum() else shell_word(project)}",
        *(["uv sync", "uv run tox"] if has_uv else with_pip),
        "",
        *([] if has_git else ["git init --initial-branch main"]),
        "git add --all",
        'git commit --message "Create the project"',
        f"git remote add origin {url}.git",
        "git push --set-upstream origin main",
    ]
    if package and has_uv:
        program = f"uvx --from {shell_word(f'py-ci-template[fleet] @ {package}')} py-ci-project"
        steps += [
            "",
            "Or, with a token in GITLAB_TOKEN, in place of the last four, and with all settings:",
            "",
            program,
        ]
    return "\n".join(
        ["", f"Made {os.path.basename(project)}. Next:", "", *(f"  {step}".rstrip() for step in steps), ""]
    )


def shortcomings(project: str, *, has_git: bool, linked: bool) -> dict:
    """Return a line for each thing that is not as it should be, by the name of the paragraph about it."""
    found = {}
    if not has_git:
        found["no-git"] = "Git could not be run; install it first."
    if not linked:
        found["not-linked"] = "The template is not in git, so `cruft update` cannot update this project later."
    around = os.path.dirname(project)
    while not os.path.exists(os.path.join(around, ".git")) and around != os.path.dirname(around):
        around = os.path.dirname(around)
    if os.path.exists(os.path.join(around, ".git")):
        found["repository-around"] = (
            f"It is a repository of its own within {around}, which takes it for a submodule: move it out."
        )
    return found


def main(
    absent: list,
    components: dict,
    url: str,
    link: str | None,
    warnings: dict,
    *,
    package: str = "",
    troubleshooting: str = "docs/troubleshooting.md",
    silent: bool = False,
) -> int:
    """Finish the project in the current folder; return the exit status.

    `absent` are the paths that the project does not have, `components` the files of components by their paths in it.
    `link` is the text of `.cruft.json`; None is for a template that git does not hold, and an empty one for cruft,
    which writes the link itself. `warnings` are said at the end with the address of the paragraph of the document on
    `troubleshooting` that has their name, but for an update, which is `silent`.
    """
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        remove(absent)
        bring_components(components)
        if link:
            with open(".cruft.json", "w", encoding="utf-8", newline="\n") as file:
                file.write(link)
    except OSError as error:
        print(f"See {troubleshooting}#unfinished", file=sys.stderr)
        print(f"The project could not be finished: {error}. Is the folder writable?", file=sys.stderr)
        return 1
    has_git = make_repository()
    if not silent:
        project = os.getcwd()
        print(next_steps(project, url, has_git=has_git, has_uv=has_program("uv"), package=package))
        for name, line in {**shortcomings(project, has_git=has_git, linked=link is not None), **warnings}.items():
            print(f"{line}\nSee {troubleshooting}#{name}")
    return 0


if __name__ == "__main__":
    sys.exit(
        main(
            {{cookiecutter | absent_paths | python_literal}},
            {{cookiecutter | components | python_literal}},
            {{cookiecutter | project_url | python_literal}},
            {{cookiecutter | template_link | python_literal}},
            {{cookiecutter | warnings | python_literal}},
            package={{cookiecutter | template_package | python_literal}},
            troubleshooting={{cookiecutter | troubleshooting_here | python_literal}},
            silent={{cookiecutter | is_update | python_literal}},
        )
    )
