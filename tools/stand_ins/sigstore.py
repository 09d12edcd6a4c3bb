"""A Sigstore on the loopback interface for the jobs of a test: its real services but one, and faults on demand."""

from __future__ import annotations

import json
import os
import struct
import time
from base64 import b64decode, b64encode
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from filelock import FileLock
from werkzeug.wrappers import Request, Response

from tools.commands import run
from tools.documents import SIGNING, block
from tools.requirements import find_program
from tools.stand_ins.server import Server
from tools.stand_ins.service import Service, free_port

# renovate: datasource=pypi depName=sigstore
SIGSTORE_PYTHON = "4.5.1"
START = "start-time=2020-01-01T00:00:00Z"
PASSWORD = "sigstore"  # noqa: S105
# What the log signs its checkpoints as; Cosign expects the host of its address, without the port.
ORIGIN = "127.0.0.1"


@dataclass(frozen=True)
class Source:
    """A program in a Go module."""

    module: str
    version: str
    package: str = "."


# The newest that Go 1.26 builds.
SOURCES = {
    "fulcio": Source("github.com/sigstore/fulcio", "v1.8.8"),
    "tsa": Source("github.com/sigstore/timestamp-authority/v2", "v2.1.3", "./cmd/timestamp-server"),
    "rekor": Source("github.com/sigstore/rekor-tiles/v2", "v2.3.0", "./cmd/rekor-server/posix"),
}


@dataclass(frozen=True)
class Binaries:
    """The programs of the services, Cosign, and the configuration of the public Fulcio."""

    cosign: Path
    folder: Path

    @property
    def identities(self) -> dict[str, Any]:
        """How the public Fulcio turns an ID token of GitLab into a certificate."""
        known = yaml.safe_load((self.folder / "identities.yaml").read_text(encoding="utf-8"))
        found: dict[str, Any] = known["ci-issuer-metadata"]["gitlab-pipeline"]
        return found


def find_sigstore(cache: Path, cosign: Path) -> Binaries:
    """Return the services, which Go builds into a folder that outlives the tests."""
    folder = cache / "-".join(source.version for source in SOURCES.values())
    with FileLock(cache / "lock"):
        for name, source in SOURCES.items():
            if not (folder / name).exists():
                go = find_program("go", "install Go, which builds Sigstore")
                # Not `go install`, which does not hand out the configuration.
                said = run(go, "mod", "download", "-json", f"{source.module}@{source.version}", cwd=cache)
                module = Path(json.loads(said[said.index("{") :])["Dir"])
                run(go, "build", "-C", module, "-o", folder / f"{name}.new", source.package)
                if name == "fulcio":
                    public = (module / "config" / "identity" / "config.yaml").read_bytes()
                    (folder / "identities.yaml").write_bytes(public)
                (folder / f"{name}.new").rename(folder / name)
    return Binaries(cosign, folder)


class CTLog(Server):
    """A log of certificates that promises to log them, in the way of RFC 6962, and does not.

    It stands in for TesseraCT, which asks for unreleased versions of other modules, and so cannot be had everywhere.
    """

    def __init__(self) -> None:
        super().__init__()
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def url(self) -> str:
        """The address of the log."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key that proves its promises."""
        return self._key.public_key()

    def respond(self, request: Request, path: str) -> Response:
        """Return a promise for a certificate: https://www.rfc-editor.org/rfc/rfc6962#section-4.2"""
        if (request.method, path) != ("POST", "/ct/v1/add-pre-chain"):
            return self.refuse(404)
        entry, issuer = (x509.load_der_x509_certificate(b64decode(part)) for part in request.get_json()["chain"][:2])
        made = self._without_poison(entry)
        now = int(time.time() * 1000)
        # https://www.rfc-editor.org/rfc/rfc6962#section-3.2
        signed = struct.pack(">BBQH", 0, 0, now, 1) + sha256(public(issuer.public_key(), Encoding.DER)).digest()
        signed += len(made).to_bytes(3) + made + bytes(2)
        signature = self._key.sign(signed, ec.ECDSA(hashes.SHA256()))
        promise = {
            "sct_version": 0,
            "id": b64encode(sha256(public(self.public_key, Encoding.DER)).digest()).decode(),
            "timestamp": now,
            "extensions": "",
            # SHA-256 and ECDSA: https://www.rfc-editor.org/rfc/rfc5246#section-7.4.1.4.1
            "signature": b64encode(struct.pack(">BBH", 4, 3, len(signature)) + signature).decode(),
        }
        return Response(json.dumps(promise), content_type="application/json")

    def _without_poison(self, entry: x509.Certificate) -> bytes:
        """Return what will be signed of the certificate, once it is one."""
        builder = x509.CertificateBuilder(
            entry.issuer,
            entry.subject,
            entry.public_key(),
            entry.serial_number,
            entry.not_valid_before_utc,
            entry.not_valid_after_utc,
        )
        for extension in entry.extensions:
            if not isinstance(extension.value, x509.PrecertPoison):
                builder = builder.add_extension(extension.value, extension.critical)
        # Whoever signs, only the rest counts.
        return builder.sign(self._key, hashes.SHA256()).tbs_certificate_bytes


