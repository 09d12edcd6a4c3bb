"""Addresses of git, without what may be a token in them.

The hooks of the template run this file where it lies, and so it needs nothing but Python.
"""

from __future__ import annotations

import re

# In a text, up to what cannot be in one; a password with a space has to be written with %20.
ADDRESS = re.compile(r"\w[\w+.-]*://[^\s'\"<>]*")
# The query of the page on which GitLab proposes a merge request, after a push.
PROPOSAL = re.compile(r"\?merge_request%5Bsource_branch%5D=[\w.%-]*")


def without_secrets(address: str) -> str | None:
    """Return where git finds a repository without what others must not read; None if it is no sound address.

    Passwords and queries go, and users too, for one may be a token; but SSH needs its user. A
    folder, and `git@host:path`, have no place for a password.
    """
    scheme, is_url, rest = address.partition("://")
    if not is_url:
        return address
    # The name of a folder may have these characters.
    authority, slash, path = (rest if scheme.lower() == "file" else re.split("[?#]", rest)[0]).partition("/")
    # A password may hold an @, and git decodes an address of SSH before it looks for one.
    login, _, host = authority.replace("%40", "@").rpartition("@")
    if not re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*)(:\d*)?", host):
        return None
    user = re.split("(?i):|%3a", login)[0] if "ssh" in scheme.lower() else ""
    return f"{scheme}://{user and f'{user}@'}{host}{slash}{path}"


def text_without_secrets(text: str) -> str:
    """Return a text, such as what git has said, with all addresses in it as they may be shown."""

    def shown(found: re.Match[str]) -> str:
        address = found[0]
        proposal = PROPOSAL.search(address)
        kept = proposal[0] if proposal and address.endswith(proposal[0]) else ""
        clean = without_secrets(address)
        return clean + kept if clean is not None else f"{address.partition('://')[0]}://[MASKED]"

    return ADDRESS.sub(shown, text)


def place(address: str) -> str:
    """Return the host and the path of an address of git, whichever way it goes there."""
    rest = address.partition("://")[2] if "://" in address else address.replace(":", "/", 1)
    host, slash, path = rest.rstrip("/").removesuffix(".git").partition("/")
    return f"{host.rpartition('@')[2]}{slash}{path}".lower()
