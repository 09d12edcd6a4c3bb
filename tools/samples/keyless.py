"""The small project, signed keyless on a GitLab, and how others would sign in its place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.commands import run
from tools.samples.package import Release
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.sigstore import Sigstore

# A project whose path ends as that of ours.
EVIL = "evil-group/group/another"


@dataclass(frozen=True)
class Signed:
    """A project whose tag was signed keyless, and the GitLab that it is on."""

    release: Release
    gitlab: GitLab

    def token(self, **claims: Any) -> dict[str, str]:
        """Return the identity token of the job that signs, with other claims where they are given."""
        return {"SIGSTORE_ID_TOKEN": self.gitlab.issuer.token(**{"sha": self.release.commit, **claims})}

    @property
    def host(self) -> str:
        """The host and port of the GitLab."""
        return self.gitlab.url.removeprefix("http://")


def sign_as(signed: Signed, sigstore: Sigstore, **claims: Any) -> Path:
    """Let Cosign sign the sums with another identity; return the bundle, which takes the place of the right one."""
    bundle = signed.release.artifact("sign", "signatures/SHA256SUMS.sigstore.json")
    sums = signed.release.artifact("digests", "SHA256SUMS")
    options = ("--yes", *sigstore.options, "--bundle", bundle)
    run(sigstore.binaries.cosign, "sign-blob", *options, sums, env={**os.environ, **signed.token(**claims)})
    return bundle
