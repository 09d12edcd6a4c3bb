"""Writes the parts of the documents that follow from the components: `python -m tests.reference`.

Each stands between two comments in its document: the inputs of the components in docs/components.md, the graph of the
default project's pipeline in docs/pipeline.md. A test finds those that are out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from tests.options import DEFAULTS, ROOT
from tests.pipeline import component, component_names, render

COMMAND = "python -m tests.reference"
HEAD = "| input | type | default | what is accepted | what it is |\n| --- | --- | --- | --- | --- |"


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


def section(name: str) -> str:
    """Describe a component: what for, its job, its inputs, and the variables that it sets."""
    text = component(name)
    header, jobs = yaml.safe_load_all(text)
    (job, content), *_ = jobs.items()
    inputs = (header.get("spec") or {}).get("inputs") or {}
    (purpose,) = re.findall(rf"\A# Component `{name}`: (.+)", text)
    (comment,) = re.findall(r"\n---\n((?:# .+\n)+)", text)
    rows = [
        f"| `{key}` | {spec.get('type', 'string')} | {code(spec['default']) if 'default' in spec else 'required'} "
        f"| {accepted(spec)} | {spec['description'].replace('|', chr(92) + '|')} |"
        for key, spec in inputs.items()
    ]
    variables = ", ".join(f"`{variable}`" for variable in content.get("variables", {}))
    paragraphs = [
        f"### `{name}`",
        purpose[0].upper() + purpose[1:],
        f"Job: `{job}`. " + " ".join(line.removeprefix("# ") for line in comment.splitlines()),
        *(["\n".join([HEAD, *rows])] if rows else []),
        *([f"Variables that it sets: {variables}."] if variables else []),
    ]
    return "\n\n".join(paragraphs)


def components() -> str:
    """Describe all components."""
    return "\n\n".join(map(section, component_names()))


def graph() -> str:
    """Draw the default project's pipeline: stages, jobs, what a job needs, and whose files it takes."""
    pipeline = yaml.safe_load(render(".gitlab-ci.yml", DEFAULTS))
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    stages = [".pre", *pipeline["stages"]]

    def of_a_tag(job: dict[str, Any]) -> bool:
        return "rules" in job or "rules" in jobs.get(job.get("extends", ""), {})

    def node(name: str) -> str:
        return name.strip(".").replace("-", "_")

    lines = ["```mermaid", "flowchart LR"]
    for stage in stages:
        lines.append(f'  subgraph stage_{node(stage)} ["{stage}"]')
        for name, job in jobs.items():
            if job["stage"] == stage:
                lines.append(f"    {node(name)}{f'([{name}])' if of_a_tag(job) else f'[{name}]'}")
        lines.append("  end")
    for name, job in jobs.items():
        for need in job.get("needs", []):
            lines.append(f"  {node(need if isinstance(need, str) else need['job'])} --> {node(name)}")
        for dependency in job.get("dependencies", []):
            lines.append(f"  {node(dependency)} -.-> {node(name)}")
    for earlier, stage in pairwise(stages):
        if any(job["stage"] == stage and "needs" not in job for job in jobs.values()):
            lines.append(f"  stage_{node(earlier)} ==> stage_{node(stage)}")
    return "\n".join([*lines, "```"])


GENERATED: dict[Path, Callable[[], str]] = {
    ROOT / "docs" / "components.md": components,
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
