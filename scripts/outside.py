"""Keeps out of a job the settings of the folders above its own, where tools look for some if the project has none.

Takes the root of the repository and the tools. ruff and pytest get a file without settings. For uv, which `build` uses
too, it prints the file that is to be read in place of those above, or `none`; and nothing where uv would read none.
"""

from __future__ import annotations

import os
import sys
from configparser import Error, RawConfigParser
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    # Before Python 3.11, with which a package may be built.
    tomllib = None  # type: ignore[assignment]

# Where each of them looks, in a folder; the first is made where there is none.
FILES = {
    "uv": ("uv.toml", "pyproject.toml"),
    "pytest": ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg"),
    "ruff": ("ruff.toml", ".ruff.toml", "pyproject.toml"),
}
SECTIONS = {"tox.ini": "pytest", "setup.cfg": "tool:pytest"}
# ruff and deptry obey what is in `.ignore` in all folders above too, unless a nearer one says otherwise. It then also
# counts more than what git ignores: what jobs themselves leave where they work.
SEEN = "!*\n.cache\n.pip\n.uv\n.venv\n"


def has_settings(file: Path, tool: str) -> bool:
    """Tell whether a file of the project has settings of a tool."""
    if not file.exists():
        return False
    if file.name == "pyproject.toml":
        try:
            if tomllib is None:
                return f"[tool.{tool}" in file.read_text(encoding="utf-8")
            return tool in tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
        except (ValueError, RecursionError):
            return False
    if file.name in SECTIONS:
        parser = RawConfigParser(strict=False, allow_no_value=True)
        try:
            parser.read(file, encoding="utf-8")
        except (Error, ValueError):
            return False
        return parser.has_section(SECTIONS[file.name])
    return True


def is_steered(tool: str, root: Path) -> bool:
    """Tell whether a tool that starts in this folder would go on above the root, and find something there."""
    folders = [Path.cwd(), *Path.cwd().parents]
    ours = folders[: folders.index(root) + 1]
    if any(has_settings(folder / name, tool) for folder in ours for name in FILES[tool]):
        return False
    # A link that leads nowhere may lead somewhere soon; and there may be no right to look.
    return any(os.path.lexists(folder / name) for folder in root.parents for name in FILES[tool])


def of_the_machine() -> str:
    """Return the settings of uv that its user or the machine has, or `none`."""
    # Not that of a path: there may be no home.
    folders = [os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")]  # noqa: PTH111
    folders += [*(os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep), "/etc"]
    files = (Path(folder, "uv", "uv.toml") for folder in folders)
    return next((str(file) for file in files if file.is_absolute() and file.exists()), "none")


def main() -> None:
    """Stop each of the tools that needs it."""
    root = Path(sys.argv[1])
    for tool in filter(lambda tool: is_steered(tool, root), sys.argv[2:]):
        if tool != "uv":
            Path(FILES[tool][0]).touch()
        elif not {"UV_NO_CONFIG", "UV_CONFIG_FILE"} & os.environ.keys():
            print(of_the_machine())
    if "ruff" in sys.argv and any(os.path.lexists(folder / ".ignore") for folder in root.parents):
        file = root / ".ignore"
        own = file.read_text(encoding="utf-8") if file.exists() else ""
        file.write_text(SEEN + own, encoding="utf-8")


if __name__ == "__main__":
    main()
