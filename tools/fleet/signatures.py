"""Verifies the newest release of a project as a consumer does, with Cosign: docs/signing.md has the commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gitlab

from tools.fleet.data import plain

SUMS, BUNDLE, KEY = "SHA256SUMS", "SHA256SUMS.sigstore.json", "cosign.pub"
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


def asset_of(release: Any) -> tuple[str, str] | None:
    """Return the name and the version of the package that a release has sums of."""
    try:
        found = [ASSET.fullmatch(str(link["url"])) for link in release["assets"]["links"]]
    except (LookupError, TypeError):
        return None
    return next(((each[1], each[2]) for each in found if each), None)


def verify(
    project: Any, url: str, server: str, tag: str, asset: tuple[str, str] | None, signing: str
) -> tuple[str, str]:
    """Return whether the signature of a release holds, `yes`, `no` or `unknown`, and a line on that."""
    if signing not in ("key", "keyless"):
        return "unknown", "not signed"
    if asset is None:
        return "no", "the release links to no SHA256SUMS"
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
        identity = [
            *("--certificate-identity", f"{url}//.gitlab-ci.yml@refs/tags/{tag}"),
            *("--certificate-oidc-issuer", server),
        ]
        root = os.environ.get("SIGSTORE_TRUSTED_ROOT")
        signer = ["--key", KEY, "--insecure-ignore-tlog"] if signing == "key" else identity
        trusted = ["--trusted-root", root] if root else []
        env = {name: value for name, value in os.environ.items() if name in ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")}
        try:
            done = subprocess.run(
                (cosign, "verify-blob", *signer, *trusted, "--bundle", BUNDLE, SUMS),
                cwd=here,
                env={**env, "HOME": folder},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=120,
            )
        except subprocess.TimeoutExpired:
            return "unknown", "cosign did not end"
        if done.returncode == 0:
            return "yes", f"signed by {'the key of the project' if signing == 'key' else 'the pipeline of the tag'}"
        return "no", plain((done.stderr.strip().splitlines() or ["cosign failed"])[-1])[:200]
