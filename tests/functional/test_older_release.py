"""A release that Cosign 3.0 signed, kept in `older_release`, is verified by the jobs and by the documents' commands."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from scripts.attestations import attested, source
from tools.commands import run
from tools.components import component
from tools.documents import SIGNING, block
from tools.requirements import find_program
from tools.samples.consumer import ATTESTATION, make_venv, sigstore_python
from tools.samples.package import IDENTITY, files_of

KEPT = Path(__file__).parent / "older_release"
FILES = files_of("1.0.0")
# Of the GitLab that it was released on.
HOST = "127.0.0.1:45589"
SIGNER = f"https://{HOST}/group/another//.gitlab-ci.yml@refs/tags/v1.0.0"
ISSUER = f"http://{HOST}"
IDENTITIES = {
    "key": IDENTITY,
    "keyless": f"--certificate-identity {SIGNER} --certificate-oidc-issuer {ISSUER}",
}
# The last that reads what Cosign 3.0 has attested keyless.
OLD_SIGSTORE_PYTHON = "4.2.0"


@pytest.fixture(params=IDENTITIES)
def kind(request: pytest.FixtureRequest) -> str:
    """How the release was signed."""
    return str(request.param)


@pytest.fixture
def trusted_root(tmp_path: Path) -> Path:
    """What to trust, as Cosign takes it."""
    known = json.loads((KEPT / "trust-config.json").read_text(encoding="utf-8"))
    path = tmp_path / "trusted-root.json"
    path.write_text(json.dumps(known["trustedRoot"]), encoding="utf-8")
    return path


@pytest.fixture
def release(kind: str, cosign: Path, tmp_path: Path) -> Path:
    """A folder like that of the job `verify`, with what the jobs before it handed on."""
    folder = tmp_path / "release"
    shutil.copytree(KEPT, folder, ignore=shutil.ignore_patterns(*IDENTITIES))
    shutil.copytree(KEPT / kind, folder / "signatures")
    (folder / ".cosign").mkdir()
    (folder / ".cosign" / "cosign").symlink_to(cosign)
    (folder / ".cosign" / "provenance.json").touch()
    return folder


def verify(release: Path, kind: str, trusted_root: Path) -> subprocess.CompletedProcess[str]:
    """Run the commands of the job `verify` but for the last one, which asks GitLab for the tag."""
    _, jobs = yaml.safe_load_all(component("verify"))
    *commands, _ = jobs["verify"]["script"]
    digest_of = {
        name: hashlib.sha256((release / file).read_bytes()).hexdigest()
        for name, file in {
            "COSIGN": ".cosign/cosign",
            "PROVENANCE": ".cosign/provenance.json",
            "PUBLIC_KEY": "cosign.pub",
        }.items()
    }
    variables = {f"PY_CI_{name}_DIGEST": digest for name, digest in digest_of.items()}
    if kind == "keyless":
        variables["SIGSTORE_TRUSTED_ROOT"] = str(trusted_root)
    return subprocess.run(
        ["sh", "-e", "-c", "\n".join(commands)],
        cwd=release,
        env={**os.environ, **variables, "PY_CI_IDENTITY": IDENTITIES[kind]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


@pytest.mark.parametrize("kind", ["key"], indirect=True)
def test_the_job_verifies_what_a_key_signed(kind: str, release: Path, trusted_root: Path) -> None:
    done = verify(release, kind, trusted_root)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Verified OK") == 7


@pytest.mark.parametrize("kind", ["keyless"], indirect=True)
def test_the_job_verifies_signatures_and_refuses_old_entries_of_a_log(
    kind: str, release: Path, trusted_root: Path
) -> None:
    done = verify(release, kind, trusted_root)
    assert done.returncode != 0
    assert done.stdout.count("Verified OK") == 3, done.stdout
    # So Cosign says that it cannot read an entry `dsse` of Rekor 2; docs/signing.md has it.
    said = "--trusted-root only supported with --new-bundle-format"
    assert said in done.stdout.splitlines()[-1]
    assert f"`{said}`" in " ".join(SIGNING.split())


def test_the_signature_of_another_file_is_refused(kind: str, release: Path, trusted_root: Path) -> None:
    ours, other = (release / "signatures" / f"{file}.sigstore.json" for file in FILES)
    shutil.copy(other, ours)
    done = verify(release, kind, trusted_root)
    assert done.returncode != 0
    assert done.stdout.count("Verified OK") == 1, done.stdout


def test_the_jobs_read_what_is_attested(kind: str) -> None:
    for file in FILES:
        bill = attested(KEPT / kind / f"{file}.sbom.sigstore.json")
        assert bill["bomFormat"] == "CycloneDX"
        said = source(attested(KEPT / kind / f"{file}.provenance.sigstore.json"))
        assert re.fullmatch(r"git\+http://127\.0\.0\.1:\d+/group/another\.git@refs/tags/v1\.0\.0 at [0-9a-f]{40}", said)


def test_an_older_sigstore_for_python_verifies_what_is_attested() -> None:
    for file in FILES:
        bundle = KEPT / "keyless" / f"{file}.provenance.sigstore.json"
        program = ("python", "-c", ATTESTATION, bundle, SIGNER, ISSUER, KEPT / "trust-config.json")
        (subject,) = json.loads(sigstore_python(KEPT, *program, version=OLD_SIGSTORE_PYTHON))["subject"]
        assert subject["digest"] == {"sha256": hashlib.sha256((KEPT / "dist" / file).read_bytes()).hexdigest()}


@pytest.fixture
def consumer(
    cosign: Path, python: str, pythons: dict[str, Path], warm: dict[str, str], tmp_path: Path
) -> dict[str, str]:
    """The variables of somebody with Cosign and a Python; the folder has the release, as registries do."""
    for tool in ("curl", "openssl"):
        find_program(tool, f"the commands for consumers use it: apt install {tool}")
    simple, generic = tmp_path / "pypi" / "simple" / "another", tmp_path / "generic" / "another" / "1.0.0"
    shutil.copytree(KEPT / "dist", simple)
    (simple / "index.html").write_text("".join(f'<a href="{file}">{file}</a>' for file in FILES), encoding="utf-8")
    shutil.copytree(KEPT / "key", generic)
    shutil.copy(KEPT / "SHA256SUMS", generic)
    shutil.copy(KEPT / "cosign.pub", tmp_path)
    make_venv(tmp_path / "venv", pythons[python] / f"python{python}", warm)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_INDEX", "VIRTUAL_ENV"))}
    return {**env, "HOME": str(tmp_path), "PATH": f"{tmp_path}/venv/bin:{cosign.parent}:{env['PATH']}"}


def documented(marker: str, folder: Path) -> str:
    """Return commands of the documents for this release, in registries that are in a folder."""
    commands = block(SIGNING, f"<!-- {marker} -->").replace("your-group", "group")
    commands = commands.replace("my-service", "another").replace("my_service", "another")
    commands = commands.replace("https://gitlab.com/api/v4/projects/group%2Fanother/packages", f"file://{folder}")
    commands = commands.replace("https://gitlab.com/", f"https://{HOST}/").replace("https://gitlab.com", ISSUER)
    return f"set -e; version=1.0.0 registry=file://{folder}; {commands}"


def test_a_consumer_verifies_what_a_key_signed(consumer: dict[str, str], tmp_path: Path) -> None:
    def consume(marker: str) -> str:
        return run("sh", "-c", documented(marker, tmp_path), cwd=tmp_path, env=consumer)

    said = consume("key")
    assert "Verified OK" in said
    assert f"{FILES[0]}: OK" in said
    assert run("another", env=consumer) == "another 1.0.0\n"
    said = consume("provenance")
    assert "Verified OK" in said
    assert "/group/another.git@refs/tags/v1.0.0" in said
    assert consume("openssl") == "Verified OK\n"


def test_a_consumer_verifies_what_was_signed_keyless(cosign: Path, trusted_root: Path, tmp_path: Path) -> None:
    for file in (KEPT / "SHA256SUMS", KEPT / "keyless" / "SHA256SUMS.sigstore.json"):
        shutil.copy(file, tmp_path)
    commands = documented("keyless", tmp_path).replace("verify-blob", f"verify-blob --trusted-root {trusted_root}")
    env = {**os.environ, "PATH": f"{cosign.parent}:{os.environ['PATH']}"}
    assert run("sh", "-c", commands, cwd=tmp_path, env=env) == "Verified OK\n"
    options = f"--trust-config {KEPT}/trust-config.json verify identity --offline"
    commands = documented("sigstore", tmp_path).replace("verify identity", options)
    assert "OK: SHA256SUMS" in sigstore_python(tmp_path, "sh", "-c", commands)
