"""What `preflight-keyless` says of a Sigstore that is missing, not set up, or does not answer."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

from tools.components import component
from tools.samples.keyless import Signed
from tools.stand_ins.sigstore import Sigstore


def test_a_self_managed_gitlab_without_a_sigstore_is_told_of_two_ways_out(signed: Signed, tmp_path: Path) -> None:
    done = preflight(tmp_path, CI_SERVER_HOST="gitlab.example.com")
    assert done.returncode == 1
    assert "gives no certificate to a pipeline on gitlab.example.com" in done.stderr
    assert "- sign with a key pair:" in done.stderr
    assert "- run a Sigstore of your own" in done.stderr


def test_a_sigstore_that_is_not_set_up_is_named(sigstore: Sigstore, tmp_path: Path) -> None:
    done = preflight(tmp_path, SIGSTORE_SIGNING_CONFIG=str(sigstore.signing_config))
    assert "#keyless-variables\nSIGSTORE_TRUSTED_ROOT is missing or no file" in done.stderr
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]", encoding="utf-8")
    done = preflight(tmp_path, **{**sigstore.variables, "SIGSTORE_SIGNING_CONFIG": str(wrong)})
    assert "#keyless-variables\nSIGSTORE_SIGNING_CONFIG is no signing configuration of Cosign" in done.stderr


def test_a_service_that_does_not_answer_is_named_before_the_build(sigstore: Sigstore, tmp_path: Path) -> None:
    sigstore.tsa.fail_next(3, status=503)
    done = preflight(tmp_path, **sigstore.variables)
    assert done.returncode == 1
    assert re.search(rf"FAIL  time +{sigstore.tsa.url}\S*  fails \(503\)", done.stdout)
    assert "A release could not be signed." in done.stderr
    sigstore.tsa.fail_next(1, status=503)
    assert preflight(tmp_path, **sigstore.variables).returncode == 0


def preflight(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script of the component `preflight-keyless`."""
    _, jobs = yaml.safe_load_all(component("preflight-keyless"))
    (script,) = jobs["preflight-keyless"]["script"]
    env = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(["sh", "-e", "-c", script], cwd=folder, env=env, capture_output=True, encoding="utf-8")
