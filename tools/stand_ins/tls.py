"""Certificates of servers on the loopback interface that talk TLS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import certifi
from werkzeug.serving import make_ssl_devcert


class Certificate(NamedTuple):
    """The files of a certificate for `localhost` and of its key, and all that is trusted, with this one."""

    pair: tuple[str, str]
    trusted: Path


def make_certificate(folder: Path) -> Certificate:
    """Make a certificate in a folder."""
    pair = make_ssl_devcert(str(folder / "tls"), cn="localhost")
    known = Path(os.environ.get("SSL_CERT_FILE") or certifi.where()).read_text(encoding="utf-8")
    trusted = folder / "trusted.pem"
    trusted.write_text(known + Path(pair[0]).read_text(encoding="utf-8"), encoding="utf-8")
    return Certificate(pair, trusted)
