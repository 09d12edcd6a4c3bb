"""GitLab as what lets jobs into its container registry: they show their token, and get one that the registry takes."""

from __future__ import annotations

import time
import uuid
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from werkzeug.wrappers import Request, Response

from tools.stand_ins.gitlab_api import Caller, as_json
from tools.stand_ins.gitlab_project import Project

AUTH_PATH = "/jwt/auth"
SERVICE = "container_registry"
ISSUER = "gitlab-issuer"
# GitLab's default: https://docs.gitlab.com/administration/packages/container_registry/#increase-token-duration
LIFETIME = 300
# What a job may do in its own project: `can_access?` in `container_registry_authentication_service.rb`.
ACTIONS = ("pull", "push", "delete")
DENIED = (
    "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or "
    "you're required to use a token instead of a password. If a token was provided, it was either incorrect, "
    "expired, or improperly scoped."
)


class TokenService:
    """What signs the tokens of one GitLab; its key is its own.

    https://docs.gitlab.com/administration/packages/container_registry/
    https://distribution.github.io/distribution/spec/auth/token/
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ISSUER)])
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> bytes:
        """The certificate by which the registry knows the tokens, in PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    def respond(self, request: Request, caller: Caller) -> Response:
        """Return the answer to a request for a token.

        What is not the caller's is left out of it, and then the registry refuses.
        """
        # A client that asks by POST first, as OAuth has it, goes on with GET: `config/routes.rb`.
        if request.method != "GET" or request.args.get("service") != SERVICE:
            return Response(status=HTTPStatus.NOT_FOUND)
        # Here a header that has the token of a job counts for nothing.
        project = caller.project if caller.means == "basic" else None
        scopes = request.args.getlist("scope")
        if request.authorization and not project:
            return refuse(401, "UNAUTHORIZED", DENIED)
        if not project and not scopes:
            return refuse(403, "DENIED", "access forbidden")
        return as_json(200, {"token": self._token(project, scopes)})

    def _token(self, project: Project | None, scopes: list[str]) -> str:
        """Return a token for what a job of the project may do of what is asked for."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": "",
            "aud": SERVICE,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now - 5,
            "exp": now + LIFETIME,
            "access": [granted for granted in (access(project, scope) for scope in scopes) if granted["actions"]],
        }
        chain = [b64encode(self._certificate.public_bytes(Encoding.DER)).decode()]
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"x5c": chain})


def access(project: Project | None, scope: str) -> dict[str, str | list[str]]:
    """Return what a job of a project may do of a scope, which is its own path or one below that.

    https://distribution.github.io/distribution/spec/auth/scope/
    """
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    own = project and kind == "repository" and f"{name}/".startswith(f"{project.path.lower()}/")
    return {
        "type": kind,
        "name": name,
        "actions": [action for action in actions.split(",") if own and action in ACTIONS],
    }


def refuse(status: int, code: str, text: str) -> Response:
    """Return a refusal in the words of the registry's protocol."""
    return as_json(status, {"errors": [{"code": code, "message": text}]})
