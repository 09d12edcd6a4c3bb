"""GitLab as an OpenID Connect issuer: who asks finds its keys, and its jobs get ID tokens."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from jwt.algorithms import RSAAlgorithm
from werkzeug.wrappers import Response

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/oauth/discovery/keys"
PROJECT = "group/another"
REF = "v1.0.0"
SHA = "714a629c0b401fdce83e847fc9589983fc6f46bc"


class Issuer:
    """The issuer that is the GitLab at an address, which may end with a path; its key is its own.

    The documents are where https://docs.gitlab.com/integration/openid_connect_provider/ says.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = generate_private_key(public_exponent=65537, key_size=2048)
        self._public = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._public |= {"kid": uuid.uuid4().hex, "use": "sig", "alg": "RS256"}

    def respond(self, path: str) -> Response | None:
        """Return the document at a path below the address of GitLab, if it is the issuer's."""
        documents: dict[str, Any] = {DISCOVERY: self._discovery(), KEYS: {"keys": [self._public]}}
        if path not in documents:
            return None
        return Response(json.dumps(documents[path]), content_type="application/json")

    def _discovery(self) -> dict[str, Any]:
        """Return what a client must know: https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata"""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/oauth/authorize",
            "token_endpoint": f"{self.url}/oauth/token",
            "jwks_uri": f"{self.url}{KEYS}",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def token(self, *, lifetime: int = 3600, **claims: Any) -> str:
        """Return the ID token of a job, signed; `lifetime` is the timeout of the job, in seconds."""
        headers = {"kid": self._public["kid"]}
        return jwt.encode(self.claims(lifetime=lifetime, **claims), self._key, algorithm="RS256", headers=headers)

    def claims(self, *, lifetime: int = 3600, **claims: Any) -> dict[str, Any]:
        """Return the claims of a job of a protected tag, with others in their place; None takes one away.

        Some follow from others: a test that gives another `project_path`, `ref` or `sha` gives no more.
        Without an environment, a policy or the settings `groups_direct` and `user_identities`, these claims are all.
        https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload
        https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/gitlab/ci/jwt.rb
        https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/gitlab/ci/jwt_v2.rb
        """
        now = int(time.time())
        path, ref, sha = claims.get("project_path", PROJECT), claims.get("ref", REF), claims.get("sha", SHA)
        kind = claims.get("ref_type", "tag")
        ref_path = f"refs/{'tags' if kind == 'tag' else 'heads'}/{ref}"
        project = {
            "project_id": "1",
            "project_path": path,
            "namespace_id": "72",
            "namespace_path": path.rpartition("/")[0],
        }
        made = {
            "iss": self.url,
            "sub": f"project_path:{path}:ref_type:{kind}:ref:{ref}",
            "aud": "sigstore",
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now - 5,
            "exp": now + lifetime,
            **project,
            # Since 18.4: those of the project that runs the job, which a pipeline for a fork does elsewhere.
            **{f"job_{name}": value for name, value in project.items()},
            "project_visibility": "private",
            "user_id": "1",
            "user_login": "sample-user",
            "user_email": "sample-user@example.com",
            "user_access_level": "maintainer",
            "pipeline_id": "574",
            "pipeline_source": "push",
            "job_id": "302",
            # Since 18.9.
            "job_source": "push",
            "ref": ref,
            "ref_type": kind,
            "ref_path": ref_path,
            "ref_protected": "true",
            # A number, unlike all other ids.
            "runner_id": 1,
            "runner_environment": "self-hosted",
            "sha": sha,
            # Host, port and path of GitLab, as in CI_SERVER_FQDN: `build_server_fqdn` in GitLab's config/settings.rb.
            "ci_config_ref_uri": f"{self.url.partition('://')[2]}/{path}//.gitlab-ci.yml@{ref_path}",
            "ci_config_sha": sha,
        }
        return {name: value for name, value in (made | claims).items() if value is not None}
