"""An advisory service on the loopback interface, which knows what a test tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request, Response

from tools.stand_ins.server import Server


@dataclass(frozen=True)
class Advisory:
    """A vulnerability of all versions of a package before the one that fixes it, where there is one."""

    package: str
    name: str
    aliases: tuple[str, ...] = ()
    fixed: str = ""

    def as_osv(self) -> dict[str, Any]:
        """Return it as the service has it: https://ossf.github.io/osv-schema/"""
        events = [{"introduced": "0"}, *([{"fixed": self.fixed}] if self.fixed else [])]
        affected = {
            "package": {"name": self.package, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
        return {
            "id": self.name,
            "aliases": list(self.aliases),
            "summary": "It is known.",
            "details": "It is known.",
            "modified": "2026-01-01T00:00:00Z",
            "published": "2026-01-01T00:00:00Z",
            "affected": [affected],
        }


class Advisories(Server):
    """The service, which runs within a `with` block: https://google.github.io/osv.dev/post-v1-query/"""

    def __init__(self, *known: Advisory) -> None:
        super().__init__()
        self.known = known
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def respond(self, request: Request, path: str) -> Response:
        """Return what is known of a version of a package."""
        if (request.method, path) != ("POST", "/v1/query"):
            return self.refuse(404)
        # pip-audit does not say that it is JSON.
        query = request.get_json(force=True)
        name = query["package"]["name"]
        self.asked.append((name, query["version"]))
        vulnerabilities = [each.as_osv() for each in self.known if each.package == name]
        return Response(
            json.dumps({"vulns": vulnerabilities} if vulnerabilities else {}), content_type="application/json"
        )
