"""Writes the parts of the documents that follow from the components: `python -m tools.reference`.

Each stands between two comments in its document: the inputs of the components in docs/reference.md, the graph of the
default project's pipeline in docs/pipeline.md, and its stages in README.md. A test finds those that are out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from project import pipeline
from tools.components import component, component_names, inputs_of, jobs_of
from tools.options import DECLARED, DEFAULTS, ROOT

COMMAND = "python -m tools.reference"
# The whole value of a key, which an input gives.
A_LIST = re.compile(r"\$\[\[ inputs\.(\w+) \]\]")
HEAD = ["input", "default", "what is accepted", "what it is"]
# An input that so many components declare alike stands in the reference once.
ALIKE = 3


def code(value: Any) -> str:
    """Show a value as code in a cell of a table, where even in code a `|` ends the cell unless it is escaped."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`".replace("|", r"\|") if text else "nothing"


def accepted(spec: dict[str, Any]) -> str:
    """Say what an input accepts: the values or the expression that GitLab checks, or its type."""
    if "options" in spec:
        return ", ".join(map(code, spec["options"]))
    if "regex" in spec:
        return code(spec["regex"])
    return {"array": "a list", "boolean": "`true`, `false`", "number": "a number"}.get(spec.get("type", ""), "any text")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def row(key: str, spec: dict[str, Any]) -> list[str]:
    """Describe an input."""
    default = code(spec["default"]) if "default" in spec else "required"
    return [f"`{key}`", default, accepted(spec), spec["description"].replace("|", r"\|")]


def declared() -> list[tuple[str, dict[str, Any], list[str]]]:
    """Return each input as it is declared, and the components that declare it so."""
    found: list[tuple[str, dict[str, Any], list[str]]] = []
    for name in component_names():
        for key, spec in inputs_of(name).items():
            names = next((names for *known, names in found if known == [key, spec]), None)
            if names is None:
                found.append((key, spec, [name]))
            else:
                names.append(name)
    return found


def section(name: str, shared: list[tuple[str, dict[str, Any]]]) -> str:
    """Describe a component: what for, what its job does, its inputs, and the variables that it sets."""
    text = component(name)
    content = jobs_of(name)[name]
    (purpose,) = re.findall(rf"\A# Component `{name}`: (.+)", text)
    (comment,) = re.findall(r"\n---\n((?:# .+\n)+)", text)
    inputs = {key: spec for key, spec in inputs_of(name).items() if key != "stage"}
    own = [row(key, spec) for key, spec in inputs.items() if (key, spec) not in shared]
    others = ", ".join(f"`{key}`" for key, spec in inputs.items() if (key, spec) in shared)
    # A variable that holds an input is set by that.
    set_here = [key for key, value in content.get("variables", {}).items() if not A_LIST.fullmatch(str(value))]
    variables = ", ".join(f"`{variable}`" for variable in set_here)
    paragraphs = [
        f"## `{name}`",
        purpose[0].upper() + purpose[1:],
        " ".join(line.removeprefix("# ") for line in comment.splitlines()),
        *([table(HEAD, own)] if own else []),
        *([f"[Shared inputs](#inputs-of-several-components): {others}."] if others else []),
        *([f"Sets {variables}."] if variables else []),
    ]
    return "\n\n".join(paragraphs)


def components() -> str:
    """Describe all components, and first the inputs that several have."""
    shared = [(key, spec, names) for key, spec, names in declared() if key != "stage" and len(names) >= ALIKE]
    stages = [(spec, names) for key, spec, names in declared() if key == "stage"]
    (stage,) = {accepted(spec) for spec, _ in stages}
    paragraphs = [
        "## Inputs of several components",
        table([*HEAD, "components"], [[*row(key, spec), ", ".join(names)] for key, spec, names in shared]),
        f"Every component has the input `stage`, which accepts {stage}.",
        table(
            ["default of `stage`", "what it is", "components"],
            [[*row("stage", spec)[1::2], ", ".join(names)] for spec, names in stages],
        ),
        *(section(name, [(key, spec) for key, spec, _ in shared]) for name in component_names()),
    ]
    return "\n\n".join(paragraphs)


