"""Hands on Cosign, the provenance of a release, and the public key that the repository has, if one is asked for.

Cosign is that of the runner, or the pinned release whose checksum is right. It and the provenance are put into
`.cosign/`, the key is `cosign.pub`, and the digests are in `cosign.env`. Ends with 1 and a line where one cannot be
had.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.gitlab_api import RequestError, ask
from scripts.plain_files import clear, write
from scripts.trouble import give_up

ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
FOLDER = Path(".cosign")


def usable(version: str) -> bool:
    """Say whether the jobs can use a version of Cosign.

    What 3.0 attests keyless, newer logs refuse, and newer versions of Cosign cannot read.
    """
    return re.match(r"v3\.(?!0\.)", version) is not None


def found(program: str) -> bytes:
    """Return the Cosign of the runner, if it is one that the jobs can use."""
    said = subprocess.run([program, "version", "--json"], capture_output=True, text=True).stdout
    version = json.loads(said).get("gitVersion", "") if said.startswith("{") else "of an unknown version"
    if not usable(version):
        give_up(
            "cosign-old",
            f"{program} is Cosign {version}; the jobs need 3.1 or a newer 3: update it, or take it from PATH.",
        )
    print(f"Cosign {version} is on PATH.")
    return Path(program).read_bytes()


def released(name: str, expected: str) -> bytes:
    """Return a file of the pinned release."""
    address = "{PY_CI_COSIGN_RELEASES}/{PY_CI_COSIGN_VERSION}/".format_map(os.environ) + name
    try:
        content = ask("GET", address).content
    except RequestError as failed:
        give_up(
            "cosign-missing",
            f"{address} did not answer ({failed}): retry the job, or set the input cosign_releases to a mirror.",
        )
    if hashlib.sha256(content).hexdigest() != expected:
        give_up(
            "cosign-changed",
            f"{address} does not have the pinned checksum: it is not the released file, and is not used.",
        )
    print(f"{name} has the pinned checksum.")
    return content


def cosign() -> bytes:
    """Return the program."""
    program = shutil.which("cosign")
    if program:
        return found(program)
    architecture = ARCHITECTURES.get(platform.machine().lower())
    if platform.system() != "Linux" or not architecture:
        give_up("cosign-missing", "No checksum is pinned for this kind of machine: install Cosign 3.1 on the runner.")
    return released(f"cosign-linux-{architecture}", os.environ[f"PY_CI_COSIGN_SHA256_{architecture.upper()}"])


def public_key(name: str) -> bytes:
    """Return the public key of the repository."""
    file = Path(name)
    if file.is_symlink() or not file.is_file():
        give_up("public-key", f"Commit the public key of COSIGN_PRIVATE_KEY as {name}, and tag the commit that has it.")
    return file.read_bytes()


def provenance(ci: Mapping[str, str]) -> dict[str, Any]:
    """Return the predicate that says who built what from which source: https://slsa.dev/spec/v1.0/provenance"""
    tag = f"refs/tags/{ci['CI_COMMIT_TAG']}"
    source = {"uri": f"git+{ci['CI_PROJECT_URL']}.git@{tag}", "digest": {"gitCommit": ci["CI_COMMIT_SHA"]}}
    return {
        "buildDefinition": {
            "buildType": "https://docs.gitlab.com/ci/yaml/",
            "externalParameters": {
                "source": ci["CI_PROJECT_URL"],
                "ref": tag,
                "entryPoint": ci.get("CI_CONFIG_PATH", ""),
            },
            "internalParameters": {"pipeline": ci["CI_PIPELINE_URL"]},
            "resolvedDependencies": [source],
        },
        "runDetails": {
            # The same for each pipeline of this GitLab, whichever runner took its jobs.
            "builder": {"id": ci["CI_SERVER_URL"], "version": {"py-ci-template": ci["PY_CI_TEMPLATE_VERSION"]}},
            "metadata": {
                "invocationId": ci["CI_PIPELINE_URL"],
                "startedOn": ci.get("CI_PIPELINE_CREATED_AT", ""),
            },
        },
    }


def main() -> None:
    """Write all of it."""
    predicate = json.dumps(provenance(os.environ), indent=2).encode()
    files = {"COSIGN": (FOLDER / "cosign", cosign()), "PROVENANCE": (FOLDER / "provenance.json", predicate)}
    if os.environ.get("PY_CI_PUBLIC_KEY"):
        files["PUBLIC_KEY"] = (Path("cosign.pub"), public_key(os.environ["PY_CI_PUBLIC_KEY"]))
    # The repository may have something of this name.
    clear(FOLDER)
    FOLDER.mkdir()
    lines = []
    for name, (file, content) in files.items():
        write(file, content)
        # Later jobs compare what they get with these.
        lines.append(f"PY_CI_{name}_DIGEST={hashlib.sha256(content).hexdigest()}\n")
    (FOLDER / "cosign").chmod(0o755)
    write(Path("cosign.env"), "".join(lines))


if __name__ == "__main__":
    main()
