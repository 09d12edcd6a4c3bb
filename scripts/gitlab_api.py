"""Asks GitLab's API with the token of the job, and package indexes without, again where they fail."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple

# Seconds before the second and the third attempt; there is no fourth.
PAUSES = (1, 5)
TRANSIENT = (408, 429, 500, 502, 503, 504)


class RequestError(Exception):
    """A request failed; `status` is that of HTTP, or None where there was no answer."""

    def __init__(self, problem: str, status: int | None = None) -> None:
        super().__init__(problem)
        self.status = status


class Answer(NamedTuple):
    """What was asked for, the address that it came from, and its media type."""

    content: bytes
    address: str
    kind: str


def of_project(path: str) -> str:
    """Return the address of something in the API of this project."""
    return f"{os.environ['CI_API_V4_URL']}/projects/{os.environ['CI_PROJECT_ID']}/{path}"


def login(address: str) -> dict[str, str]:
    """Return the header that gives the token of the job to its own project, and to nobody else.

    https://docs.gitlab.com/user/packages/pypi_repository/#authenticate-with-the-gitlab-package-registry
    https://docs.gitlab.com/ci/jobs/ci_job_token/#to-git-clone-a-private-projects-repository
    """
    repository = f"{os.environ.get('CI_PROJECT_URL')}.git/"
    if address.startswith((of_project("packages/pypi/"), repository)):
        login = f"gitlab-ci-token:{os.environ['CI_JOB_TOKEN']}"
        return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
    ours = (of_project(""), f"{os.environ['CI_API_V4_URL']}/jobs/")
    return {"JOB-TOKEN": os.environ["CI_JOB_TOKEN"]} if address.startswith(ours) else {}


def beginning(error: urllib.error.HTTPError) -> str:
    """Return what an error says first, as far as a log can show it."""
    try:
        return "".join(filter(str.isprintable, error.read(300).decode(errors="replace")))
    except (OSError, http.client.HTTPException):
        return ""


def attempt(method: str, address: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
    """Make one request; raise RequestError where it fails."""
    if not address.startswith(("http://", "https://")):
        raise RequestError(f"{address!r} is not an address of HTTP")
    try:
        request = urllib.request.Request(address, content, dict(headers), method=method)  # noqa: S310
        for name, value in login(address).items():
            # A registry may send to a storage elsewhere, which has no business with the token.
            request.add_unredirected_header(name, value)
        with urllib.request.urlopen(request, timeout=float(os.environ.get("UV_HTTP_TIMEOUT", "120"))) as response:  # noqa: S310
            return Answer(response.read(), response.url, response.headers.get_content_type())
    except urllib.error.HTTPError as error:
        raise RequestError(f"{error.code} {error.reason} {beginning(error)}".strip(), error.code) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise RequestError(str(error) or repr(error)) from None


def ask(method: str, address: str, content: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the answer to a request, after three attempts at the most; raise RequestError where there is none."""
    for pause in PAUSES:
        try:
            return attempt(method, address, content, headers or {})
        except RequestError as failed:
            if failed.status not in (None, *TRANSIENT):
                raise
            print(f"{failed}; trying again in {pause} s", flush=True)
            time.sleep(pause)
    return attempt(method, address, content, headers or {})
