"""Applies the switches, links the project to its template, and says what to do next."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

# Which paths exist only with which value of an option.
OWNED_PATHS = {
    ("docker", True): ["Dockerfile", ".dockerignore"],
    ("pre_commit", True): [".pre-commit-config.yaml"],
}


def apply_switches(project: Path, answers: dict) -> None:
    """Remove what belongs to an option that is off, also where an earlier run left it."""
    for (option, value), paths in OWNED_PATHS.items():
        if answers[option] != value:
            for path in paths:
                (project / path).unlink(missing_ok=True)


def git(folder: Path, *arguments: str) -> str | None:
    """Run git in a folder; return what it prints, or None where it fails or is missing."""
    # Inside a hook of git these name another repository, whatever the folder is.
    environment = {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, encoding="utf-8", errors="replace"
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def template_link(template: Path, answers: dict) -> dict | None:
    """Return what cruft must know to update the project later, or None where there is no telling.

    `template` is the folder that holds the template's `cookiecutter.json`. Outside git it has no
    commit to compare a later one with.
    """
    if git(template, "ls-files", "--error-unmatch", "cookiecutter.json") is None:
        return None
    where = git(template, "rev-parse", "HEAD", "--show-toplevel", "--show-prefix")
    if where is None:
        return None
    commit, top, *prefix = where.splitlines()
    address = git(template, "config", "--get", "remote.origin.url")
    if not address or not git(template, "for-each-ref", "--contains", commit, "refs/remotes", "refs/tags"):
        address = top  # the commit is nowhere else
    return {
        "template": re.sub(r"(?<=://)[^/@]*@", "", address),  # never a token
        "commit": commit,
        "checkout": answers["_checkout"],
        "context": {"cookiecutter": {k: v for k, v in answers.items() if not k.startswith("_")}},
        "directory": "".join(prefix).strip("/") or None,
    }


def next_steps(project: Path, answers: dict, *, has_git: bool, linked: bool) -> str:
    """Return what the person should type now."""
    windows = sys.platform == "win32"
    address = f"https://{answers['gitlab_host']}/{answers['gitlab_namespace']}/{answers['project_slug']}"
    steps = [
        f'cd "{project}"' if windows else f"cd {shlex.quote(str(project))}",
        f"{'py' if windows else 'python3'} -m venv .venv",
        r".venv\Scripts\activate" if windows else ". .venv/bin/activate",
        "python -m pip install --upgrade pip",
        "python -m pip install --editable . --group dev",
        "tox",
        "",
        *([] if has_git else ["git init --initial-branch main"]),
        "git add --all",
        'git commit --message "Create the project"',
        f"git remote add origin {address}.git",
        "git push --set-upstream origin main",
    ]
    lines = ["", f"Made {answers['project_slug']}. Next:", "", *(f"  {step}".rstrip() for step in steps), ""]
    if not has_git:
        lines.append("Git could not be run; install it first.")
    if not linked:
        lines.append("The template is not in git, so `cruft update` cannot update this project later.")
    return "\n".join(lines)


def main(project: Path, template: Path, answers: dict) -> int:
    """Finish the project; return the exit status."""
    sys.stdout.reconfigure(errors="backslashreplace")
    linked = "_repo_dir" not in answers  # cruft leaves this out, and writes the link itself
    try:
        apply_switches(project, answers)
        if not linked and (link := template_link(template, answers)):
            text = json.dumps(link, indent=2, ensure_ascii=False) + "\n"
            (project / ".cruft.json").write_text(text, encoding="utf-8", newline="\n")
            linked = True
    except OSError as error:
        print(f"The project could not be finished: {error}. Is the folder writable?", file=sys.stderr)
        return 1
    has_git = git(project, "-c", "init.defaultBranch=main", "init", "--quiet") is not None
    print(next_steps(project, answers, has_git=has_git, linked=linked))
    return 0


if __name__ == "__main__":
    # Cookiecutter renders a hook while it stands in the template's folder.
    TEMPLATE = Path({{"." | absolute_path | pprint}})
    sys.exit(main(Path.cwd(), TEMPLATE, json.loads({{cookiecutter | jsonify | pprint}})))
