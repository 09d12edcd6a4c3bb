#!/bin/sh
# Puts the programs of the bot into a folder: `sh bot/install.sh FOLDER` makes FOLDER/bin/py-ci-fleet and, with a last word
# `renovate`, FOLDER/bin/uv for Renovate, and FOLDER/bin/renovate, where the machine has none. All that is fetched is locked
# here by its hash.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1/bin" "$1/tmp"
folder=$(cd "$1" && pwd)
uv venv --quiet --no-python-downloads --clear "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" --require-hashes --requirement "$here/scripts/locks/fleet.txt"
# In /tmp the code of one project may leave files, such as settings of uv, for that of the next.
cat > "$folder/bin/py-ci-fleet" <<PROGRAM
#!/bin/sh
PYTHONPATH='$here' TMPDIR='$folder/tmp' exec '$folder/venv/bin/python' -m tools.fleet "\$@"
PROGRAM
chmod +x "$folder/bin/py-ci-fleet"
if [ "${2-}" = renovate ]; then
  # To lock, uv runs code of the project, which must not get the token.
  cat > "$folder/bin/uv" <<PROGRAM
#!/bin/sh
exec '$folder/bin/py-ci-fleet' run '$(command -v uv)' "\$@"
PROGRAM
  chmod +x "$folder/bin/uv"
fi
if [ "${2-}" = renovate ] && ! command -v renovate > /dev/null; then
  mkdir -p "$folder/node"
  cp "$here/bot/node/package.json" "$here/bot/node/package-lock.json" "$folder/node"
  "$folder/venv/bin/npm" ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix "$folder/node"
  cat > "$folder/bin/renovate" <<PROGRAM
#!/bin/sh
exec '$folder/venv/bin/node' '$folder/node/node_modules/renovate/dist/renovate.js' "\$@"
PROGRAM
  chmod +x "$folder/bin/renovate"
fi
