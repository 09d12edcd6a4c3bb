"""Makes one page of a run: its graph, time line, tests, coverage, findings, signatures and logs, without a network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from tools.pipeline.plan import Plan, critical_path
from tools.pipeline.progress import SIGNS, Progress
from tools.pipeline.results import Case, Results, Source

# Pixels of the graph: a job, the space between two, what the name of a stage takes.
WIDTH, HEIGHT, GAP, SPACE, HEAD = 144, 36, 10, 22, 30
# Characters that a job of the graph has room for, and pixels that a page has for a row of stages.
LETTERS, PAGE = 18, 1130
# Lines of a log that are shown; all of it is in a file.
LINES, LAST = 2000, 30
# Lines of a source that are shown around one that no test reaches.
AROUND = 4


@dataclass(frozen=True)
class Run:
    """A run of a pipeline: of which project, for which event and commit, when, and how it ended.

    `notes` are lines on what was different from GitLab.
    """

    project: str
    event: str
    commit: str
    when: str
    status: str
    seconds: float
    plan: Plan
    progress: Progress
    results: Results
    notes: list[str]


def graph(run: Run) -> dict[str, Any]:
    """Return where the jobs and stages of the graph are, and the lines between them."""
    plan, jobs = run.plan, list(run.plan.jobs)
    # Jobs of a stage that need each other stand side by side.
    depth: dict[str, int] = {}
    for _ in jobs:
        for name in jobs:
            same = [other for other in plan.needs[name] if plan.jobs[other] == plan.jobs[name]]
            depth[name] = max((depth.get(other, 0) + 1 for other in same), default=0)
    stages: list[dict[str, Any]] = []
    nodes: dict[str, dict[str, Any]] = {}
    left = top = bottom = 0
    for stage in plan.stages:
        inside = [name for name in jobs if plan.jobs[name] == stage]
        rows = [0] * (max((depth[name] for name in inside), default=0) + 1)
        width = len(rows) * (WIDTH + SPACE) - SPACE + 2 * GAP
        elsewhere = [other for name in inside for other in plan.needs[name] if other not in inside]
        if left + width > PAGE and not elsewhere:
            left, top = SPACE, bottom + GAP
        for name in inside:
            column = depth[name]
            x, y = left + GAP + column * (WIDTH + SPACE), top + HEAD + rows[column] * (HEIGHT + GAP)
            nodes[name] = {"x": x, "y": y, "name": name, "short": shortened(name)}
            rows[column] += 1
        bottom = max(bottom, top + HEAD + max(rows) * (HEIGHT + GAP))
        stages.append({"x": left, "y": top, "width": width, "name": stage})
        left += width + SPACE
    for place in stages:
        # Those of a row are as high as the highest.
        beside = [node["y"] + HEIGHT + GAP for node in nodes.values() if node["y"] >= place["y"] + HEAD]
        later = [other["y"] for other in stages if other["y"] > place["y"]]
        place["height"] = max(end for end in beside if not later or end <= min(later)) - place["y"]
    edges = []
    for name in jobs:
        for other in plan.needs[name]:
            start, end = nodes[other], nodes[name]
            x, y, to, down = start["x"] + WIDTH, start["y"] + HEIGHT / 2, end["x"], end["y"] + HEIGHT / 2
            bend = max((to - x) / 2, 12)
            edges.append(f"M{x} {y:g}C{x + bend:g} {y:g} {to - bend:g} {down:g} {to} {down:g}")
    # A stage whose jobs name none that they need waits for the one before it.
    waiting = {plan.jobs[name] for name in jobs if plan.before[name] and not plan.needs[name]}
    arrows = [
        f"M{stage['x'] - SPACE + 4} {stage['y'] + HEAD / 2:g}H{stage['x'] - 4}"
        for number, stage in enumerate(stages)
        if number and stage["name"] in waiting
    ]
    return {
        "width": max((stage["x"] + stage["width"] for stage in stages), default=0),
        "height": bottom,
        "job": WIDTH,
        "row": HEIGHT,
        "stages": stages,
        "nodes": list(nodes.values()),
        "edges": edges,
        "arrows": arrows,
    }


def shortened(name: str) -> str:
    """Return a name as far as there is room for it."""
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def time_line(run: Run) -> dict[str, Any]:
    """Return the bars of the jobs that ran, in the order in which they began, and the ticks below them."""
    ran = {name: job for name, job in run.progress.jobs.items() if job.began is not None and job.ended is not None}
    times = {name: (job.began or 0.0, job.ended or 0.0) for name, job in ran.items()}
    path = critical_path(times, run.plan.before)
    total = max((end for _, end in times.values()), default=0) or 1
    step = next((each for each in (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if total / each <= 8), 1800)
    bars = []
    for name, (begin, end) in sorted(times.items(), key=lambda each: each[1]):
        width = max(100 * (end - begin) / total, 0.4)
        bars.append({"name": name, "left": 100 * begin / total, "width": width, "critical": name in path})
    ticks = [{"left": 100 * step * n / total, "seconds": f"{step * n:g}"} for n in range(int(total / step) + 1)]
    seconds = sum(times[name][1] - times[name][0] for name in path)
    return {"bars": bars, "ticks": ticks, "path": path, "seconds": seconds}


def excerpt(source: Source) -> list[tuple[int, str, int | None]]:
    """Return the numbered lines around those that no test reaches, or all where there are none of these.

    What lies between is a line with the number 0.
    """
    lines: list[tuple[int, str, int | None]] = []
    for number, (line, hits) in enumerate(source.lines, 1):
        if not source.missed or any(abs(number - missed) <= AROUND for missed in source.missed):
            lines.append((number, line, hits))
        elif not lines or lines[-1][0]:
            lines.append((0, "", None))
    return lines


def ranges(numbers: list[int]) -> str:
    """Return numbers as people write them: 3-5, 9."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def render(run: Run, logs: dict[str, Path], mask: Callable[[str], str] = str) -> str:
    """Return the page; `logs` are the files with all that a job printed, `mask` is applied to all that it shows."""

    def masked(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else mask(value)

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=masked,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"excerpt": excerpt, "ranges": ranges}
    cases = run.results.cases
    # One that fails on several Pythons is shown once.
    failures: dict[tuple[str, str], list[tuple[str, Case]]] = {}
    for job, case in cases:
        if case.status == "failed":
            failures.setdefault((case.suite, case.name), []).append((job, case))
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        run=run,
        jobs=run.progress.jobs,
        ids={name: f"job-{number}" for number, name in enumerate(run.progress.jobs)},
        signs={status: sign for status, (sign, _) in SIGNS.items()},
        classes={status: re.sub(r"\W+", "-", status) for status in SIGNS},
        graph=graph(run),
        time_line=time_line(run),
        failed=failures,
        slowest=sorted(cases, key=lambda each: -each[1].seconds)[:5],
        logs=logs,
        limit=LINES,
        last=LAST,
        style=Markup(style),  # noqa: S704
        digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
