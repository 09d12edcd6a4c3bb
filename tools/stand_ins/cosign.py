"""Finds Cosign, or builds it, makes key pairs with it, and stands for where its releases are."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml
from filelock import FileLock
from werkzeug.wrappers import Request, Response

from scripts.cosign import usable
from tools.commands import run
from tools.components import component
from tools.requirements import find_program
from tools.runner import Variable
from tools.stand_ins.server import Server

# As the releases of Cosign name that of this machine.
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")
PASSWORD = "a password with 'quotes', spaces and $HOME"  # noqa: S105


class Mirror(Server):
    """A server that has something in the place of each release of Cosign."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content

    @property
    def url(self) -> str:
        """The address of the releases."""
        return f"http://127.0.0.1:{self.port}/releases"

    def respond(self, request: Request, path: str) -> Response:
        """Send it."""
        return Response(self.content)


@dataclass(frozen=True)
class KeyPair:
    """A key pair that Cosign made, protected by PASSWORD."""

    private: str
    public: str

    @property
    def variables(self) -> dict[str, str]:
        """What Cosign reads."""
        return {"COSIGN_PRIVATE_KEY": self.private, "COSIGN_PASSWORD": PASSWORD}

    @property
    def settings(self) -> dict[str, Variable]:
        """What a person sets for the jobs that sign."""
        return {
            name: Variable(value, protected=True, environment="signing", raw=True)
            for name, value in self.variables.items()
        }


def make_key_pair(cosign: Path, folder: Path) -> KeyPair:
    """Let Cosign make a key pair in a new folder."""
    folder.mkdir()
    run(cosign, "generate-key-pair", cwd=folder, env={**os.environ, "COSIGN_PASSWORD": PASSWORD})
    return read_key_pair(folder)


def read_key_pair(folder: Path) -> KeyPair:
    """Return the key pair that was made in a folder."""
    return KeyPair(*((folder / name).read_text(encoding="utf-8") for name in ("cosign.key", "cosign.pub")))


def make_bundle(cosign: Path, keys: KeyPair, folder: Path, *what: str | Path) -> Path:
    """Let Cosign sign, as an attacker with a key would; return the bundle.

    `what` is its command with the file, and with the options of an attestation.
    """
    folder.mkdir()
    offline = [folder / "signing-config.json", folder / "trusted-root.json"]
    run(cosign, "signing-config", "create", "--out", offline[0])
    run(cosign, "trusted-root", "create", "--out", offline[1])
    options = (
        "--yes",
        "--key",
        "env://COSIGN_PRIVATE_KEY",
        "--signing-config",
        offline[0],
        "--trusted-root",
        offline[1],
    )
    run(cosign, *what, *options, "--bundle", folder / "bundle", env={**os.environ, **keys.variables})
    return folder / "bundle"


def pinned_version() -> str:
    """Return the version that the component pins."""
    _, jobs = yaml.safe_load_all(component("cosign"))
    return str(jobs["cosign"]["variables"]["PY_CI_COSIGN_VERSION"])


def find_cosign(cache: Path) -> Path:
    """Return Cosign: that on PATH, or the pinned one, which Go builds into a folder that outlives the tests."""
    on_path = shutil.which("cosign")
    if on_path:
        said = subprocess.run([on_path, "version", "--json"], capture_output=True, encoding="utf-8").stdout
        if said.startswith("{") and usable(json.loads(said)["gitVersion"]):
            return Path(on_path)
    folder = cache / pinned_version()
    with FileLock(cache / "lock"):
        if not (folder / "cosign").exists():
            go = find_program("go", "install Go, which builds Cosign, or install Cosign 3.1")
            source = f"github.com/sigstore/cosign/v3/cmd/cosign@{pinned_version()}"
            run(go, "install", source, env={**os.environ, "GOBIN": str(folder)})
    return folder / "cosign"
