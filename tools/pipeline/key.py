"""Makes a key pair as Cosign does; it needs no Cosign, which a job of the pipeline may fetch later."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_public_key,
)
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

# The variables of a project that have its halves for the jobs that sign.
KEY, PASSWORD = "COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD"

# https://github.com/secure-systems-lab/go-securesystemslib/blob/main/encrypted/encrypted.go
SCRYPT = {"N": 65536, "r": 8, "p": 1}


@dataclass(frozen=True)
class KeyPair:
    """A private key with its password, and the public key."""

    private: str = field(repr=False)
    password: str = field(repr=False)
    public: str


def base64_of(data: bytes) -> str:
    """Return bytes as JSON has them here."""
    return base64.b64encode(data).decode()


def box(password: str, salt: bytes, params: Mapping[str, int]) -> SecretBox:
    """Return what encrypts with a password."""
    n, r, p = params["N"], params["r"], params["p"]
    return SecretBox(
        hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=SecretBox.KEY_SIZE, maxmem=2**27)
    )


def make_key_pair(password: str | None = None) -> KeyPair:
    """Make a key pair, with a password of its own unless one is given."""
    key, password = generate_private_key(SECP256R1()), password or secrets.token_urlsafe()
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(SecretBox.NONCE_SIZE)
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    encrypted = {
        "kdf": {"name": "scrypt", "params": SCRYPT, "salt": base64_of(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": base64_of(nonce)},
        "ciphertext": base64_of(box(password, salt, SCRYPT).encrypt(plain, nonce).ciphertext),
    }
    body = base64.encodebytes(json.dumps(encrypted).encode()).decode()
    private = f"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{body}-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
    return KeyPair(private, password, public_of(plain))


def public_of(plain: bytes) -> str:
    """Return the public key of a private one."""
    public = load_der_private_key(plain, None).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signs(public: str, bundle: bytes, content: bytes) -> bool:
    """Tell whether a bundle of Cosign has the signature of a file, or of a statement about it, by a key.

    https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
    https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    """
    try:
        key = load_pem_public_key(public.encode())
        said = json.loads(bundle)
        if "messageSignature" in said:
            signature, signed = said["messageSignature"]["signature"], content
        else:
            envelope = said["dsseEnvelope"]
            kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
            signed = b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])
            (signature,) = (each["sig"] for each in envelope["signatures"])
            (subject,) = json.loads(payload)["subject"]
            if subject["digest"]["sha256"] != hashlib.sha256(content).hexdigest():
                return False
        if not isinstance(key, EllipticCurvePublicKey):
            return False
        key.verify(base64.b64decode(signature), signed, ECDSA(SHA256()))
    except (InvalidSignature, LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return False
    return True


def public_key(private: str, password: str) -> str:
    """Return the public key of a private one as Cosign keeps it; raise ValueError where the password is not its."""
    try:
        body = "".join(line for line in private.splitlines() if not line.startswith("-----"))
        kept = json.loads(base64.b64decode(body))
        salt, nonce = (base64.b64decode(each) for each in (kept["kdf"]["salt"], kept["cipher"]["nonce"]))
        opened = box(password, salt, kept["kdf"]["params"]).decrypt(base64.b64decode(kept["ciphertext"]), nonce)
        return public_of(opened)
    except (CryptoError, KeyError, TypeError) as error:
        raise ValueError("the password does not open the key") from error
