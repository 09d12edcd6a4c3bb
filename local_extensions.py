"""The Jinja filters that the template uses, loaded by Cookiecutter through `_extensions`."""

from __future__ import annotations

import gc
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, pass_environment
from jinja2.ext import Extension

TEMPLATE = Path(__file__).parent
# What stands for the project with the components where nobody knows it.
UNKNOWN_PROJECT = "org/py-ci-template"
# Answers that name nobody.
EXAMPLES = ("your-group", "you@example.com")
# Scheme, host, or host of SSH, and path of a project in the address of its repository; a letter before a colon is a
# drive of Windows.
PROJECT_ADDRESS = re.compile(
    r"(?:(?!file:)(\w[\w+.-]*)://(?:[^/@]*@)?([^/]+)/+|(?:[^/:@]*@)?([^/:]{2,}):(?!//)/*)([\w.-]+(?:/[\w.-]+)+)"
)
# The name of the project's folder in the template.
FOLDER = "{{cookiecutter.project_slug}}"


@cache
def run(file: str, source: bytes) -> dict[str, Any]:
    """Run a file with this content, once; return what it has defined."""
    return runpy.run_path(file)


def rules() -> dict[str, Any]:
    """Return what `answer_rules.py` has defined."""
    file = TEMPLATE / "answer_rules.py"
    return run(str(file), file.read_bytes())


def addresses() -> dict[str, Any]:
    """Return what `tools/addresses.py` has defined."""
    file = Path(__file__).with_name("tools") / "addresses.py"
    return run(str(file), file.read_bytes())


def quoted(value: Any) -> str:
    """Return a value as JSON, which is valid TOML for a string and valid YAML for anything."""
    return json.dumps(value, ensure_ascii=False)


def markdown_text(text: str) -> str:
    """Escape a line of plain text so that Markdown shows it as it is (CommonMark 0.31, 2.4)."""
    text = re.sub(r"([\\`*_\[\]<>~$|]|&(?=#?\w+;))", r"\\\1", text)
    text = re.sub(r"^(\d*)([#+.)-])", r"\1\\\2", text)  # would begin a heading or a list
    return re.sub(r"(?<=\s)(#+)$", r"\\\1", text)  # would close a heading


def shell_word(text: str) -> str:
    """Quote a text so that a POSIX shell reads it as one word."""
    return shlex.quote(text)


def python_literal(value: Any) -> str:
    """Return plain data as Python source: an answer cannot become code there."""
    return repr(json.loads(json.dumps(value)))


def typed(answer: Any) -> str:
    """Return an answer as a person types it."""
    return ("yes" if answer else "no") if isinstance(answer, bool) else str(answer)


def kept(
    environment: Environment, answers: Mapping[str, Any], questions: Mapping[str, Any], refused: set[str]
) -> dict[str, str]:
    """Return, as a person types them, the answers that are not the default of their question and were not refused."""
    found = {}
    for name in questions.keys() - refused:
        default = questions[name]
        usual = default[0] if isinstance(default, list) else default
        if isinstance(usual, str):
            usual = environment.from_string(usual).render(cookiecutter=answers)
        if typed(answers[name]) != typed(usual):
            found[name] = typed(answers[name])
    return {name: found[name] for name in questions if name in found}


def asked() -> tuple[list[str], list[str]] | None:
    """Return how the command that asks the questions was started, and its arguments; None where it asked none."""
    program, arguments = Path(sys.argv[0]), sys.argv[1:]
    if {"--no-input", "-y", "--replay", "--replay-file"} & {argument.partition("=")[0] for argument in arguments}:
        return None
    arguments = [addresses()["text_without_secrets"](argument) for argument in arguments]
    if program.stem == "__main__":
        return [Path(sys.executable).name, "-m", program.parent.name], arguments
    return [program.stem if shutil.which(program.stem) == str(program) else str(program)], arguments


