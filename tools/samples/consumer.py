"""The machine of somebody who installs a release, and trusts nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.commands import run
from tools.stand_ins.sigstore import SIGSTORE_PYTHON

# Prints the statement in a bundle, once it is verified by identity, issuer and trust configuration. The command line of
# Sigstore for Python takes statements of version 1, and Cosign writes those of 0.1.
ATTESTATION = """
import sys
from pathlib import Path
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.verify import Verifier, policy

bundle, identity, issuer, trusted = sys.argv[1:]
root = ClientTrustConfig.from_json(Path(trusted).read_text()).trusted_root
signer = policy.Identity(identity=identity, issuer=issuer)
_, payload = Verifier(trusted_root=root).verify_dsse(Bundle.from_json(Path(bundle).read_text()), signer)
print(payload.decode())
"""


def make_venv(folder: Path, python: Path, cache: Mapping[str, str]) -> None:
    """Make an environment with pip; `python -m venv` takes seconds to unpack a pip that it also brings."""
    run("uv", "venv", "--quiet", "--seed", "--python", python, folder, env={**os.environ, **cache})


def sigstore_python(folder: Path, *what: str | Path, version: str = SIGSTORE_PYTHON) -> str:
    """Run a program with Sigstore for Python, which has no code of Cosign, in a folder; return its output."""
    uv = (sys.executable, "-m", "uv", "run", "--quiet", "--isolated", "--no-project", "--python", sys.executable)
    return run(*uv, "--with", f"sigstore=={version}", *what, cwd=folder)
