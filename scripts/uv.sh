REMEDY="Choose an image or a runner that has Python $PY_CI_PYTHON, with uv or pip; see whether the package index answers."
if ! command -v uv; then
  rm -rf .pip .uv && mkdir .pip .uv
  # Tools that look at the project pass over what git ignores.
  echo '*' | tee .pip/.gitignore > .uv/.gitignore
  python3 -I -c 'import pip' 2>/dev/null || { python3 -I -m venv .pip && PATH="$PWD/.pip/bin:$PATH"; }
  python3 -I -m pip install --quiet --no-deps --no-compile --no-cache-dir --root-user-action=ignore --target .uv/site-packages uv==0.13.9
  PATH="$PWD/.uv/site-packages/bin:$PATH"
fi
