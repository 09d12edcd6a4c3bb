"""What clients of the stand-ins send and get."""

from __future__ import annotations

import json
from base64 import b64encode
from http.client import HTTPMessage
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


def basic(token: str, user: str = "gitlab-ci-token") -> dict[str, str]:
    """Return the header of HTTP basic authentication."""
    return {"Authorization": f"Basic {b64encode(f'{user}:{token}'.encode()).decode()}"}


def job(token: str) -> dict[str, str]:
    """Return GitLab's header for the token of a job."""
    return {"JOB-TOKEN": token}
