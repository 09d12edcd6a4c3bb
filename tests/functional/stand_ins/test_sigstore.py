"""Cosign signs with the ID tokens of GitLab's jobs, and with nothing but a private Sigstore."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from werkzeug.wrappers import Request, Response

from tools.samples.consumer import ATTESTATION, sigstore_python
from tools.stand_ins.id_tokens import Issuer
from tools.stand_ins.server import Server
from tools.stand_ins.service import free_port
from tools.stand_ins.sigstore import Sigstore

# The timestamp authority has a fixed port.
pytestmark = pytest.mark.xdist_group("sigstore")

SHA = "ab035e64eca9a7a85bd62e485d3593f52a2804ac"
FULCIO = "1.3.6.1.4.1.57264.1"


class GitLab(Server):
    """A GitLab that has no more than an issuer."""

    def __enter__(self) -> GitLab:
        super().__enter__()
        self.issuer = Issuer(f"http://127.0.0.1:{self.port}{self.root}")
        return self

    def respond(self, request: Request, path: str) -> Response:
        """Return a document of the issuer."""
        return self.issuer.respond(path) or self.refuse(404)


class Outside(Server):
    """What a proxy is asked for, which nobody gets."""

    def respond(self, request: Request, path: str) -> Response:
        """Return nothing."""
        return self.refuse(403)


@pytest.fixture(scope="module")
def gitlab() -> Iterator[GitLab]:
    """A GitLab, as the issuer that Fulcio knows."""
    with GitLab("/gitlab") as server:
        yield server


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    """The proxy on the way to the internet, which Go's programs and Python's do not ask for what is on loopback."""
    with Outside() as server:
        yield server


@pytest.fixture
def environment(outside: Outside, gitlab: GitLab, tmp_path: Path) -> dict[str, str]:
    """The variables of a job with an ID token."""
    return {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "HTTPS_PROXY": f"http://127.0.0.1:{outside.port}",
        "SIGSTORE_ID_TOKEN": gitlab.issuer.token(sha=SHA),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to sign."""
    path = tmp_path / "another-1.0.0.tar.gz"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def predicate(tmp_path: Path) -> Path:
    """What to attest."""
    path = tmp_path / "predicate.json"
    path.write_text('{"buildDefinition": {"buildType": "https://example.com"}, "runDetails": {}}', encoding="utf-8")
    return path


