"""What `publish-signatures` makes of what the registry has before anything is uploaded, and of its faults."""

from __future__ import annotations

import pytest

from tools.samples import remedies
from tools.samples.package import EXTRA, IDENTITY, LOCAL, PUBLISHING, Release, files_of, signatures
from tools.samples.remedies import IS_THERE, OF_OTHERS
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project, stored
from tools.stand_ins.server import ALWAYS

JOBS = [*PUBLISHING, "verify-published", "release"]
WHEEL, SDIST = files_of("1.0.0")
NOT_SIGNED = f"{remedies.NOT_SIGNED} {IDENTITY}"


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        ("generic/another/1.0.0/sbom.cdx.json", "generic 1.0.0"),
        ("generic/Another/1.0/evil", "generic 1.0"),
        (f"pypi/{EXTRA}", "pypi 1.0.0"),
        (f"pypi/{LOCAL}", "pypi 1.0.0+evil"),
    ],
)
def test_files_that_no_release_has_put_there_stop_it_before_anything_is_uploaded(
    planted: str, named: str, release: Release, here: Project
) -> None:
    file = here.folder / planted
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}", encoding="utf-8")
    done = release.retry(*PUBLISHING)
    assert done.results == {"publish-signatures": "failed"}, done.output
    said = f"another 1.0.0 has files in the registry that no release has put there: {named}."
    assert said in done.log("publish-signatures")
    assert done.last_line("publish-signatures").startswith(IS_THERE)
    assert stored(here) == {planted: b"{}"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{WHEEL}.sigstore.json", NOT_SIGNED),
        (f"{SDIST}.provenance.sigstore.json", NOT_SIGNED),
        ("SHA256SUMS.sigstore.json", NOT_SIGNED),
    ],
)
def test_a_forged_bundle_stops_a_release_before_its_packages_are_there(
    name: str, message: str, release: Release, here: Project
) -> None:
    signatures(here).mkdir(parents=True)
    # Whoever reads the artifacts of the build knows the sums.
    planted = {"SHA256SUMS": release.artifact("digests", "SHA256SUMS").read_bytes(), name: b"{}"}
    for file, content in planted.items():
        (signatures(here) / file).write_bytes(content)
    done = release.retry(*PUBLISHING)
    assert done.results == {"publish-signatures": "failed"}, done.output
    assert done.last_line("publish-signatures").startswith(message)
    assert stored(here) == {f"generic/another/1.0.0/{file}": content for file, content in sorted(planted.items())}


def test_a_forged_bill_of_materials_is_refused_or_replaced_before_packages_are_there(
    release: Release, here: Project
) -> None:
    signatures(here).mkdir(parents=True)
    planted = {"SHA256SUMS": release.artifact("digests", "SHA256SUMS").read_bytes(), "sbom.cdx.json": b"{}"}
    for file, content in planted.items():
        (signatures(here) / file).write_bytes(content)
    # Its attestations are not there, so ours are taken, all of them.
    done = release.retry(*JOBS)
    assert done.results == dict.fromkeys(JOBS, "passed"), done.output
    ours = release.artifact("digests", "sbom.cdx.json").read_bytes()
    assert (signatures(here) / "sbom.cdx.json").read_bytes() == ours
    # Beside attestations of ours it is another bill, whoever put it there.
    (signatures(here) / "sbom.cdx.json").write_bytes(b"{}")
    done = release.retry(*PUBLISHING)
    assert done.results == {"publish-signatures": "failed"}, done.output
    assert done.last_line("publish-signatures").startswith(OF_OTHERS)


def test_a_registry_that_stays_down_is_named_and_has_no_package(
    release: Release, here: Project, gitlab: GitLab
) -> None:
    gitlab.fail_next(ALWAYS, path="/packages/", status=503)
    done = release.retry(*PUBLISHING)
    assert done.results == {"publish-signatures": "failed"}, done.output
    assert "The registry failed: 503" in done.log("publish-signatures")
    assert done.last_line("publish-signatures").startswith(IS_THERE)
    assert stored(here) == {}
