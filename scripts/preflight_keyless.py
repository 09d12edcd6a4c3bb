"""Says which Sigstore will sign a release, whether it answers, and what to do where there can be none."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from scripts.trouble import give_up

# What Cosign asks first; the second says where the others are.
PUBLIC = {"certificates": ["https://fulcio.sigstore.dev"], "trust": ["https://tuf-repo-cdn.sigstore.dev"]}
KINDS = {"caUrls": "certificates", "rekorTlogUrls": "log", "tsaUrls": "time"}
VARIABLES = ("SIGSTORE_SIGNING_CONFIG", "SIGSTORE_TRUSTED_ROOT")
TWO_WAYS = """\
The public Sigstore gives no certificate to a pipeline on {}, only to those on gitlab.com. There are two ways out:
  - sign with a key pair: make the project again with signing=key, or set `method: key` of the component sign;
  - run a Sigstore of your own, and set SIGSTORE_SIGNING_CONFIG and SIGSTORE_TRUSTED_ROOT, two variables of the
    type File, in Settings > CI/CD > Variables of the group: docs/signing.md of the template has the recipe."""


def services() -> tuple[str, dict[str, list[str]]]:
    """Return whose Sigstore it is, and the addresses of its services by what they are for."""
    missing = [name for name in VARIABLES if not Path(os.environ.get(name, "")).is_file()]
    if len(missing) == 1:
        give_up("keyless-variables", f"{missing[0]} is missing or no file: set both as variables of the type File.")
    if missing and os.environ.get("CI_SERVER_HOST") != "gitlab.com":
        give_up("keyless-host", TWO_WAYS.format(os.environ.get("CI_SERVER_HOST")))
    if missing:
        return "the public one", PUBLIC
    try:
        config = json.loads(Path(os.environ[VARIABLES[0]]).read_text(encoding="utf-8"))
        found = {kind: [service["url"] for service in config.get(key, [])] for key, kind in KINDS.items()}
        if not found["certificates"]:
            raise ValueError("without caUrls")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        give_up(
            "keyless-variables",
            f"{VARIABLES[0]} is no signing configuration of Cosign ({error!r}): "
            "make it with 'cosign signing-config create'.",
        )
    return "your own", found


def answer(address: str) -> str | None:
    """Say what is wrong with a service after three attempts, or None."""
    problem = "not asked"
    for pause in (1, 5, 0):
        try:
            with urllib.request.urlopen(address, timeout=20):  # noqa: S310
                return None
        except urllib.error.HTTPError as error:
            # There is no page at its root, and need be none.
            if error.code < 500:
                return None
            problem = f"fails ({error.code})"
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = f"no answer: {error}"
        time.sleep(pause)
    return problem


def main() -> None:
    """Ask each service, and say how it went; end the program where a release could not be signed."""
    whose, found = services()
    print(f"A release is signed keyless, with the identity of its pipeline, by Sigstore: {whose}.\n")
    failed = False
    for kind, addresses in found.items():
        for address in addresses:
            problem = answer(address)
            failed = failed or problem is not None
            print(f"  {'FAIL' if problem else 'ok':4}  {kind:12}  {address}  {problem or 'answers'}")
    if failed:
        print()
        give_up(
            "keyless-unreachable",
            "A release could not be signed. Retry the job later, or open the network to what did not answer.",
        )


if __name__ == "__main__":
    main()
