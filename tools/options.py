"""The options of the template and their combinations, as `cookiecutter.json` declares them."""

from __future__ import annotations

import itertools
import json
from typing import Any

from tools.commands import ROOT as ROOT

DECLARED: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))

# Where the tests have the components; a project takes this from the address of its template.
COMPONENT_PROJECT = "org/py-ci-template"

# Choices that say what a project is, not what it does: their values are not multiplied.
IDENTITY = {"license": DECLARED["license"], "python_version": DECLARED["_python_versions"]}

SWITCHES: dict[str, list[Any]] = {
    name: [value, not value] if isinstance(value, bool) else value
    for name, value in DECLARED.items()
    if not name.startswith("_") and isinstance(value, bool | list) and name not in IDENTITY
}
DEFAULTS = {name: values[0] for name, values in {**SWITCHES, **IDENTITY}.items()}

Combination = dict[str, Any]


def all_combinations() -> list[Combination]:
    """Return the full product of the switches, then each other value of the identity choices."""
    product = [
        {**DEFAULTS, **dict(zip(SWITCHES, values, strict=True))} for values in itertools.product(*SWITCHES.values())
    ]
    single = [{**DEFAULTS, name: value} for name, values in IDENTITY.items() for value in values[1:]]
    return product + single


def covering_combinations() -> list[Combination]:
    """Return few combinations in which every pair of values of two switches occurs at least once.

    Greedy: the next one has the most new pairs. The licences take turns.
    """

    def pairs(combination: Combination) -> set[tuple[tuple[str, Any], ...]]:
        return set(itertools.combinations(((name, combination[name]) for name in SWITCHES), 2))

    product = all_combinations()
    missing = set().union(*map(pairs, product))
    chosen: list[Combination] = []
    while missing:
        best = max(product, key=lambda combination: len(pairs(combination) & missing))
        licences = IDENTITY["license"]
        chosen.append({**best, "license": licences[len(chosen) % len(licences)]})
        missing -= pairs(best)
    return chosen


def name_of(combination: Combination) -> str:
    """Return a short name for a test's id: the values that differ from the defaults."""
    words = [
        value if value not in (True, False, "none") else f"{name}={'yes' if value is True else 'no'}"
        for name, value in combination.items()
        if value != DEFAULTS[name]
    ]
    return "+".join(words) or "defaults"
