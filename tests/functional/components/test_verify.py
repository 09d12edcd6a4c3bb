"""What `verify` refuses: attacks on what lies between signing and verifying, and on the identity of the signer."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tools.commands import commit_all, run
from tools.samples.keyless import EVIL, Signed, sign_as
from tools.samples.package import IDENTITY, OTHER_PROGRAM, Release, copy_project, files_of
from tools.samples.remedies import NOT_ALL, NOT_SIGNED, OF_OTHERS
from tools.stand_ins.cosign import KeyPair, make_bundle, make_key_pair
from tools.stand_ins.sigstore import Sigstore

FILES = files_of("1.0.0")
NOT_COSIGN = "The artifacts are not those that the job cosign handed on."


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        pytest.param(f"echo evil >> digests/dist/{FILES[0]}", NOT_ALL, id="a wheel is changed"),
        pytest.param(
            f"echo evil >> digests/dist/{FILES[0]}; cd digests/dist; sha256sum * > ../SHA256SUMS",
            NOT_SIGNED,
            id="a wheel is changed, and its sum",
        ),
        pytest.param("echo evil > digests/dist/evil.whl", NOT_ALL, id="a file is added"),
        pytest.param(
            "echo evil > digests/dist/evil.whl; cd digests/dist; sha256sum * > ../SHA256SUMS",
            NOT_SIGNED,
            id="a file is added, and its sum",
        ),
        pytest.param("rm digests/dist/*", NOT_ALL, id="nothing is left"),
        pytest.param("rm digests/dist/*; : > digests/SHA256SUMS", NOT_ALL, id="nothing is left, and no sum"),
        pytest.param(OTHER_PROGRAM, NOT_COSIGN, id="Cosign is another program"),
        pytest.param(f"rm sign/signatures/{FILES[0]}.sigstore.json", NOT_SIGNED, id="a bundle is missing"),
        pytest.param(
            f"cd sign/signatures; cp {FILES[1]}.sigstore.json {FILES[0]}.sigstore.json",
            NOT_SIGNED,
            id="a bundle is another file's",
        ),
        pytest.param(
            f"cd sign/signatures; cp {FILES[1]}.provenance.sigstore.json {FILES[0]}.provenance.sigstore.json",
            NOT_SIGNED,
            id="a provenance is another file's",
        ),
        pytest.param(
            f"cd sign/signatures; cp {FILES[0]}.sbom.sigstore.json {FILES[0]}.provenance.sigstore.json",
            NOT_SIGNED,
            id="a bill of materials stands for the provenance",
        ),
    ],
)
def test_a_change_between_sign_and_verify_is_refused(release: Release, attack: str, message: str) -> None:
    release.attack(attack)
    done = release.retry("verify")
    assert done.results == {"verify": "failed"}, done.output
    assert done.last_line("verify").startswith(message)


def test_signatures_of_another_key_are_refused(release: Release, cosign: Path, tmp_path: Path) -> None:
    other = make_key_pair(cosign, tmp_path / "other")
    evil = make_bundle(cosign, other, tmp_path / "evil", "sign-blob", release.artifact("digests", f"dist/{FILES[0]}"))
    release.attack(f"cp {evil} sign/signatures/{FILES[0]}.sigstore.json")
    done = release.retry("verify")
    assert done.results == {"verify": "failed"}, done.output
    assert done.last_line("verify") == f"{NOT_SIGNED} {IDENTITY}"


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("group/another.git", "group/of-others.git"),
        ("refs/tags/v1.0.0", "refs/tags/v0.9.0"),
        ("refs/tags/v1.0.0", "refs/heads/main"),
    ],
)
def test_what_the_same_key_signed_for_another_project_or_tag_is_refused(
    said: str, instead: str, release: Release, cosign: Path, keys: KeyPair, tmp_path: Path
) -> None:
    predicate = tmp_path / "provenance.json"
    ours = release.artifact("cosign", ".cosign/provenance.json").read_text(encoding="utf-8")
    predicate.write_text(ours.replace(said, instead), encoding="utf-8")
    wheel = release.artifact("digests", f"dist/{FILES[0]}")
    command = ("attest-blob", wheel, "--type", "slsaprovenance1", "--predicate", predicate)
    evil = make_bundle(cosign, keys, tmp_path / "evil", *command)
    release.attack(f"cp {evil} sign/signatures/{FILES[0]}.provenance.sigstore.json")
    done = release.retry("verify")
    assert done.results == {"verify": "failed"}, done.output
    assert re.search(rf"says that the file was made from \S*{instead}\S* at \w+; this is ", done.log("verify"))
    assert done.last_line("verify").startswith(OF_OTHERS)


def test_what_an_older_commit_signed_is_refused(release: Release, tmp_path: Path) -> None:
    older = copy_project(release.path, tmp_path / "older")
    (release.path / "another" / "more.py").touch()
    commit_all(release.path)
    run("git", "tag", "--force", "v1.0.0", cwd=release.path)
    done = release.retry("build", "sbom", "digests", "cosign")
    assert set(done.results.values()) == {"passed"}, done.output
    artifacts = older / ".gitlab-ci-local" / "artifacts"
    release.attack(f"for job in digests sign; do rm -r $job/*; cp -R {artifacts}/$job/* $job; done")
    done = release.retry("verify")
    assert done.results == {"verify": "failed"}, done.output
    assert re.search(r"says that the file was made from \S+ at \w+; this is ", done.log("verify"))
    assert done.last_line("verify").startswith(OF_OTHERS)


@pytest.mark.parametrize("kind", ["sbom", "provenance"])
def test_a_bundle_that_two_readers_would_read_differently_is_refused(
    kind: str, release: Release, tmp_path: Path
) -> None:
    name = f"{FILES[0]}.{kind}.sigstore.json"
    bundle = release.artifact("sign", f"signatures/{name}")
    genuine = json.loads(bundle.read_text(encoding="utf-8"))["dsseEnvelope"]
    statement = json.loads(base64.b64decode(genuine["payload"]))
    if kind == "sbom":
        statement["predicate"] = {"bomFormat": "CycloneDX", "components": []}
    forged = {**genuine, "payload": base64.b64encode(json.dumps(statement).encode()).decode()}
    # The older form, which Cosign 3 verifies too, and beside it what it does not look at.
    older = {"base64Signature": base64.b64encode(json.dumps(genuine).encode()).decode(), "dsseEnvelope": forged}
    bundle.write_text(json.dumps(older), encoding="utf-8")
    if kind == "sbom":
        release.artifact("digests", "sbom.cdx.json").write_text(json.dumps(statement["predicate"]), encoding="utf-8")
    done = release.retry("verify")
    assert done.results == {"verify": "failed"}, done.output
    assert done.log("verify").count("Verified OK") == 7, "Cosign alone would let it pass"
    assert "it is not such a bundle as the job sign makes" in done.log("verify")
    assert done.last_line("verify").startswith(OF_OTHERS)


def test_a_signature_too_many_is_refused(release: Release) -> None:
    release.attack("echo {} > sign/signatures/evil.sigstore.json")
    done = release.retry("verify")
    assert done.results == {"verify": "failed"}, done.output
    assert "The signatures are not those of the files: signatures/evil.sigstore.json" in done.log("verify")


def test_an_annotated_tag_is_of_its_commit(release: Release) -> None:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    run("git", *identity, "tag", "--force", "--annotate", "--message", "x", "v1.0.0", cwd=release.path)
    done = release.retry("verify")
    assert done.results == {"verify": "passed"}, done.output


MOVED = "commit --quiet --allow-empty --message x && git tag --force v1.0.0"


@pytest.mark.parametrize("attack", [MOVED, "tag -d v1.0.0"], ids=["moved", "deleted"])
def test_a_tag_that_was_moved_since_the_build_is_refused(attack: str, release: Release) -> None:
    ours = release.commit
    identity = "-c user.name=Mallory -c user.email=mallory@example.com"
    run("sh", "-c", f"git {identity} {attack}", cwd=release.path)
    now = "nothing" if release.commit == ours else release.commit
    # The commit of a pipeline stays that of its beginning.
    run("git", "checkout", "--quiet", ours, cwd=release.path)
    done = release.retry("verify")
    assert done.results == {"verify": "failed"}, done.output
    assert f"v1.0.0 names {now} now; this is " in done.log("verify")
    assert done.last_line("verify").startswith(OF_OTHERS)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"project_path": "group/other"}, id="another project"),
        pytest.param({"project_path": "fork/another"}, id="a fork"),
        pytest.param({"project_path": EVIL}, id="a project whose path ends alike"),
        pytest.param({"ref": "main", "ref_type": "branch"}, id="a branch"),
        pytest.param({"ref": "v0.9.0"}, id="another tag"),
        pytest.param(
            {"ci_config_ref_uri": "127.0.0.1/group/ci//release.yml@refs/heads/main"}, id="a pipeline from elsewhere"
        ),
    ],
)
def test_the_certificate_of_another_identity_is_refused(
    claims: dict[str, Any], signed: Signed, sigstore: Sigstore
) -> None:
    sign_as(signed, sigstore, **claims)
    done = signed.release.retry("verify")
    assert done.results == {"verify": "failed"}
    assert "no matching CertificateIdentity found" in done.log("verify")
    assert done.last_line("verify").startswith(f"{NOT_SIGNED} --certificate-identity")


@pytest.mark.parametrize("part", ["tlogEntries", "timestampVerificationData"])
def test_a_bundle_without_a_witness_is_refused(part: str, signed: Signed) -> None:
    bundle = signed.release.artifact("sign", f"signatures/{FILES[0]}.sigstore.json")
    known = json.loads(bundle.read_text(encoding="utf-8"))
    del known["verificationMaterial"][part]
    bundle.write_text(json.dumps(known), encoding="utf-8")
    done = signed.release.retry("verify")
    assert done.results == {"verify": "failed"}
    assert done.last_line("verify").startswith(f"{NOT_SIGNED} --certificate-identity")