def command_to_go_on(answers: Mapping[str, str], questions: Collection[str]) -> str | None:
    """Return the command that asks these questions again, with answers for defaults; None where no person was asked."""
    command = asked()
    if command is None:
        return None
    program, arguments = command
    if Path(program[-1]).stem == "cookiecutter":
        arguments = [argument for argument in arguments if argument.partition("=")[0] not in questions]
        arguments += [f"{name}={answer}" for name, answer in answers.items()]
    elif Path(program[-1]).stem == "cruft" and arguments[:1] == ["create"]:
        arguments += ["--extra-context", json.dumps(answers, ensure_ascii=False)]
    else:
        return None
    return (subprocess.list2cmdline if sys.platform == "win32" else shlex.join)([*program, *arguments])


@pass_environment
def check(environment: Environment, answers: dict[str, Any]) -> str:
    """End the program with a line for each answer that cannot be used, or make each yes and no a bool.

    Nothing in the engine catches the SystemExit, so these lines are the last ones.
    """
    declared = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    found = rules()["problems"](answers, declared)
    if found:
        message = "\n  - ".join(["The project was not made. Please change:", *found])
        questions = {name: default for name, default in declared.items() if not name.startswith("_")}
        refused = {line.partition(" ")[0] for line in found}
        # Of a host that is refused there is no address.
        known = {**answers, **({"_component_project": ""} if "gitlab_host" in refused else {})}
        message += f"\nSee {troubleshooting_here(known)}#answers"
        good = kept(environment, answers, questions, refused)
        command = command_to_go_on(good, questions)
        if command:
            message += f"\n\nThis asks again, and the Enter key keeps what was good:\n\n  {command}\n"
        sys.exit(message)
    switches = [name for name, value in declared.items() if isinstance(value, bool) and name in answers]
    answers.update({name: rules()["boolean"](answers[name]) for name in switches})
    return ""


def project_url(answers: Mapping[str, Any]) -> str:
    """Return the address of the project on GitLab."""
    return "https://{gitlab_host}/{gitlab_namespace}/{project_slug}".format(**answers)


def project(name: str, answers: Mapping[str, Any]) -> Any:
    """Return what a function of `project.py` says of the answers."""
    file = TEMPLATE / "project.py"
    return run(str(file), file.read_bytes())[name](answers)


def pipeline(answers: Mapping[str, Any]) -> Any:
    """Return the jobs of the project's pipeline, in the order of their stages."""
    return project("pipeline", answers)


def pythons(answers: Mapping[str, Any]) -> Any:
    """Return the Pythons that the project supports, oldest first."""
    return project("pythons", answers)


def job_image(answers: Mapping[str, Any]) -> Any:
    """Return the image that the jobs use."""
    return project("job_image", answers)


def absent_paths(answers: Mapping[str, Any]) -> Any:
    """Return the paths of the template that the project does not have."""
    nobody = [".gitlab/CODEOWNERS"] if answers["gitlab_namespace"] in EXAMPLES else []
    return [*project("absent_paths", answers), *nobody]


