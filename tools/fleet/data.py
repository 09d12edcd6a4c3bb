"""What is kept of projects: the file fleet.json, and the link to the template, which anybody may have written."""

import json
import math
import os
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import (
    Annotated,
    Any,
    NamedTuple,
    NotRequired,
    TypedDict,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

FORMAT = 1
LINK = ".cruft.json"
# Bytes of a link; that of a project has about one thousand.
LARGEST = 100_000
# Characters of an answer, and how many answers are kept.
LONGEST, MOST = 1000, 100
VERSION = re.compile(r"v?([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})")
# What the template refuses in a line: syntax of Jinja, control characters, breaks, and what reorders or is no text.
REFUSED = re.compile(r"\{[{%#]|[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
COMMIT = re.compile(r"[0-9a-f]{40,64}")


class FleetError(Exception):
    """A command cannot go on: the paragraph about it in docs/troubleshooting.md, and a line on what to do."""

    def __init__(self, paragraph: str, message: str) -> None:
        super().__init__(message)
        self.paragraph = paragraph


# A time as GitLab or git writes it; `load` tells it from other texts.
Moment = Annotated[str, "a time"]


class Release(TypedDict):
    """A release of the template, with its commit, and the time of its tag."""

    version: str
    commit: str
    at: Moment


class Run(TypedDict):
    """How the newest pipeline with a release went: since when it passes, and when one last failed, if ever."""

    status: str
    url: str
    at: Moment
    since: Moment | None
    broke: Moment | None


class Pipeline(TypedDict):
    """The newest pipeline of a branch."""

    status: str
    url: str
    sha: str
    at: Moment
    created_at: NotRequired[Moment]


class MergeRequest(TypedDict):
    """The newest merge request of the bot."""

    iid: int
    url: str
    title: str
    version: str | None
    state: str
    draft: bool
    conflicts: bool
    sha: str
    created_at: Moment
    pipeline: Pipeline | None


class Published(TypedDict):
    """The newest release of a project; `verified` says whether its signature holds: `yes`, `no` or `unknown`."""

    tag: str
    at: Moment
    asset: list[str]
    url: str
    verified: NotRequired[str]
    why: NotRequired[str]
    checked_at: NotRequired[Moment]


class Changes(TypedDict, total=False):
    """Which files of the template, of how many, a project has otherwise or lacks, or why nobody knows."""

    tree: str
    of: int
    changed: list[str]
    removed: list[str]
    reason: str


class Project(TypedDict):
    """What is known of a project; `state` is one of STATES, with a reason where it is not `ok`.

    `read_at` is when its files were read, `asked_at` when all was asked for that leaves no trace in `active_at`. `runs`
    has the pipelines of the default branch, and `trials` those of merge requests, by the release that they ran with.
    """

    id: int
    path: str
    url: str
    topics: list[str]
    active_at: Moment
    read_at: Moment
    asked_at: Moment
    state: str
    reason: str
    branch: NotRequired[str]
    commit: NotRequired[str]
    version: NotRequired[str | None]
    answers: NotRequired[dict[str, str | float]]
    pipeline: NotRequired[Pipeline | None]
    runs: NotRequired[dict[str, Run]]
    trials: NotRequired[dict[str, Run]]
    merge_request: NotRequired[MergeRequest | None]
    release: NotRequired[Published | None]
    changes: NotRequired[Changes]


# `none`: not made from a template; `other`: made from another one.
STATES = ("ok", "none", "other", "archived", "empty", "forbidden", "broken")


class Day(TypedDict):
    """How many projects had each version on a day."""

    day: Moment
    versions: dict[str, int]


class Fleet(TypedDict):
    """The file fleet.json; `history` has the number of projects by version on each day, oldest first."""

    format: int
    at: Moment
    template: str
    groups: list[str]
    releases: list[Release]
    projects: list[Project]
    requests: int
    seconds: float
    history: list[Day]


class Link(NamedTuple):
    """The link of a project to its template."""

    template: str
    commit: str
    directory: str
    answers: dict[str, Any]


class BrokenLinkError(Exception):
    """A link is not as cruft writes it; the message says in which way."""


def plain(text: str) -> str:
    """Return a text without what a terminal or a browser would act on."""
    return "".join(character if character.isprintable() else " " for character in text)


def read_link(content: bytes) -> Link:
    """Return what a link says; raise BrokenLinkError where it is not as cruft writes it."""
    if len(content) > LARGEST:
        raise BrokenLinkError(f"{LINK} is larger than {LARGEST} bytes")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise BrokenLinkError(f"{LINK} is not JSON") from None
    context = found.get("context") if isinstance(found, dict) else None
    answers = context.get("cookiecutter") if isinstance(context, dict) else None
    if not isinstance(answers, dict):
        raise BrokenLinkError(f"{LINK} has no answers")
    template, commit, directory = (found.get(name) or "" for name in ("template", "commit", "directory"))
    if not (isinstance(template, str) and isinstance(directory, str) and len(template + directory) <= LONGEST):
        raise BrokenLinkError(f"{LINK} names no template")
    if not (isinstance(commit, str) and COMMIT.fullmatch(commit)):
        raise BrokenLinkError(f"{LINK} names no commit")
    # Private ones are the template's own, and no answers of a person.
    public = {name: value for name, value in answers.items() if not name.startswith("_")}
    if len(public) > MOST or not all(is_answer(name) and is_answer(value) for name, value in public.items()):
        raise BrokenLinkError(f"{LINK} has answers that nobody can give")
    return Link(plain(template), commit, plain(directory), public)


def is_answer(value: Any) -> bool:
    """Tell whether a value is one that a person can answer; cookiecutter would run syntax of Jinja."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return len(value) <= LONGEST and not REFUSED.search(value)
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**53)


def order(version: str) -> tuple[int, ...]:
    """Return what versions are compared by."""
    found = VERSION.fullmatch(version)
    return tuple(map(int, found.groups())) if found else ()


def moment(text: str) -> datetime:
    """Return a time that GitLab or git has written."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def dated(value: Any) -> Moment:
    """Return what GitLab gives as a time; raise ValueError or TypeError where it is none."""
    return str(moment(value) and value)


def days_between(earlier: str, later: datetime) -> float:
    """Return how many days there are between two times."""
    return (later - moment(earlier)) / timedelta(days=1)


@cache
def kinds_of(wanted: Any) -> dict[str, Any]:
    """Return the types of the parts of a TypedDict; to find them takes long, and projects are thousands."""
    return get_type_hints(wanted, include_extras=True)


def fits(value: Any, wanted: Any) -> bool:
    """Tell whether a value of JSON is of a type that is written here."""
    parts = get_args(wanted)
    if wanted == Moment:
        try:
            return bool(moment(value))
        except (ValueError, TypeError):
            return False
    if is_typeddict(wanted):
        kinds = kinds_of(wanted)
        sound = isinstance(value, dict) and wanted.__required_keys__ <= value.keys()
        return sound and all(fits(value[name], kind) for name, kind in kinds.items() if name in value)
    if get_origin(wanted) is list:
        return isinstance(value, list) and all(fits(each, parts[0]) for each in value)
    if get_origin(wanted) is dict:
        return isinstance(value, dict) and all(fits(each, parts[1]) for each in value.values())
    if parts:
        return any(fits(value, kind) for kind in parts)
    return isinstance(value, (int, float) if wanted is float else wanted)


def load(file: Path) -> Fleet:
    """Return what was kept; raise FleetError where it is not what `collect` writes."""
    try:
        found = json.loads(file.read_bytes())
        if fits(found, Fleet) and found["format"] == FORMAT and found["history"]:
            return cast("Fleet", found)
    except (OSError, ValueError, RecursionError):
        pass
    raise FleetError("fleet-file", f"{file} is not what this version of collect writes: run it anew.")


def save(file: Path, text: str) -> None:
    """Write a file whole, or leave what is there; a link stays one, and so does what is no file, such as /dev/null."""
    target = Path(os.path.realpath(file))
    # Another process may write the same file.
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if file.exists() and not file.is_file():
            file.write_text(text, encoding="utf-8")
            return
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise FleetError("fleet-write", f"{file} cannot be written: {error.strerror}.") from None
