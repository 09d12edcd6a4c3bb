"""Images that `verify-image` refuses: not signed, by another, or of something else."""

from __future__ import annotations

import json
from pathlib import Path

from tools.commands import run
from tools.samples.image import Imaged
from tools.samples.package import IDENTITY
from tools.stand_ins.cosign import KeyPair, make_key_pair

NOT_SIGNED = f"Do not use this image. It is not signed or not attested, or not by the signer {IDENTITY}"


def test_an_image_that_is_not_signed_is_refused(imaged: Imaged) -> None:
    imaged.forget_signatures()
    done = imaged.release.retry("verify-image")
    assert done.results == {"verify-image": "failed"}
    assert "no signatures found" in done.log("verify-image")
    assert done.last_line("verify-image") == NOT_SIGNED


def test_the_signature_of_another_is_refused(imaged: Imaged, cosign: Path, tmp_path: Path) -> None:
    imaged.forget_signatures()
    theirs = make_key_pair(cosign, tmp_path / "theirs")
    # The same image, signed in another repository, and what signed it copied beside ours.
    digest, elsewhere = imaged.digest("1.0.0-candidate"), f"{imaged.name}/elsewhere"
    imaged.skopeo("copy", f"docker://{imaged.name}@{digest}", f"docker://{elsewhere}:x")
    offline = tmp_path / "offline"
    run(cosign, "signing-config", "create", "--out", f"{offline}.json")
    run(cosign, "trusted-root", "create", "--out", f"{offline}.root")
    services = ("--signing-config", f"{offline}.json", "--trusted-root", f"{offline}.root")
    imaged.cosign(
        "sign", "--yes", "--key", "env://COSIGN_PRIVATE_KEY", *services, f"{elsewhere}@{digest}", **theirs.variables
    )
    signatures = digest.replace(":", "-")
    imaged.skopeo("copy", "--all", f"docker://{elsewhere}:{signatures}", f"docker://{imaged.name}:{signatures}")
    done = imaged.release.retry("verify-image")
    assert done.results == {"verify-image": "failed"}
    assert "accepted signatures do not match threshold" in done.log("verify-image")
    assert done.last_line("verify-image") == NOT_SIGNED


def test_an_image_of_another_commit_is_refused(imaged: Imaged, keys: KeyPair) -> None:
    cosign = imaged.release.artifact("cosign", ".cosign")
    predicate = json.loads((cosign / "provenance.json").read_text(encoding="utf-8"))
    predicate["buildDefinition"]["resolvedDependencies"][0]["digest"]["gitCommit"] = "0" * 40
    (imaged.home / "other.json").write_text(json.dumps(predicate), encoding="utf-8")
    files = {"signing-config": imaged.home / "services.json", "trusted-root": imaged.home / "root.json"}
    for command, out in files.items():
        imaged.cosign(command, "create", "--out", out)
    services = [word for name, file in files.items() for word in (f"--{name}", file)]
    name = f"{imaged.name}@{imaged.digest('1.0.0-candidate')}"
    what = ("--type", "slsaprovenance1", "--predicate", imaged.home / "other.json", name)
    imaged.cosign("attest", "--yes", "--key", "env://COSIGN_PRIVATE_KEY", *services, *what, **keys.variables)
    done = imaged.release.retry("verify-image")
    assert done.results == {"verify-image": "failed"}
    assert done.last_line("verify-image").startswith("Do not use this image. It was signed for another tag or commit,")


def test_an_older_image_is_not_taken_for_a_newer_one(imaged: Imaged) -> None:
    # As if build-image had handed on the digest of an image that was released before, with the same key.
    imaged.release.variables["CI_COMMIT_TAG"] = "v1.0.1"
    done = imaged.release.retry("verify-image", event="tag v1.0.1")
    assert done.results == {"verify-image": "failed"}, done.output
    assert "missing or incorrect annotation" in done.log("verify-image")
    assert done.last_line("verify-image") == NOT_SIGNED


def test_an_image_of_another_project_with_the_same_key_is_refused(imaged: Imaged) -> None:
    done = imaged.release.retry("verify-image", CI_PROJECT_PATH="group/of-others")
    assert done.results == {"verify-image": "failed"}, done.output
    assert done.last_line("verify-image") == NOT_SIGNED