def cosign(sigstore: Sigstore, environment: dict[str, str], *what: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Cosign to its end."""
    command = [sigstore.binaries.cosign, *what]
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def sign(sigstore: Sigstore, environment: dict[str, str], file: Path) -> subprocess.CompletedProcess[str]:
    """Sign a file; the bundle is `bundle` beside it."""
    where = ("--yes", *sigstore.options, "--bundle", file.parent / "bundle")
    return cosign(sigstore, environment, "sign-blob", *where, file)


def identity(gitlab: GitLab, *, tag: str = "v1.0.0", issuer: str = "") -> list[str]:
    """Return the options that name the signer."""
    host = gitlab.issuer.url.removeprefix("http://")
    return [
        "--certificate-identity",
        f"https://{host}/group/another//.gitlab-ci.yml@refs/tags/{tag}",
        "--certificate-oidc-issuer",
        issuer or gitlab.issuer.url,
    ]


def certificate(bundle: Path) -> x509.Certificate:
    """Return the certificate in a bundle."""
    known = json.loads(bundle.read_text(encoding="utf-8"))
    return x509.load_der_x509_certificate(b64decode(known["verificationMaterial"]["certificate"]["rawBytes"]))


def python(environment: dict[str, str], folder: Path, *what: str | Path) -> str:
    """Run a program with Sigstore for Python; return its output."""
    proxy = ("env", f"HTTPS_PROXY={environment['HTTPS_PROXY']}", f"HOME={environment['HOME']}")
    return sigstore_python(folder, *proxy, *what)


def test_a_signed_file_is_verified_without_the_internet(
    sigstore: Sigstore, gitlab: GitLab, environment: dict[str, str], file: Path, outside: Outside
) -> None:
    signed = sign(sigstore, environment, file)
    assert signed.returncode == 0, signed.stdout
    trust = ("--bundle", file.parent / "bundle", "--trusted-root", sigstore.trusted_root)
    verified = cosign(sigstore, environment, "verify-blob", *trust, *identity(gitlab), file)
    assert (verified.returncode, verified.stdout.strip()) == (0, "Verified OK")
    names = [option.replace("--certificate", "--cert") for option in identity(gitlab)]
    tool = (
        "sigstore",
        "--trust-config",
        sigstore.trust_config,
        "verify",
        "identity",
        "--offline",
        "--bundle",
        "bundle",
    )
    python(environment, file.parent, *tool, *names, file)
    assert outside.requests() == []


def test_an_attested_file_is_verified_without_the_internet(
    sigstore: Sigstore, gitlab: GitLab, environment: dict[str, str], file: Path, predicate: Path, outside: Outside
) -> None:
    what = ("--type", "slsaprovenance1", "--bundle", file.parent / "bundle")
    made = ("--yes", *sigstore.options, "--predicate", predicate)
    attested = cosign(sigstore, environment, "attest-blob", *made, *what, file)
    assert attested.returncode == 0, attested.stdout
    trust = ("--trusted-root", sigstore.trusted_root)
    verified = cosign(sigstore, environment, "verify-blob-attestation", *what, *trust, *identity(gitlab), file)
    assert (verified.returncode, verified.stdout.strip()) == (0, "Verified OK")
    signer = identity(gitlab)
    program = ("python", "-c", ATTESTATION, "bundle", signer[1], signer[3], sigstore.trust_config)
    said = python(environment, file.parent, *program)
    statement = json.loads(said)
    assert statement["subject"] == [{"name": file.name, "digest": {"sha256": sha256(file.read_bytes()).hexdigest()}}]
    assert statement["predicate"] == json.loads(predicate.read_text(encoding="utf-8"))
    assert outside.requests() == []


def test_another_signer_or_file_is_refused(
    sigstore: Sigstore, gitlab: GitLab, environment: dict[str, str], file: Path
) -> None:
    assert sign(sigstore, environment, file).returncode == 0
    trust = ("--bundle", file.parent / "bundle", "--trusted-root", sigstore.trusted_root)
    for wrong in (identity(gitlab, tag="v1.0.1"), identity(gitlab, issuer="https://gitlab.com")):
        refused = cosign(sigstore, environment, "verify-blob", *trust, *wrong, file)
        assert refused.returncode != 0, refused.stdout
        assert "no matching CertificateIdentity found" in refused.stdout
    file.write_bytes(b"other")
    refused = cosign(sigstore, environment, "verify-blob", *trust, *identity(gitlab), file)
    assert refused.returncode != 0, refused.stdout


def test_the_certificate_says_where_the_file_was_made(
    sigstore: Sigstore, gitlab: GitLab, environment: dict[str, str], file: Path
) -> None:
    """The numbers are those of https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md."""
    assert sign(sigstore, environment, file).returncode == 0
    extensions = certificate(file.parent / "bundle").extensions
    found = {
        int(extension.oid.dotted_string.rpartition(".")[2]): extension.value.value
        for extension in extensions
        if extension.oid.dotted_string.startswith(f"{FULCIO}.")
        and isinstance(extension.value, x509.UnrecognizedExtension)
    }
    # The first is not encoded.
    assert found.pop(1).decode() == gitlab.issuer.url
    project = f"{gitlab.issuer.url}/group/another"
    definition = f"{project.replace('http:', 'https:')}//.gitlab-ci.yml@refs/tags/v1.0.0"
    assert {number: asn1.decode_der(str, value) for number, value in found.items()} == {
        8: gitlab.issuer.url,
        9: definition,
        10: SHA,
        11: "self-hosted",
        12: project,
        13: SHA,
        14: "refs/tags/v1.0.0",
        15: "1",
        16: f"{gitlab.issuer.url}/group",
        17: "72",
        18: definition,
        19: SHA,
        20: "push",
        21: f"{project}/-/jobs/302",
        22: "private",
        24: "project_path:group/another:ref_type:tag:ref:v1.0.0",
    }
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [definition]
    assert len(extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value) == 1


@pytest.mark.parametrize("claims", [{"aud": "pypi"}, {"lifetime": -60}, {"iss": "http://127.0.0.1:9"}])
def test_a_token_that_is_not_for_it_gets_no_certificate(
    claims: dict[str, Any], sigstore: Sigstore, gitlab: GitLab, environment: dict[str, str], file: Path
) -> None:
    environment["SIGSTORE_ID_TOKEN"] = gitlab.issuer.token(**claims)
    signed = sign(sigstore, environment, file)
    assert signed.returncode != 0
    assert "There was an error processing the identity token" in signed.stdout


def test_a_token_of_another_key_gets_no_certificate(
    sigstore: Sigstore, gitlab: GitLab, environment: dict[str, str], file: Path
) -> None:
    environment["SIGSTORE_ID_TOKEN"] = Issuer(gitlab.issuer.url).token()
    signed = sign(sigstore, environment, file)
    assert signed.returncode != 0
    assert "There was an error processing the identity token" in signed.stdout


@pytest.mark.parametrize("service", ["fulcio", "tsa", "ctlog"])
def test_a_service_that_refuses_once_is_asked_again(
    service: str, sigstore: Sigstore, environment: dict[str, str], file: Path
) -> None:
    getattr(sigstore, service).fail_next(1, status=503)
    signed = sign(sigstore, environment, file)
    assert signed.returncode == 0, signed.stdout


@pytest.mark.parametrize(
    ("service", "times", "said"),
    [
        # It closes these answers before it reads them.
        ("fulcio", 2, "error signing bundle: http: read on closed response body"),
        ("tsa", 2, "error signing bundle: http: read on closed response body"),
        # The log is never asked again.
        ("rekor", 1, "adding rekor v2 entry: unexpected response: 503"),
    ],
)
def test_a_service_that_refuses_stops_cosign(
    service: str, times: int, said: str, sigstore: Sigstore, environment: dict[str, str], file: Path
) -> None:
    getattr(sigstore, service).fail_next(times, status=503)
    signed = sign(sigstore, environment, file)
    assert signed.returncode != 0, signed.stdout
    assert said in signed.stdout
    assert not (file.parent / "bundle").exists()


@pytest.mark.parametrize("service", ["fulcio", "tsa", "rekor"])
def test_a_service_that_is_down_stops_cosign(
    service: str, sigstore: Sigstore, environment: dict[str, str], file: Path
) -> None:
    elsewhere = {service: f"http://127.0.0.1:{free_port()}"}
    config = sigstore.signing_config_with(file.parent / "signing-config.json", **elsewhere)
    where = ("--signing-config", config, "--trusted-root", sigstore.trusted_root)
    signed = cosign(sigstore, environment, "sign-blob", "--yes", *where, "--bundle", file.parent / "bundle", file)
    assert signed.returncode != 0, signed.stdout
    assert "connection refused" in signed.stdout


def test_what_follows_from_other_claims_is_said_of_a_branch_too() -> None:
    issuer = Issuer("https://gitlab.example.com:8443/gitlab")
    claims = issuer.claims(project_path="a/b/c", ref_type="branch", ref="main", ci_config_sha=None)
    assert claims["sub"] == "project_path:a/b/c:ref_type:branch:ref:main"
    assert claims["namespace_path"] == "a/b"
    assert claims["ci_config_ref_uri"] == "gitlab.example.com:8443/gitlab/a/b/c//.gitlab-ci.yml@refs/heads/main"
    assert "ci_config_sha" not in claims
