"""Verifies the newest release of a project as a consumer does, with Cosign: docs/signing.md has the commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gitlab

from tools.fleet.data import plain

SUMS, BUNDLE, KEY, ROOT = "SHA256SUMS", "SHA256SUMS.sigstore.json", "cosign.pub", "trusted-root.json"
# What Cosign gets of the variables, in whichever case they are written.
PASSED = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# Several threads want the same.
ASKING = threading.Lock()
# Of the registry of a project, which is asked by name: an address in a release may lead anywhere.
ASSET = re.compile(r".*/packages/generic/([\w.+-]+)/([\w.+-]+)/SHA256SUMS")
LARGEST = 1_000_000


class TooLargeError(Exception):
    """A file is larger than any of its kind."""


def limited(chunks: Iterable[bytes], most: int = LARGEST) -> bytes:
    """Return the content of a file that comes in parts; raise TooLargeError where it does not end."""
    content = b""
    for chunk in chunks:
        content += chunk
        if len(content) > most:
            raise TooLargeError
    return content


def asset_of(release: Any, tag: str) -> tuple[str, str] | None:
    """Return the name and the version of the package that a release of a tag has sums of.

    A release may link to what is of another one, so the tag has to name the version, with a name before it or none.
    """
    try:
        found = [ASSET.fullmatch(str(link["url"])) for link in release["assets"]["links"]]
    except (LookupError, TypeError):
        return None
    ours = ((each[1], each[2]) for each in found if each)
    return next((each for each in ours if tag.removeprefix(f"{each[0]}-").removeprefix("v") == each[1]), None)


def are_of(sums: bytes, name: str, version: str) -> bool:
    """Tell whether sums are of distributions of a version of a package, and of no others: one key signs all of them."""
    spelled = "[-_.]+".join(map(re.escape, re.split("[-_.]+", name)))
    line = re.compile(rf"[0-9a-f]{{64}}  {spelled}-{re.escape(version)}(-[\w.-]+\.whl|\.tar\.gz)", re.IGNORECASE)
    lines = sums.decode(errors="replace").splitlines()
    return bool(lines) and all(map(line.fullmatch, lines))


def run_cosign(cosign: str, folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Cosign, which knows nothing but how to reach a network; raise TimeoutExpired where it does not end."""
    return subprocess.run(
        (cosign, *words),
        cwd=folder,
        env={**{name: value for name, value in os.environ.items() if name.upper() in PASSED}, "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )


@cache
def public_root(cosign: str) -> bytes:
    """Return what is to be trusted of the public Sigstore, which is asked once; nothing where it does not answer."""
    with TemporaryDirectory(prefix="py-ci-fleet-") as folder:
        out = Path(folder, ROOT)
        try:
            run_cosign(cosign, out.parent, "trusted-root", "create", "--with-default-services", "--out", out)
            return out.read_bytes()
        except (OSError, subprocess.TimeoutExpired):
            return b""


def trusted_root(cosign: str) -> bytes:
    """Return what is to be trusted where a signature is keyless; nothing where nobody says it."""
    own = os.environ.get("SIGSTORE_TRUSTED_ROOT")
    if own:
        return Path(own).read_bytes() if Path(own).is_file() else b""
    with ASKING:
        return public_root(cosign)


def verify(
    project: Any, url: str, server: str, tag: str, asset: tuple[str, str] | None, signing: str
) -> tuple[str, str]:
    """Return whether the signature of a release holds, `yes`, `no` or `unknown`, and a line on that."""
    if signing not in ("key", "keyless"):
        return "unknown", "not signed"
    if asset is None:
        return "no", "the release links to no SHA256SUMS of its tag"
    cosign = shutil.which("cosign")
    if cosign is None:
        return "unknown", "not checked: this job has no cosign"
    with TemporaryDirectory(prefix="py-ci-fleet-") as folder:
        here = Path(folder)
        try:
            for name in (SUMS, BUNDLE):
                content = project.generic_packages.download(*asset, name, streamed=True, iterator=True)
                (here / name).write_bytes(limited(content))
            if signing == "key":
                (here / KEY).write_bytes(limited(project.files.raw(KEY, ref=tag, streamed=True, iterator=True)))
        except TooLargeError:
            return "no", "a file of the release is larger than any of its kind"
        except gitlab.GitlabError as error:
            status = error.response_code
            return ("no", "a signature is gone, or the key") if status == 404 else ("unknown", f"GitLab says {status}")
        signer: tuple[str, ...] = ("--key", KEY, "--insecure-ignore-tlog")
        if signing == "keyless":
            (here / ROOT).write_bytes(trusted_root(cosign))
            if not (here / ROOT).stat().st_size:
                return "unknown", "not checked: Sigstore does not say what to trust"
            # A certificate has it so, also where GitLab has no TLS.
            pipeline = f"https://{url.partition('://')[2]}//.gitlab-ci.yml@refs/tags/{tag}"
            signer = ("--certificate-identity", pipeline, "--certificate-oidc-issuer", server, "--trusted-root", ROOT)
        try:
            done = run_cosign(cosign, here, "verify-blob", *signer, "--bundle", BUNDLE, SUMS)
        except subprocess.TimeoutExpired:
            return "unknown", "cosign did not end"
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["cosign failed"])[-1]
            return "no", plain(last.removeprefix("error during command execution: "))[:200]
        if not are_of((here / SUMS).read_bytes(), *asset):
            return "no", "its SHA256SUMS are signed, but of another package or version"
        return "yes", f"signed by {'the key of the project' if signing == 'key' else 'the pipeline of the tag'}"
