"""Who may import whom: tests and benchmarks the tools, and nobody tests; no two modules each other."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter

import pytest

from tools.options import ROOT

FOLDERS = ("tools", "tests", "benchmarks", "scripts", "hooks")
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts): ast.parse(file.read_text(encoding="utf-8"))
    for folder in FOLDERS
    for file in (ROOT / folder).rglob("*.py")
}


def imported(module: str) -> set[str]:
    """Return the modules of this repository that a module imports."""
    found = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in found if name.partition(".")[0] in FOLDERS}


@pytest.mark.parametrize("module", MODULES)
def test_nobody_imports_tests(module: str) -> None:
    assert not [name for name in imported(module) if name.startswith("tests")]
    if module.startswith("tools"):
        assert not [name for name in imported(module) if name.startswith("benchmarks")]


def test_no_two_modules_need_each_other() -> None:
    """An import that only types see would hide that two do."""
    TopologicalSorter({module: imported(module) & MODULES.keys() for module in MODULES}).prepare()
    assert not [module for module, tree in MODULES.items() if "TYPE_CHECKING" in {*map(name_of, ast.walk(tree))}]


def name_of(node: ast.AST) -> str:
    """Return the name that a node is."""
    return node.id if isinstance(node, ast.Name) else ""
