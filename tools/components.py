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
