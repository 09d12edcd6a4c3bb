REMEDY="python-missing Choose an image or a runner that has Python $PY_CI_PYTHON, with uv, or with pip on Linux or macOS, x86_64 or ARM64; see whether the package index answers, with the files that PyPI has."
if ! command -v uv; then
  rm -rf .pip .uv && mkdir .pip .uv
  # Tools that look at the project pass over what git ignores.
  echo '*' | tee .pip/.gitignore > .uv/.gitignore
  python3 -I -c 'import pip' 2>/dev/null || { python3 -I -m venv .pip && PATH="$PWD/.pip/bin:$PATH"; }
  python3 -I -m pip install --quiet --no-deps --no-compile --no-cache-dir --root-user-action=ignore --require-hashes --only-binary :all: --target .uv/site-packages --requirement /dev/stdin <<'LOCK'
# >>> scripts/locks/uv.txt
# <<< scripts/locks/uv.txt
LOCK
  PATH="$PWD/.uv/site-packages/bin:$PATH"
  uv --version
fi
