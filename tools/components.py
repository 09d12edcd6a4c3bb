"""The components of the template, as their files are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tools.commands import ROOT

# Where the tool is installed they are beside this file.
TEMPLATES = next(filter(Path.is_dir, (Path(__file__).with_name("templates"), ROOT / "templates")))


def reference(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[str]:
    """Read GitLab's own tag, with which a script takes over the lines of another job's."""
    return loader.construct_sequence(node)


# That of libyaml, where it is there, takes a tenth of the time.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
for each in (Loader, yaml.SafeLoader):
    each.add_constructor("!reference", reference)


def component(name: str) -> str:
    """Return the text of a component."""
    return (TEMPLATES / f"{name}.yml").read_text(encoding="utf-8")


def component_names() -> list[str]:
    """Return the names of all components."""
    return sorted(path.stem for path in TEMPLATES.glob("*.yml"))


def inputs_of(name: str) -> dict[str, dict[str, Any]]:
    """Return the inputs that a component declares."""
    header, _ = yaml.safe_load_all(component(name))
    inputs: dict[str, dict[str, Any]] = header["spec"]["inputs"]
    return inputs


def jobs_of(name: str) -> dict[str, Any]:
    """Return the jobs of a component by the names that they have where the repository has one package."""
    _, jobs = yaml.safe_load_all(component(name).replace("$[[ inputs.job_suffix ]]", ""))
    return dict(jobs)


def load(path: Path) -> dict[str, Any]:
    """Return a YAML file's one document."""
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)  # noqa: S506
    return document


# They run code that others have written: the project, its build, its dependencies, or tools that it chooses.
FOREIGN = {"build", "build-image", "coverage", "docs", "lint", "sbom", "test", "verify-published"}


def reached(pipeline: dict[str, Any]) -> set[str]:
    """Return the jobs of an expanded pipeline that get variables of one that runs foreign code, by way of others too.

    Whoever takes artifacts of a job takes its variables, and GitLab takes a dotenv report from every job.
    https://docs.gitlab.com/ci/yaml/#needs, https://docs.gitlab.com/ci/yaml/#dependencies
    """
    stages = [".pre", *pipeline["stages"], ".post"]
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    taken = {}
    for name, job in jobs.items():
        needs = [need if isinstance(need, dict) else {"job": need} for need in job.get("needs", [])]
        earlier = stages[: stages.index(job["stage"])]
        others = {other for other in jobs if jobs[other]["stage"] in earlier}
        others = {need["job"] for need in needs if need.get("artifacts", True)} if "needs" in job else others
        taken[name] = others & set(job["dependencies"]) if "dependencies" in job else others
    found: set[str] = set()
    while new := {name for name, others in taken.items() if others & (FOREIGN | found)} - found:
        found |= new
    return found
