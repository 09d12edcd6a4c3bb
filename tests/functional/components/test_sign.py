"""Signing with a key pair and keyless: real Cosign, a real Fulcio, and attacks on what the job is given."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.commands import run
from tools.samples.keyless import Signed
from tools.samples.package import OTHER_PROGRAM, VERSION, Release, files_of
from tools.stand_ins.cosign import make_key_pair
from tools.stand_ins.sigstore import Sigstore

FILES = files_of("1.0.0")


def test_every_file_is_signed_attested_and_verified(release: Release, cosign: Path) -> None:
    done = release.retry("verify")
    assert done.results == {"verify": "passed"}, done.output
    signatures = release.artifact("sign", "signatures")
    bundles = {f"{file}{kind}.sigstore.json" for file in FILES for kind in ("", ".provenance", ".sbom")}
    assert {file.name for file in signatures.iterdir()} == {"SHA256SUMS.sigstore.json", *bundles}
    offline = ("--key", release.path / "cosign.pub", "--insecure-ignore-tlog")
    wheel = release.artifact("digests", f"dist/{FILES[0]}")
    run(cosign, "verify-blob", *offline, "--bundle", signatures / f"{FILES[0]}.sigstore.json", wheel)
    bundle = json.loads((signatures / f"{FILES[0]}.provenance.sigstore.json").read_text(encoding="utf-8"))
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["predicate"]["runDetails"]["builder"]["version"] == {"py-ci-template": VERSION}
    build = statement["predicate"]["buildDefinition"]
    assert build["externalParameters"]["ref"] == "refs/tags/v1.0.0"
    assert build["externalParameters"]["source"].endswith("/group/another")
    assert build["resolvedDependencies"][0]["digest"] == {"gitCommit": release.commit}


NOT_BUILT = "The artifacts are not those that the jobs digests and cosign handed on."


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        pytest.param(f"echo evil >> digests/dist/{FILES[0]}", NOT_BUILT, id="a wheel is changed"),
        pytest.param(
            f"echo evil >> digests/dist/{FILES[0]}; cd digests/dist; sha256sum * > ../SHA256SUMS",
            NOT_BUILT,
            id="a wheel is changed, and its sum",
        ),
        pytest.param("echo evil > digests/dist/evil.whl", NOT_BUILT, id="a file is added"),
        pytest.param("rm digests/dist/*", NOT_BUILT, id="nothing is left"),
        pytest.param("echo {} > digests/sbom.cdx.json", NOT_BUILT, id="the bill of materials is changed"),
        pytest.param(OTHER_PROGRAM, NOT_BUILT, id="Cosign is another program"),
        pytest.param("echo {} > cosign/.cosign/provenance.json", NOT_BUILT, id="the provenance is changed"),
    ],
)
def test_a_change_between_build_and_sign_is_refused(release: Release, attack: str, message: str) -> None:
    release.attack(attack)
    done = release.retry("sign")
    assert done.results == {"sign": "failed"}
    assert done.last_line("sign").startswith(message)


def test_the_key_of_the_pipeline_is_that_of_the_repository(release: Release, cosign: Path, tmp_path: Path) -> None:
    other = make_key_pair(cosign, tmp_path / "other")
    done = release.retry("sign", COSIGN_PRIVATE_KEY=other.private)
    assert done.results == {"sign": "failed"}, done.output
    assert done.last_line("sign").startswith("Commit the public key of COSIGN_PRIVATE_KEY as cosign.pub")


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_password_that_is_not_that_of_the_key(password: str, release: Release) -> None:
    done = release.retry("sign", COSIGN_PASSWORD=password)
    assert done.results == {"sign": "failed"}
    assert done.last_line("sign").startswith("Set COSIGN_PRIVATE_KEY and COSIGN_PASSWORD in Settings")


def test_without_a_key_the_job_says_how_to_make_one(release: Release) -> None:
    done = release.run(COSIGN_PRIVATE_KEY="")
    assert done.results["sign"] == "failed"
    assert not {"verify", "publish-signatures", "publish-gitlab"} & done.results.keys()
    assert done.last_line("sign").startswith("Set COSIGN_PRIVATE_KEY and COSIGN_PASSWORD in Settings")


NO_CERTIFICATE = "Sigstore did not sign; the line above names the service."


@pytest.mark.parametrize("claims", [{"aud": "pypi"}, {"lifetime": -60}], ids=["another audience", "expired"])
def test_a_token_that_is_not_for_sigstore_gets_no_certificate(claims: dict[str, Any], signed: Signed) -> None:
    done = signed.release.retry("sign", **signed.token(**claims))
    assert done.results == {"sign": "failed"}
    assert "There was an error processing the identity token" in done.log("sign")
    assert done.last_line("sign").startswith(NO_CERTIFICATE)


def test_without_a_token_the_job_says_how_to_get_one(signed: Signed) -> None:
    done = signed.release.retry("sign")
    assert done.results == {"sign": "failed"}
    assert done.last_line("sign").startswith("The job has no identity token. Declare id_tokens for it")


def test_services_that_fail_once_or_are_slow_are_asked_again(signed: Signed, sigstore: Sigstore) -> None:
    sigstore.fulcio.fail_next(1, method="POST", status=503)
    sigstore.tsa.fail_next(1, method="POST", timeout=3)
    sigstore.rekor.fail_next(1, method="POST", status=500)
    done = signed.release.retry("sign", **signed.token())
    assert done.results == {"sign": "passed"}, done.output


@pytest.mark.parametrize(
    ("name", "fault", "said"),
    [
        ("fulcio", {"status": 503}, "Fulcio or the timestamp authority answered with an error."),
        ("tsa", {"status": 503}, "Fulcio or the timestamp authority answered with an error."),
        ("rekor", {"status": 503}, "adding rekor v2 entry"),
        ("rekor", {"timeout": 60}, "No answer within 5 s: from the transparency log"),
    ],
    ids=["fulcio", "tsa", "rekor", "a rekor that hangs"],
)
def test_a_service_that_stays_down_is_named_and_nothing_is_signed(
    name: str, fault: dict[str, Any], said: str, signed: Signed, sigstore: Sigstore
) -> None:
    getattr(sigstore, name).fail_next(sys.maxsize, **fault)
    done = signed.release.retry("sign", **signed.token(), PY_CI_SIGSTORE_TIMEOUT="5")
    assert done.results == {"sign": "failed"}
    assert said in done.log("sign")
    assert done.last_line("sign").startswith(NO_CERTIFICATE)
    assert signed.release.retry("verify").results == {"verify": "failed"}
