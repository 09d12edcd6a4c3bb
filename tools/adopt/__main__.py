"""Brings the pipeline to a project that the template did not make: `py-ci-adopt`, in a clone of it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.addresses import text_without_secrets
from tools.adopt.answers import answers_of
from tools.adopt.metadata import read_package
from tools.adopt.plan import PIPELINE, make_plan
from tools.adopt.repository import GitError, RefusedError, Repository
from tools.adopt.template import clone, declared, installed_from, render

BRANCH = "adopt-py-ci-template"
# As the input `directory` takes it.
FOLDER = re.compile(r"\.|\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
TITLE = "Take the pipeline of py-ci-template"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="py-ci-adopt",
        description="Say what a project, whose clone this folder is, needs for the pipeline of the template and its "
        "updates. Nothing is changed but with --apply or --merge-request, and the files of the folder never.",
    )
    parser.add_argument("answers", nargs="*", metavar="NAME=VALUE", help="an answer to a question of the template")
    parser.add_argument("--template", metavar="ADDRESS", help="the template; else what this program was installed from")
    parser.add_argument("--checkout", metavar="VERSION", default="", help="its version; else that of this program")
    parser.add_argument(
        "--directory", action="append", metavar="FOLDER", help="the folder of a package; can be repeated for several"
    )
    parser.add_argument("--apply", action="store_true", help=f"commit the change to a new branch, {BRANCH}")
    parser.add_argument(
        "--merge-request", action="store_true", help="push that branch too, and let GitLab open a merge request"
    )
    given = parser.parse_args(words)
    if wrong := [each for each in given.answers if "=" not in each]:
        parser.error(f"{wrong[0]!r} is no NAME=VALUE")
    return given


def adopt(given: argparse.Namespace, folder: Path) -> str:
    """Do what was asked; return what to say at the end."""
    repository = Repository(folder)
    directories = [Path(each).as_posix() for each in given.directory or ["."]]
    if odd := [each for each in directories if not FOLDER.fullmatch(each)]:
        raise RefusedError("adopt-package", f"{odd[0]!r} is no folder of the repository that its jobs can be told.")
    packages = [read_package(repository, each) for each in dict.fromkeys(directories)]
    answered = dict(each.split("=", 1) for each in given.answers)
    address, revision = installed_from()
    if given.template:
        address, revision = given.template, ""
        address = str(Path(address).resolve()) if Path(address).is_dir() else address
    revision = given.checkout or revision
    if not address:
        raise RefusedError("adopt-template", "Nobody knows here where the template is: add --template ADDRESS.")
    with TemporaryDirectory() as temporary:
        template = clone(address, revision, Path(temporary))
        asked = declared(template)
        pipeline = repository.read(PIPELINE) or ""
        # What the jobs of a folder do not have, or what only one package of a repository can.
        fixed = {"pipeline": "self-contained", "publish": "none", "signing": "none"} if directories != ["."] else {}
        if refused := [name for name, value in fixed.items() if answered.get(name, value) != value]:
            raise RefusedError("adopt-answers", f"With --directory there is only {refused[0]}={fixed[refused[0]]}.")
        answered |= fixed
        answers = {each.folder: answers_of(each, repository, asked, pipeline, answered) for each in packages}
        rendered = {folder: render(template, found) for folder, found in answers.items()}
    plan = make_plan(repository, packages, answers, rendered, revision)
    print(plan.text)
    if not (given.apply or given.merge_request):
        return "Nothing was changed. --apply makes it a commit on a new branch, --merge-request a merge request too."
    commit = repository.commit(plan.files, f"{TITLE}\n\n{plan.text}\n")
    repository.make_branch(BRANCH, commit)
    if given.merge_request:
        return f"{repository.propose(BRANCH, TITLE)}\nThe branch {BRANCH} is pushed.".lstrip()
    return f"The branch {BRANCH} has it: git switch {BRANCH}"


def shown(said: str) -> str:
    """Return what was said without a token that an address has, and without what would move a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text_without_secrets(said))


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; return the exit status."""
    try:
        print(shown(adopt(arguments(words), Path.cwd())))
    except (RefusedError, GitError) as refused:
        paragraph = refused.paragraph if isinstance(refused, RefusedError) else "adopt-repository"
        print(f"See py-ci-template/docs/troubleshooting.md#{paragraph}\n{shown(str(refused))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
