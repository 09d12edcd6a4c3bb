"""Lists in pages: https://docs.gitlab.com/api/rest/#pagination."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from tools.stand_ins.gitlab_api import as_json

MOST = 100


def paged(request: Request, items: Sequence[Any], describe: Callable[[Any], Any] = lambda item: item) -> Response:
    """Return a page of a list; with `pagination=keyset` those after the last one, by the attribute `id`."""
    size = min(int(request.args.get("per_page", 20)), MOST)
    if request.args.get("pagination") == "keyset":
        return by_keyset(request, items, describe, size)
    number = int(request.args.get("page", 1))
    begin = size * (number - 1)
    pages = max(1, -(-len(items) // size))
    following = str(number + 1) if number < pages else ""
    headers = {
        "X-Page": str(number),
        "X-Per-Page": str(size),
        "X-Next-Page": following,
        "X-Prev-Page": str(number - 1) if number > 1 else "",
        "X-Total": str(len(items)),
        "X-Total-Pages": str(pages),
    }
    if following:
        headers["Link"] = link(request, page=following)
    return as_json(200, [describe(item) for item in items[begin : begin + size]], headers)


def by_keyset(request: Request, items: Sequence[Any], describe: Callable[[Any], Any], size: int) -> Response:
    """Return the items that come after the one that a client had last."""
    descending = request.args.get("sort", "desc") == "desc"
    ordered = sorted(items, key=number_of, reverse=descending)
    after = request.args.get("id_before" if descending else "id_after")
    if after is not None:
        last = int(after)
        ordered = [item for item in ordered if (number_of(item) < last if descending else number_of(item) > last)]
    page = ordered[:size]
    headers = {}
    if len(ordered) > size:
        headers["Link"] = link(request, **{"id_before" if descending else "id_after": str(number_of(page[-1]))})
    return as_json(200, [describe(item) for item in page], headers)


def number_of(item: Any) -> int:
    """Return the number by which GitLab orders."""
    number: int = item["id"] if isinstance(item, dict) else item.id
    return number


def link(request: Request, **changed: str) -> str:
    """Return the header that names the next page."""
    query = urlencode({**request.args.to_dict(), **changed})
    return f'<{request.base_url}?{query}>; rel="next"'