@dataclass(frozen=True)
class Drawing:
    """The default project's pipeline, and its parts as Mermaid names them."""

    stages: list[str]
    jobs: dict[str, dict[str, Any]]

    def has_rules(self, name: str) -> bool:
        """Tell whether a job runs for some pushes only, such as those of tags."""
        job = self.jobs[name]
        rules = job.get("rules") or self.jobs.get(job.get("extends", ""), {}).get("rules") or []
        return bool(rules) and not any("changes" in rule for rule in rules)

    def within(self, stage: str) -> list[str]:
        """Return the jobs of a stage."""
        return [name for name, job in self.jobs.items() if job["stage"] == stage]


def default_pipeline() -> Drawing:
    """Read the pipeline of a project with the default options."""
    jobs = {}
    for job in pipeline({**DECLARED, **DEFAULTS}):
        given = {name: spec["default"] for name, spec in inputs_of(job.component).items()} | job.inputs
        content = {**jobs_of(job.component)[job.component], "stage": job.stage}
        lists = {key: given[found[1]] for key, value in content.items() if (found := A_LIST.fullmatch(str(value)))}
        jobs[job.component] = {**content, **lists}
    return Drawing(list(dict.fromkeys(job["stage"] for job in jobs.values())), jobs)


def node(name: str) -> str:
    """Return a name that Mermaid takes for a node."""
    return name.strip(".").replace("-", "_")


def graph() -> str:
    """Draw stages and jobs, what a job needs, and whose files it takes."""
    drawing = default_pipeline()
    lines = ["```mermaid", "flowchart LR"]
    for stage in drawing.stages:
        lines.append(f'  subgraph stage_{node(stage)} ["{stage}"]')
        for name in drawing.within(stage):
            lines.append(f"    {node(name)}([{name}])" if drawing.has_rules(name) else f"    {node(name)}[{name}]")
        lines.append("  end")
    for name, job in drawing.jobs.items():
        for need in job.get("needs", []):
            lines.append(f"  {node(need if isinstance(need, str) else need['job'])} --> {node(name)}")
        for dependency in job.get("dependencies", []):
            lines.append(f"  {node(dependency)} -.-> {node(name)}")
    for earlier, stage in pairwise(drawing.stages):
        if any("needs" not in drawing.jobs[name] for name in drawing.within(stage)):
            lines.append(f"  stage_{node(earlier)} ==> stage_{node(stage)}")
    return "\n".join([*lines, "```"])


def stages() -> str:
    """Draw the stages: those of every push, and those that only a tag has."""
    drawing = default_pipeline()
    only_tags = [stage for stage in drawing.stages if all(map(drawing.has_rules, drawing.within(stage)))]
    lines = ["```mermaid", "flowchart LR"]
    lines += ['  subgraph push ["every push: side by side"]']
    for stage in drawing.stages:
        if stage not in only_tags:
            jobs = [name for name in drawing.within(stage) if not drawing.has_rules(name)]
            lines.append(f'    stage_{node(stage)}["{"<br>".join(jobs)}"]')
    lines += ["  end", '  subgraph tag ["a protected tag: one after the other"]']
    for stage in only_tags:
        lines.append(f'    stage_{node(stage)}["{"<br>".join(drawing.within(stage))}"]')
    lines += ["  end", f"  push ==> stage_{node(only_tags[0])}"]
    lines += [f"  stage_{node(earlier)} --> stage_{node(stage)}" for earlier, stage in pairwise(only_tags)]
    return "\n".join([*lines, "```"])


GENERATED: dict[Path, Callable[[], str]] = {
    ROOT / "README.md": stages,
    ROOT / "docs" / "reference.md": components,
    ROOT / "docs" / "pipeline.md": graph,
}
BEGIN, END = f"<!-- Written by `{COMMAND}`. -->", "<!-- End of what is written. -->"


def brought_up_to_date(document: Path) -> str:
    """Return the text of a document with its generated part as it should be.

    Raises ValueError where the document does not have the two comments, each once.
    """
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ValueError(f"{document} needs each of these once: {BEGIN} {END}")
    return f"{before}{BEGIN}\n\n{GENERATED[document]()}\n\n{END}{after}"


def main() -> int:
    """Write every generated part; say which documents changed."""
    for document in GENERATED:
        written = brought_up_to_date(document)
        if written != document.read_text(encoding="utf-8"):
            document.write_text(written, encoding="utf-8")
            print(f"{document.relative_to(ROOT)} is up to date now.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
