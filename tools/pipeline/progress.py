"""Follows a pipeline as its runner prints what the jobs do, and shows it: a live table, or a line for each change."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

# A sign as well as a colour, which not everybody can tell apart.
SIGNS = {
    "waiting": ("·", "dim"),
    "running": ("▸", "cyan"),
    "passed": ("✓", "green"),
    "failed": ("✕", "bold red"),
    "failed, allowed": ("!", "yellow"),
    "interrupted": ("■", "yellow"),
    "skipped": ("»", "dim"),
}
ENDED = {"": "passed", "FAIL": "failed", "WARN": "failed, allowed"}
FINISHED = re.compile(r"finished in [\d.]+ (?:ms|s|min)\b(?: +(FAIL|WARN)\b)?")
# What a terminal acts on: https://ecma-international.org/publications-and-standards/standards/ecma-48/
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
# Commands that are none of the job's own, and one that keeps what to do if the next ones fail: in the log of a job that
# passes it reads like an error.
HIDDEN = re.compile(r'\$ (?:if \[ -e "\$GITLAB_CI_LOCAL_STATE/| *REMEDY=)')
# How many lines of the log of a failed job are shown.
TAIL = 15


@dataclass
class Job:
    """A job: how it goes, and what it has printed; `began` and `ended` are in seconds since the pipeline began."""

    stage: str
    status: str = "waiting"
    began: float | None = None
    ended: float | None = None
    log: list[str] = field(default_factory=list)

    def seconds(self, now: float) -> float | None:
        """Return how long it took, or takes by now."""
        return None if self.began is None else (now if self.ended is None else self.ended) - self.began


def clean(text: str) -> str:
    """Return a line as a terminal or a page can show it: without what either would act on."""
    # What a program writes over itself is a bar that moves.
    text = ESCAPES.sub("", text.rstrip("\r\n")).rpartition("\r")[2].expandtabs(4)
    return "".join(character for character in text if character.isprintable())


def say(console: Console, text: str, style: str = "") -> None:
    """Print lines as they are, but for what a terminal would act on."""
    console.print(Text("\n".join(map(clean, text.split("\n"))), style), soft_wrap=True)


class Progress:
    """The jobs of a pipeline that runs; `mask` is applied to all that they print."""

    def __init__(self, jobs: Mapping[str, str], mask: Callable[[str], str] = str) -> None:
        self.jobs = {name: Job(stage) for name, stage in jobs.items()}
        # What the runner itself said.
        self.other: list[str] = []
        self.output: list[str] = []
        self._mask = mask
        self._begin = time.monotonic()
        # The name of one may begin that of another.
        self._names = sorted(jobs, key=len, reverse=True)

    @property
    def now(self) -> float:
        """The seconds since the pipeline began."""
        return time.monotonic() - self._begin

    def feed(self, line: str) -> str | None:
        """Take a line of the runner's output; return what changed, if a job began or ended."""
        text = line.rstrip("\r\n")
        name = next((name for name in self._names if text.startswith(f"{name} ")), None)
        if name is None:
            self.output.append(clean(self._mask(text)))
            self.other += [self.output[-1]] if text else []
            return None
        # What a job prints cannot look like a line of the runner, or of another job.
        said = text[len(name) :].lstrip()
        begin, said = text[: len(text) - len(said)], said[:2] + clean(self._mask(said[2:]))
        if not HIDDEN.match(said):
            self.output.append(f"{begin}{said}")
        job = self.jobs[name]
        if said.startswith("starting ") and job.began is None:
            job.status, job.began = "running", self.now
            return f"{name}: started"
        if said.startswith(("> ", "$ ")) or said in (">", "$"):
            if not HIDDEN.match(said):
                job.log.append(said if said.startswith("$") else said[2:])
        elif (finished := FINISHED.match(said)) and job.ended is None:
            job.status, job.ended = ENDED[finished[1] or ""], self.now
            return f"{name}: {job.status}, {job.seconds(self.now):.1f} s"
        return None

    def close(self, interrupted: bool = False) -> None:
        """Say how the jobs ended that did not end themselves."""
        for job in self.jobs.values():
            if job.status == "running":
                job.status, job.ended = "interrupted" if interrupted else "failed", self.now
            elif job.status == "waiting":
                job.status = "skipped"

    @property
    def failed(self) -> list[str]:
        """The names of the jobs that failed."""
        return [name for name, job in self.jobs.items() if job.status == "failed"]

    @property
    def text(self) -> str:
        """The jobs as a table of plain text: name, status and seconds."""
        width = max(len(clean(name)) for name in ["job", *self.jobs])
        lines = [f"{'job':{width}}  status  seconds"]
        for name, job in self.jobs.items():
            seconds = job.seconds(self.now)
            lines.append(
                f"{clean(name):{width}}  {job.status}  {'' if seconds is None else f'{seconds:7.1f}'}".rstrip()
            )
        return "\n".join(lines)

    def table(self, title: str = "", live: bool = False) -> Table:
        """Return the jobs as a table of rich: with the last line of those that run, where it is `live`."""
        table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("", no_wrap=True)
        table.add_column("job", no_wrap=True)
        table.add_column("stage", style="dim", no_wrap=True)
        table.add_column("status", no_wrap=True)
        table.add_column("seconds", justify="right", no_wrap=True)
        if live:
            table.add_column("last line", style="dim", no_wrap=True, overflow="ellipsis", ratio=1)
        for name, job in self.jobs.items():
            sign, style = SIGNS[job.status]
            seconds = job.seconds(self.now)
            # Texts, not strings: what a job is called or prints is no markup.
            row = [Text(sign, style), Text(clean(name)), Text(clean(job.stage)), Text(job.status, style)]
            row.append(Text("" if seconds is None else f"{seconds:.1f}"))
            if live:
                row.append(Text(job.log[-1] if job.log and job.status == "running" else ""))
            table.add_row(*row)
        return table

    def __rich__(self) -> Table:
        """Return the live table, as it is now."""
        return self.table(live=True)


@contextmanager
def shown(progress: Progress, console: Console, plain: bool) -> Iterator[Callable[[str], object]]:
    """Show a pipeline while it runs; give what takes the lines of its runner."""
    if plain:

        def watch(line: str) -> None:
            if changed := progress.feed(line):
                say(console, changed)

        yield watch
        return
    with Live(progress, console=console, refresh_per_second=4, transient=True, vertical_overflow="crop"):
        yield progress.feed


def print_end(progress: Progress, console: Console, plain: bool, logs: Mapping[str, object]) -> None:
    """Print the logs of failed jobs, as far as they tell why, with where all of each is; then the table."""
    for name in progress.failed:
        say(console, f"\n{name}: the end of its log, which is {logs[name]}", "bold")
        say(console, "\n".join(f"  {line}" for line in progress.jobs[name].log[-TAIL:]))
    console.print()
    if plain:
        say(console, progress.text)
    else:
        console.print(progress.table())
