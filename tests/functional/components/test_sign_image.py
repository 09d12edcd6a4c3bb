"""What `sign-image` attests."""

from __future__ import annotations

import json
import re
from base64 import b64decode

from tools.samples.image import Imaged


def test_the_image_says_what_it_is_made_of_and_how(imaged: Imaged) -> None:
    name = f"{imaged.name}@{imaged.digest('1.0.0-candidate')}"
    options = ("verify-attestation", "--key", imaged.release.path / "cosign.pub", "--insecure-ignore-tlog", name)
    statements = {}
    for kind in ("slsaprovenance1", "cyclonedx"):
        (line,) = re.findall(r"^\{.*$", imaged.cosign(*options, "--type", kind), re.MULTILINE)
        statements[kind] = json.loads(b64decode(json.loads(line)["payload"]))
    subjects = [statement["subject"][0]["digest"]["sha256"] for statement in statements.values()]
    assert subjects == [name.partition("@sha256:")[2]] * 2
    (source,) = statements["slsaprovenance1"]["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["digest"]["gitCommit"] == imaged.release.commit
    components = statements["cyclonedx"]["predicate"]["components"]
    known = {component.get("purl", "").partition("?")[0] for component in components}
    assert "pkg:pypi/another@1.0.0" in known
    assert any(purl.startswith("pkg:deb/debian/python3.13-minimal@") for purl in known)