class Sigstore:
    """The services, which run within a `with` block, and the files with which Cosign finds and trusts them.

    `issuers` are the addresses of the GitLabs whose jobs get certificates; `*` in them stands for any name or
    port. One runs at a time, as the timestamp authority has a fixed port, 2112, for its metrics: tests of it share
    an `xdist_group`, and another one in the same process would wait for ever.
    """

    def __init__(self, folder: Path, binaries: Binaries, *issuers: str) -> None:
        self.folder = folder
        self.binaries = binaries
        self.issuers = issuers
        self.signing_config = folder / "signing-config.json"
        self.trusted_root = folder / "trusted-root.json"
        # Both in one, as Sigstore for Python wants them:
        # https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
        self.trust_config = folder / "trust-config.json"
        self.fulcio = Service(folder, "fulcio", binaries.folder / "fulcio", "/healthz")
        self.tsa = Service(folder, "tsa", binaries.folder / "tsa", "/ping")
        self.rekor = Service(folder, "rekor", binaries.folder / "rekor", "/healthz")
        self.ctlog = CTLog()
        self._services = (self.fulcio, self.tsa, self.rekor)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(FileLock(self.binaries.folder / "running"))
            stack.enter_context(self.ctlog)
            for service in self._services:
                stack.enter_context(service)
            self._write_keys()
            self._start()
            for service in self._services:
                service.wait()
            self._write_trust()
            self._log_something()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def heal(self) -> None:
        """End the faults that are still to come."""
        for service in (*self._services, self.ctlog):
            service.heal()

    @property
    def variables(self) -> dict[str, str]:
        """The variables with which jobs find and trust the services."""
        return {
            "SIGSTORE_SIGNING_CONFIG": str(self.signing_config),
            "SIGSTORE_TRUSTED_ROOT": str(self.trusted_root),
        }

    @property
    def options(self) -> tuple[str | Path, ...]:
        """The options with which Cosign signs here."""
        return ("--signing-config", self.signing_config, "--trusted-root", self.trusted_root)

    def signing_config_with(self, out: Path, **urls: str) -> Path:
        """Write a signing config in which some services, `fulcio`, `rekor` or `tsa`, are elsewhere; return its path."""
        services = {"fulcio": self.fulcio.url, "rekor": self.rekor.url, "tsa": self.tsa.url} | urls
        services["tsa"] += "/api/v1/timestamp"
        versions = {"fulcio": 1, "rekor": 2, "tsa": 1}
        specs = [
            f"--{name}=url={url},api-version={versions[name]},{START},operator=example.com"
            for name, url in services.items()
        ]
        any_of = ("--rekor-config", "ANY", "--tsa-config", "ANY")
        run(self.binaries.cosign, "signing-config", "create", *specs, *any_of, "--out", out)
        return out

    def _write_keys(self) -> None:
        """Make the key and certificate of the authority, and the keys of the logs.

        https://github.com/sigstore/fulcio/blob/main/docs/certificate-specification.md#root-certificate
        """
        key = ec.generate_private_key(ec.SECP256R1())
        protected = BestAvailableEncryption(PASSWORD.encode())
        # Sigstore for Python wants both.
        named = {x509.NameOID.ORGANIZATION_NAME: "example.com", x509.NameOID.COMMON_NAME: "sigstore"}
        name = x509.Name([x509.NameAttribute(kind, value) for kind, value in named.items()])
        now = datetime.now(UTC)
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        root = (
            x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        (self.folder / "fulcio.pem").write_bytes(root.public_bytes(Encoding.PEM))
        (self.folder / "root.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protected))
        checkpoint_key = ed25519.Ed25519PrivateKey.generate()
        private = checkpoint_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "rekor.key").write_bytes(private)
        (self.folder / "rekor.pub").write_bytes(public(checkpoint_key.public_key(), Encoding.PEM))
        (self.folder / "ctlog.pub").write_bytes(public(self.ctlog.public_key, Encoding.PEM))

    def _write_identities(self) -> Path:
        """Write which issuers Fulcio trusts, and what it reads in their ID tokens.

        It is the public Fulcio's, but for the address of GitLab, of which that knows one only.
        https://github.com/sigstore/fulcio/blob/main/docs/new-idp-requirements.md
        """
        metadata = json.loads(json.dumps(self.binaries.identities).replace("{{ .url }}", "{{ .iss }}"))
        trusted = {"client-id": "sigstore", "type": "ci-provider", "ci-provider": "gitlab-pipeline"}
        known = {
            "meta-issuers": {issuer: {"issuer-url": issuer, **trusted} for issuer in self.issuers},
            "ci-issuer-metadata": {"gitlab-pipeline": metadata},
        }
        path = self.folder / "identities.yaml"
        path.write_text(yaml.safe_dump(known), encoding="utf-8")
        return path

    def _start(self) -> None:
        """Start all services; they need each other when they are asked only."""
        self.fulcio.start(
            "serve",
            "--host=127.0.0.1",
            "--port=PORT",
            "--grpc-host=127.0.0.1",
            f"--grpc-port={free_port()}",
            f"--metrics-port={free_port()}",
            "--legacy-unix-domain-socket=socket",
            "--ca=fileca",
            f"--fileca-cert={self.folder}/fulcio.pem",
            f"--fileca-key={self.folder}/root.key",
            f"--fileca-key-passwd={PASSWORD}",
            f"--ct-log-url={self.ctlog.url}",
            f"--ct-log-public-key-path={self.folder}/ctlog.pub",
            f"--config-path={self._write_identities()}",
        )
        self.tsa.start(
            "serve", "--host=127.0.0.1", "--port=PORT", "--timestamp-signer=memory", "--disable-ntp-monitoring"
        )
        self.rekor.start(
            "serve",
            "--http-address=127.0.0.1",
            "--http-port=PORT",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={free_port()}",
            f"--http-metrics-port={free_port()}",
            f"--hostname={ORIGIN}",
            "--storage-dir=log-of-signatures",
            f"--signer-filepath={self.folder}/rekor.key",
            # The default is ten seconds, for which every signature would wait.
            "--checkpoint-interval=100ms",
            "--batch-max-age=10ms",
        )

    def _log_something(self) -> None:
        """Make the first entry of the log, whose number, 0, Cosign leaves out and Sigstore for Python wants.

        https://github.com/sigstore/rekor-tiles/blob/main/CLIENTS.md
        """
        key = ec.generate_private_key(ec.SECP256R1())
        verifier = {"publicKey": {"rawBytes": b64encode(public(key.public_key(), Encoding.DER)).decode()}}
        signature = {
            "content": b64encode(key.sign(b"", ec.ECDSA(hashes.SHA256()))).decode(),
            "verifier": verifier | {"keyDetails": "PKIX_ECDSA_P256_SHA_256"},
        }
        entry = {"digest": b64encode(sha256(b"").digest()).decode(), "signature": signature}
        body = json.dumps({"hashedRekordRequestV002": entry}).encode()
        answer = self.rekor.ask("POST", "/api/v2/log/entries", {"Content-Type": "application/json"}, body)
        assert answer.status_code == HTTPStatus.CREATED, answer.get_data()

    def _write_trust(self) -> None:
        """Write where Cosign signs, and what it trusts, by the recipe in the documents."""
        chain = self.tsa.ask("GET", "/api/v1/timestamp/certchain", {}, b"")
        (self.folder / "tsa.pem").write_bytes(chain.get_data())
        env = {**os.environ, "PATH": f"{self.binaries.cosign.parent}:{os.environ['PATH']}"}
        for variable in ("SIGSTORE_SIGNING_CONFIG", "SIGSTORE_TRUSTED_ROOT"):
            commands = block(SIGNING, f"`{variable}` says").replace("origin=rekor.example.com", f"origin={ORIGIN}")
            for name in ("fulcio", "tsa", "rekor", "ctlog"):
                commands = commands.replace(f"https://{name}.example.com", getattr(self, name).url)
            run("sh", "-e", "-c", commands, cwd=self.folder, env=env)
        known: dict[str, Any] = {"mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"}
        known["trustedRoot"] = json.loads(self.trusted_root.read_text(encoding="utf-8"))
        known["signingConfig"] = json.loads(self.signing_config.read_text(encoding="utf-8"))
        self.trust_config.write_text(json.dumps(known), encoding="utf-8")


def public(key: CertificatePublicKeyTypes, encoding: Encoding) -> bytes:
    """Return a public key as bytes."""
    return key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
