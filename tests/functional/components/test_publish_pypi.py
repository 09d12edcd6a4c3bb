"""Publishing to PyPI as a trusted publisher: real uv, who may publish, what is there already, and faults of PyPI."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.commands import commit_all, run
from tools.runner import Pipeline
from tools.samples.package import PIPELINE, VERIFYING, Release, files_of
from tools.stand_ins.pypi import PyPI, id_token

JOBS = ["publish-signatures", "publish-pypi", "verify-published"]
FILES = files_of("1.0.0")
# PyPI takes each of them once.
ID_TOKENS = ["PYPI_ID_TOKEN", "PYPI_ID_TOKEN_2", "PYPI_ID_TOKEN_3"]
REMEDY = "If PyPI did not answer, retry the job. If it refused the token, add this project as a trusted publisher there"


@pytest.fixture
def pypi(release: Release, python: str, tmp_path: Path) -> Iterator[PyPI]:
    """A PyPI that trusts the protected tags of the release's project, whose pipeline publishes there."""
    with PyPI(tmp_path / "pypi") as server:
        server.trust("another", project_path="group/another", ref_type="tag", ref_protected="true")
        pipeline = PIPELINE.replace("PYTHON", python).replace("publish-gitlab@", "publish-pypi@")
        pipeline = pipeline.replace("program: another", f'program: another, index_url: "{server.simple}"')
        pipeline = pipeline.replace("dependencies: [publish-signatures, publish-gitlab]", "dependencies: []")
        (release.path / ".gitlab-ci.yml").write_text(pipeline, encoding="utf-8")
        commit_all(release.path)
        # Else the jobs run again would not be those of the tag.
        run("git", "tag", "--force", "v1.0.0", cwd=release.path)
        yield server


def stored(pypi: PyPI) -> dict[str, bytes]:
    """Return every file that PyPI has."""
    return {path.name: path.read_bytes() for path in sorted(pypi.files.iterdir())}


def built(release: Release) -> dict[str, bytes]:
    """Return every file that the job build made."""
    return {name: release.artifact("digests", f"dist/{name}").read_bytes() for name in FILES}


def publish(release: Release, pypi: PyPI, *jobs: str, claims: dict[str, str] | None = None, **more: str) -> Pipeline:
    """Run jobs, or just the one that publishes to PyPI, with ID tokens; none of the tokens is shown."""
    tokens = {name: id_token(**claims or {}) for name in ID_TOKENS}
    done = release.retry(*(jobs or ["publish-pypi"]), **pypi.settings, **tokens, **more)
    for secret in (*tokens.values(), *(token.value for token in pypi.minted)):
        assert secret not in done.output
    return done


def said(done: Pipeline, lines: int = 0) -> str:
    """Return what the job said, or its last lines; uv breaks lines as a terminal would."""
    return " ".join(" ".join(done.log("publish-pypi").splitlines()[-lines:]).split())


def test_a_trusted_publisher_publishes_what_can_be_verified(release: Release, pypi: PyPI) -> None:
    done = publish(release, pypi, *VERIFYING, *JOBS)
    assert set(done.results.values()) == {"passed"}, done.output
    assert stored(pypi) == built(release)
    assert pypi.attestations == {}
    assert "another 1.0.0" in done.log("verify-published")
    assert len(pypi.minted) == 1


def test_what_is_published_can_be_published_again_and_nothing_changes(release: Release, pypi: PyPI) -> None:
    assert publish(release, pypi).status == 0
    before = stored(pypi)
    done = publish(release, pypi)
    assert done.results == {"publish-pypi": "passed"}, done.output
    assert stored(pypi) == before == built(release)


def test_other_content_under_the_same_version_fails_and_changes_nothing(release: Release, pypi: PyPI) -> None:
    assert publish(release, pypi).status == 0
    before = stored(pypi)
    (release.path / "another" / "more.py").touch()
    commit_all(release.path)
    run("git", "tag", "--force", "v1.0.0", cwd=release.path)
    done = publish(release, pypi, "build", "sbom", "digests", "publish-pypi")
    assert done.results.pop("publish-pypi") == "failed", done.output
    assert "File already exists" in said(done)
    assert "already used" not in said(done), "the reason is the only one that is shown"
    assert done.last_line("publish-pypi").startswith(REMEDY)
    assert stored(pypi) == before


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        pytest.param({"project_path": "group/other"}, "invalid-publisher", id="another project"),
        pytest.param({"ref_type": "branch"}, "invalid-publisher", id="a branch"),
        pytest.param({"ref_protected": "false"}, "invalid-publisher", id="not protected"),
        pytest.param({"aud": "sigstore"}, "invalid-token", id="another audience"),
    ],
)
def test_a_token_that_is_not_of_the_publisher_is_refused(
    claims: dict[str, str], reason: str, release: Release, pypi: PyPI
) -> None:
    done = publish(release, pypi, claims=claims)
    assert done.results == {"publish-pypi": "failed"}
    assert reason in said(done)
    assert done.last_line("publish-pypi").startswith(REMEDY)
    assert stored(pypi) == {}


FAULTS = {"500": {"status": 500}, "503": {"status": 503}, "timeout": {"timeout": 30}, "cut": {"cut": True}}


STEPS = ["/oidc/audience$", "/oidc/mint-token$", "/legacy/$"]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_every_step_heals(kind: str, release: Release, pypi: PyPI) -> None:
    for path in STEPS:
        pypi.fail_next(1, path=path, **FAULTS[kind])  # type: ignore[arg-type]
    done = publish(release, pypi, UV_HTTP_TIMEOUT="1")
    assert done.results == {"publish-pypi": "passed"}, done.output
    assert {path: len(pypi.requests(path)) > 1 for path in STEPS} == dict.fromkeys(STEPS, True)
    assert stored(pypi) == built(release)


def test_a_pypi_that_stays_down_has_nothing_and_a_retry_finishes(release: Release, pypi: PyPI) -> None:
    pypi.fail_next(sys.maxsize, path="/legacy/$", status=503)
    failed = publish(release, pypi)
    assert failed.results == {"publish-pypi": "failed"}
    assert "503 Service Unavailable" in said(failed, 4), "the reason is next to the remedy"
    assert failed.last_line("publish-pypi").startswith(REMEDY)
    assert stored(pypi) == {}
    pypi.heal()
    done = publish(release, pypi)
    assert done.results == {"publish-pypi": "passed"}, done.output
    assert stored(pypi) == built(release)


def test_a_change_after_verify_is_not_published(release: Release, pypi: PyPI) -> None:
    release.attack("echo evil >> digests/dist/*.whl")
    done = publish(release, pypi)
    assert done.results == {"publish-pypi": "failed"}
    assert done.last_line("publish-pypi").startswith("The artifacts are not those that the job digests handed on.")
    assert pypi.requests() == []


def test_attestations_are_sent_along(release: Release, pypi: PyPI) -> None:
    release.attack("""for file in digests/dist/*; do echo '{"version": 1}' > "$file.publish.attestation"; done""")
    done = publish(release, pypi)
    assert done.results == {"publish-pypi": "passed"}, done.output
    assert stored(pypi) == built(release)
    assert pypi.attestations == {file: [{"version": 1}] for file in FILES}
