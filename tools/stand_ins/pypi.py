"""A PyPI on the loopback interface for the jobs of a test: trusted publishers, uploads, and a public index."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

from pypiserver.pkg_helpers import normalize_pkgname_for_url
from werkzeug.exceptions import HTTPException, abort
from werkzeug.wrappers import Request, Response

from tools.stand_ins.gitlab_api import as_json
from tools.stand_ins.server import Server, index_of
from tools.stand_ins.tls import make_certificate

# What the pages leave open, such as the wording of a refusal, is as in PyPI's source: `warehouse/oidc/views.py`,
# `warehouse/oidc/models` and `warehouse/forklift/legacy.py`.

AUDIENCE = "pypi"
LIFETIME = 900


def id_token(**claims: Any) -> str:
    """Return the ID token that GitLab gives to a job of a protected tag, unsigned; each is another.

    https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload
    """
    path = claims.get("project_path", "group/another")
    known = {
        "iss": "https://gitlab.com",
        "aud": AUDIENCE,
        "jti": secrets.token_hex(16),
        "iat": int(time.time()),
        "exp": int(time.time()) + LIFETIME,
        "project_path": path,
        "ref_type": "tag",
        "ref_path": "refs/tags/v1.0.0",
        "ref_protected": "true",
        "ci_config_ref_uri": f"gitlab.com/{path}//.gitlab-ci.yml@refs/tags/v1.0.0",
        **claims,
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, known)
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, secrets.token_urlsafe(256)])


def claims_of(token: str) -> dict[str, Any]:
    """Return what an ID token says, whoever signed it."""
    try:
        claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    except (ValueError, IndexError):
        claims = {}
    return claims if isinstance(claims, dict) else {}


@dataclass(frozen=True)
class Publisher:
    """A project that may publish a package, known by some claims of its ID tokens.

    https://github.com/pypi/warehouse/blob/main/docs/user/trusted-publishers/adding-a-publisher.md
    """

    package: str
    claims: dict[str, str]


@dataclass
class ApiToken:
    """A token to upload with: for one package, and not for long."""

    publisher: Publisher
    expires: float
    value: str = field(default_factory=lambda: f"pypi-{secrets.token_urlsafe(100)}", repr=False)


class PyPI(Server):
    """The server, which runs within a `with` block and keeps what it is given in a folder.

    uv asks for a token by TLS only, so the server has a certificate, which the jobs trust by `settings`; `trusted` is a
    file of all that they trust, with its own.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self.publishers: list[Publisher] = []
        self.minted: list[ApiToken] = []
        # By the name of the file: what was sent along with it.
        self.attestations: dict[str, Any] = {}
        self._used: set[str] = set()
        self._index = index_of(self.files)

    def certificate(self) -> tuple[str, str]:
        """Make a certificate, which jobs that have the settings trust."""
        pair, self.trusted = make_certificate(self.folder)
        return pair

    @property
    def url(self) -> str:
        """The address of PyPI."""
        return f"https://localhost:{self.port}"

    @property
    def simple(self) -> str:
        """The address of the index."""
        return f"{self.url}/simple"

    @property
    def settings(self) -> dict[str, str]:
        """The variables with which a job finds this PyPI, and trusts its certificate besides others."""
        trusted = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(self.trusted))
        return {"UV_PUBLISH_URL": f"{self.url}/legacy/", **trusted}

    def trust(self, package: str, **claims: str) -> None:
        """Let the jobs with these claims publish a package."""
        self.publishers.append(Publisher(package, claims))

    def respond(self, request: Request, path: str) -> Response:
        """Return the answer to a request."""
        handle = {
            ("GET", "/_/oidc/audience"): lambda _: as_json(200, {"audience": AUDIENCE}),
            ("POST", "/_/oidc/mint-token"): self._mint_token,
            ("POST", "/_/oidc/burn-token"): self._burn_token,
            ("POST", "/legacy/"): self._upload,
        }.get((request.method, path))
        try:
            if handle:
                return handle(request)
            return self._ask_index(request, path) if request.method == "GET" else abort(405)
        except HTTPException as refused:
            return Response.force_type(refused.get_response(request.environ))

    def _mint_token(self, request: Request) -> Response:
        """Give a token for the ID token of a trusted publisher, which can be used once.

        PyPI itself compares the path, the file of the pipeline and the environment, and no other claims.
        https://github.com/pypi/warehouse/blob/main/docs/user/trusted-publishers/internals.md
        https://github.com/pypi/warehouse/blob/main/docs/user/trusted-publishers/troubleshooting.md#token-minting
        """
        claims = claims_of(str(request.get_json(force=True)["token"]))
        if claims.get("aud") != AUDIENCE:
            return self._no_token("invalid-token", "malformed or invalid token")
        publisher = next((one for one in self.publishers if one.claims.items() <= claims.items()), None)
        if publisher is None:
            reason = "Publisher with matching claims was not found"
            return self._no_token("invalid-publisher", f"valid token, but no corresponding publisher ({reason})")
        if claims["jti"] in self._used:
            return self._no_token("invalid-reuse-token", "invalid token: already used")
        self._used.add(claims["jti"])
        self.minted.append(ApiToken(publisher, time.time() + LIFETIME))
        expires = int(self.minted[-1].expires)
        return as_json(200, {"success": True, "token": self.minted[-1].value, "expires": expires})

    def _no_token(self, code: str, description: str) -> Response:
        errors = [{"code": code, "description": description}]
        return as_json(422, {"message": "Token request failed", "errors": errors})

    def _burn_token(self, request: Request) -> Response:
        """Let a token expire, and never tell whether there was one."""
        for token in self.minted:
            if token.value == request.get_json(force=True)["token"]:
                token.expires = 0
        return Response(status=202)

    def _upload(self, request: Request) -> Response:
        """Take a file, once; the same again changes nothing.

        https://github.com/pypi/warehouse/blob/main/docs/user/api/upload.md
        """
        basic = request.authorization
        user, password = (basic.username, basic.password) if basic else (None, None)
        token = next((one for one in self.minted if user == "__token__" and one.value == password), None)
        if token is None or token.expires < time.time():
            return self._error(403, "Invalid or non-existent authentication information.")
        name, file = request.form["name"], request.files["content"]
        if normalize_pkgname_for_url(name) != token.publisher.package:
            return self._error(403, f"The given token isn't allowed to upload to project {name!r}.")
        there, content = self.files / Path(str(file.filename)).name, file.read()
        if hashlib.sha256(content).hexdigest() != request.form["sha256_digest"]:
            return self._error(400, "The digest supplied does not match a digest calculated from the uploaded file.")
        if there.exists() and there.read_bytes() == content:
            return Response(status=200)
        if there.exists():
            blake2 = hashlib.blake2b(content, digest_size=32).hexdigest()
            return self._error(400, f"File already exists ({there.name!r}, with blake2_256 hash {blake2!r}).")
        file.seek(0)
        answer = self._ask_index(request, "/")
        if answer.status_code == HTTPStatus.OK and "attestations" in request.form:
            self.attestations[there.name] = json.loads(request.form["attestations"])
        return answer

    def _error(self, status: int, reason: str) -> Response:
        title = HTTPStatus(status).phrase
        return as_json(status, {"message": reason, "code": f"{status} {reason}", "title": title})

    def _ask_index(self, request: Request, path: str) -> Response:
        """Return what pypiserver says to a request, whoever asks.

        https://github.com/pypi/warehouse/blob/main/docs/user/api/index-api.md
        """
        body = request.get_data()
        environ = {
            **request.environ,
            "PATH_INFO": path,
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_TRANSFER_ENCODING": "",
            "HTTP_AUTHORIZATION": "",
            "wsgi.input": BytesIO(body),
        }
        return Response.from_app(self._index, environ, buffered=True)
