"""Makes a key pair for one run, as Cosign does; it needs no Cosign, which a job of the pipeline may fetch later."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from nacl.secret import SecretBox

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


def make_key_pair() -> KeyPair:
    """Make a key pair."""
    key, password = generate_private_key(SECP256R1()), secrets.token_urlsafe()
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(SecretBox.NONCE_SIZE)
    n, r, p = SCRYPT["N"], SCRYPT["r"], SCRYPT["p"]
    derived = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=SecretBox.KEY_SIZE, maxmem=2**27)
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    encrypted = {
        "kdf": {"name": "scrypt", "params": SCRYPT, "salt": base64_of(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": base64_of(nonce)},
        "ciphertext": base64_of(SecretBox(derived).encrypt(plain, nonce).ciphertext),
    }
    body = base64.encodebytes(json.dumps(encrypted).encode()).decode()
    private = f"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{body}-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return KeyPair(private, password, public)