def components(answers: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the file of each component by its path in a project, None for one that the project does not have."""
    local = [job.component for job in pipeline(answers)] if answers["pipeline"] == "self-contained" else []
    files = sorted((TEMPLATE / "templates").glob("*.yml"))
    return {f".gitlab/ci/{file.name}": str(file) if file.stem in local else None for file in files}


def environment_of_git() -> dict[str, str]:
    """Return the variables without those that, inside a hook of git, name another repository whatever the folder is."""
    return {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}


def git(folder: Path, *question: str) -> str:
    """Return what git says of a folder, or nothing: there may be no git, or no repository."""
    try:
        asked = subprocess.run(["git", *question], cwd=folder, env=environment_of_git(), capture_output=True)
    except OSError:
        return ""
    return os.fsdecode(asked.stdout).strip() if asked.returncode == 0 else ""


@cache
def origin_of(template: Path) -> re.Match[str] | None:
    """Return where a template came from, over clones on this machine too; None where that is no address."""
    # A repository around a template that was unpacked there is not where it came from.
    ours = (template / ".git").exists() or git(template, "rev-parse", "HEAD:./cookiecutter.json")
    folder = template if ours else None
    seen: set[Path] = set()
    while folder and folder.is_dir() and folder not in seen:
        seen.add(folder)
        origin = addresses()["without_secrets"](git(folder, "config", "--get", "remote.origin.url")) or ""
        if found := PROJECT_ADDRESS.fullmatch(origin.rstrip("/").removesuffix(".git")):
            return found
        folder = folder / origin.removeprefix("file://") if origin else None
    return None


def host_of(origin: re.Match[str]) -> str:
    """Return the host of the pages of a project; the port of SSH is not theirs."""
    scheme, host, ssh_host, _ = origin.groups()
    return str(host) if scheme in ("http", "https") else (host or ssh_host).partition(":")[0]


def address_was_typed() -> bool:
    """Tell whether the command names the template by an address; a folder may be anybody's copy."""
    typed = [argument for argument in sys.argv[1:] if re.match(r"[\w+.-]+://|[\w.@-]{2,}:\w", argument)]
    return any(not argument.startswith("file:") and not Path(argument).exists() for argument in typed)


@cache
def person() -> dict[str, str]:
    """Return what git knows of the person who asks it, by the names of its settings."""
    lines = git(Path.cwd(), "config", "--get-regexp", r"^user\.(name|email)$").splitlines()
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


def known_here(name: str) -> str:
    """Return what git knows for an answer: who the person is, and on which GitLab the template is.

    Empty where it knows nothing, or nothing that the question takes.
    """
    found = ""
    if name.startswith("author_"):
        found = person().get(name.replace("author_", "user."), "")
    elif address_was_typed() and (origin := origin_of(TEMPLATE)):
        host = host_of(origin)
        if host not in ("gitlab.com", "github.com"):
            # Who runs a GitLab has the template in a group of their own; elsewhere it is a stranger's.
            found = host if name == "gitlab_host" else origin[4].rpartition("/")[0]
    return "" if not found or rules()["problem"](name, found, "") else found


def component_project(answers: Mapping[str, Any]) -> str:
    """Return the path of the project with the components on GitLab.

    It is what an organisation has set, or where the template came from; empty where that is no address of a project.
    """
    if answers["_component_project"]:
        return str(answers["_component_project"])
    found = origin_of(TEMPLATE)
    return found[4] if found else ""


def template_page(answers: Mapping[str, Any]) -> str:
    """Return the address of the template's project in a browser; empty where nobody knows one."""
    if answers["_component_project"]:
        return f"https://{answers['gitlab_host']}/{answers['_component_project']}"
    found = origin_of(TEMPLATE)
    return f"{found[1] if found[1] == 'http' else 'https'}://{host_of(found)}/{found[4]}" if found else ""


def troubleshooting(answers: Mapping[str, Any]) -> str:
    """Return the address of the document about what jobs say; empty where nobody knows one."""
    page = template_page(answers)
    files = "blob" if page.startswith("https://github.com/") else "-/blob"
    return f"{page}/{files}/{answers['_component_version']}/docs/troubleshooting.md" if page else ""


def template_package(answers: Mapping[str, Any]) -> str:
    """Return what pip and uv take for the version of the template that the project pins; empty where none can be said.

    A folder of this machine is said to nobody: everybody has the file in which this stands.
    """
    address = template_page(answers)
    found = None if answers["_component_project"] else origin_of(TEMPLATE)
    if found and not (found[1] or "").startswith("http"):
        # Who has it by SSH may have no other way.
        address = found[0] if found[1] else f"ssh://{found[0].replace(':', '/', 1)}"
    return f"git+{address}.git@{answers['_component_version']}" if address else ""


def component_address(answers: Mapping[str, Any]) -> str:
    """Return the address of the components without their names, as `include` has it."""
    return f"$CI_SERVER_FQDN/{component_project(answers) or UNKNOWN_PROJECT}"


def troubleshooting_here(answers: Mapping[str, Any]) -> str:
    """Return where a person finds that document now: its address, or its file in the template."""
    return troubleshooting(answers) or str(TEMPLATE / "docs" / "troubleshooting.md")


def is_update(answers: Mapping[str, Any]) -> bool:
    """Tell whether cruft makes the project only to compare it, in a folder that goes: for an update or a difference."""
    return "_repo_dir" not in answers and bool({"update", "diff"} & set(sys.argv[1:2]))


def warnings(answers: Mapping[str, Any]) -> dict[str, str]:
    """Return a line for each thing that will not work, or not as one would think, before a person has changed it.

    By the name of the paragraph about it in docs/troubleshooting.md.
    """
    host = answers["gitlab_host"]
    examples = [f"{name}={value}" for name, value in answers.items() if value in EXAMPLES]
    typed = [name for name, given, _ in (word.partition("=") for word in sys.argv[1:]) if given]
    # Cookiecutter says nothing of them.
    unknown = [name for name in typed if name.isidentifier() and name not in answers]
    lines = (
        (
            "unknown",
            unknown,
            f"Not an option, and ignored: {', '.join(unknown)}. docs/options.md of the template names all.",
        ),
        (
            "examples",
            examples,
            f"Still an example: {', '.join(examples)}. Make the project again with yours before you push it.",
        ),
        (
            "components",
            answers["pipeline"] == "components" and not component_project(answers),
            f"The address of the template names no project of GitLab: in .gitlab-ci.yml, write in place of "
            f"{UNKNOWN_PROJECT} the project on {host} that has the components.",
        ),
        (
            "keyless-host",
            answers["signing"] == "keyless" and host != "gitlab.com",
            f"The public Sigstore knows gitlab.com only: {host} needs one of its own to sign keyless, or signing=key.",
        ),
        (
            "license",
            answers["publish"] == "pypi" and answers["license"] == "Proprietary",
            "PyPI gives the package to everybody, though its licence reserves all rights: publish=gitlab keeps it.",
        ),
    )
    return {name: line for name, holds, line in lines if holds}


def template_link(answers: Mapping[str, Any]) -> str | None:
    """Return the `.cruft.json` with which cruft can update the project later.

    To be called in the template's folder, where Cookiecutter stands when it renders a hook.

    None where there is no telling: outside git the template has no commit to compare a later one
    with. Empty under cruft, which gives no `_repo_dir` and writes the file itself.
    """
    if "_repo_dir" not in answers:
        return ""
    questions = (
        ("rev-parse", "HEAD", "HEAD:./cookiecutter.json", "--show-toplevel", "--show-prefix"),
        ("config", "--get", "remote.origin.url"),
        ("for-each-ref", "--contains", "HEAD", "refs/remotes", "refs/tags"),
    )
    try:
        asked = [
            subprocess.Popen(
                ["git", *question],
                env=environment_of_git(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                errors="surrogateescape",
            )
            for question in questions
        ]
    except OSError:
        return None
    where, origin, published = (git.communicate()[0].strip() for git in asked)
    if asked[0].returncode:
        return None
    commit, _, top, *prefix = where.splitlines()
    # The origin; or this folder, where the commit is nowhere else.
    link = {
        "template": (addresses()["without_secrets"](origin) if published else None) or top,
        "commit": commit,
        "checkout": answers.get("_checkout"),
        "context": {"cookiecutter": {k: v for k, v in answers.items() if not k.startswith("_")}},
        "directory": "".join(prefix).strip("/") or None,
    }
    return json.dumps(link, indent=2) + "\n"


FILTERS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        absent_paths,
        check,
        component_address,
        components,
        is_update,
        job_image,
        known_here,
        markdown_text,
        pipeline,
        project_url,
        python_literal,
        pythons,
        quoted,
        shell_word,
        template_link,
        template_package,
        troubleshooting,
        troubleshooting_here,
        warnings,
    )
}
SOURCE = Path(__file__).read_bytes()

# What the engine has imported by now lives as long as it does. The collector need not walk through
# it again and again while templates compile, nor once more at the end: a tenth of the whole time.
gc.freeze()


class Filters(Extension):
    """Adds the filters of this file, as it is on disk now, to Jinja, and has the answers checked.

    `cruft update` renders the old and the new template in one process and from one folder; an
    imported module would still be the old one when the new template asks for a new filter. This
    class is the old one, so `check` must keep its name.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        unchanged = Path(__file__).read_bytes() == SOURCE
        environment.filters.update(FILTERS if unchanged else runpy.run_path(__file__)["FILTERS"])

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Change the source of a template before Jinja reads it; an answer's default is one too.

        All ways to make a project render the name of its folder from all answers, a replayed file
        too, and nothing is made before that: there they are refused.
        """
        if source == FOLDER:
            source = "{{ cookiecutter | check }}" + source
        # In the user's configuration, YAML takes the escapes of a surrogate pair for two characters.
        return source.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
