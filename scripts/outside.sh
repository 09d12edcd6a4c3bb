# The folders above are of other jobs, or of the runner: what is named, uv, pytest or ruff, takes no settings from them.
keep_inside() {
  workspace="$(uv workspace dir --no-config 2> /dev/null || true)"
  case "$workspace/" in
    / | "$root"/*) ;;
    *)
      REMEDY="outside-workspace Remove $workspace/pyproject.toml from the runner: it lies above the folder of the repository, and uv would take the package for a part of the workspace there."
      exit 1
      ;;
  esac
  python="$(uv python find --no-config --no-project "$PY_CI_PYTHON")"
  # Not within a substitution: the shell of macOS would read the program as its own.
  "$python" -I - "$root" "$@" > .outside <<'OUTSIDE'
# >>> scripts/outside.py
# <<< scripts/outside.py
OUTSIDE
  settings="$(cat .outside)"
  rm .outside
  case "$settings" in
    "") ;;
    none) export UV_NO_CONFIG=1 ;;
    *) export UV_CONFIG_FILE="$settings" ;;
  esac
}
