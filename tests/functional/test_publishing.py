"""Publishing, and looking at what was published: attacks on the registries, and their faults."""

from __future__ import annotations

import pytest

from tools.commands import commit_all, run
from tools.samples.package import PUBLISHING, VERIFYING, Release, files_of, signatures
from tools.samples.remedies import IS_THERE
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project, stored
from tools.stand_ins.server import ALWAYS

JOBS = [*PUBLISHING, "verify-published", "release"]
WHEEL, SDIST = FILES = files_of("1.0.0")
BUNDLES = [f"{file}{kind}.sigstore.json" for file in FILES for kind in ("", ".provenance", ".sbom")]
SIGNED = sorted(["SHA256SUMS", "SHA256SUMS.sigstore.json", "sbom.cdx.json", *BUNDLES])


def test_a_release_is_published_verified_and_announced(release: Release, here: Project, gitlab: GitLab) -> None:
    done = release.retry(*JOBS)
    assert done.results == dict.fromkeys(JOBS, "passed"), done.output
    assert sorted(path.name for path in signatures(here).iterdir()) == SIGNED
    assert sorted(path.name for path in (here.folder / "pypi").iterdir()) == FILES
    uploads = [request.path for request in gitlab.requests("/packages/", status=201)]
    assert uploads[-2:] == [f"/api/v4/projects/{here.id}/packages/pypi"] * 2, "the packages come after the signatures"
    assert "another 1.0.0" in done.log("verify-published")
    assert b'"tag_name": "v1.0.0"' in stored(here)["releases/v1.0.0.json"]
    for name in (*FILES, *SIGNED):
        assert f'"name": "{name}"'.encode() in stored(here)["releases/v1.0.0.json"]


def test_a_package_without_a_program_is_installed_and_not_run(published: Release) -> None:
    done = published.retry("verify-published", PY_CI_PROGRAM="")
    assert done.results == {"verify-published": "passed"}, done.output
    assert "another 1.0.0" not in done.log("verify-published")


def test_what_is_published_can_be_published_again_and_nothing_changes(
    published: Release, here: Project, gitlab: GitLab
) -> None:
    assert published.retry("verify-published", "release").status == 0
    before, seen = stored(here), len(gitlab.requests())
    done = published.retry(*JOBS)
    assert done.results == dict.fromkeys(JOBS, "passed"), done.output
    assert stored(here) == before
    assert {request.method for request in gitlab.requests()[seen:]} == {"GET"}


def test_the_same_tag_run_twice_succeeds_and_changes_nothing(release: Release, here: Project) -> None:
    jobs = [*VERIFYING, *JOBS]
    first = release.retry(*jobs)
    assert first.results == dict.fromkeys(jobs, "passed"), first.output
    before = stored(here)
    second = release.retry(*jobs)
    assert second.results == dict.fromkeys(jobs, "passed"), second.output
    assert stored(here) == before


def test_other_content_under_the_same_version_fails_and_changes_nothing(published: Release, here: Project) -> None:
    before = stored(here)
    (published.path / "another" / "more.py").touch()
    commit_all(published.path)
    run("git", "tag", "--force", "v1.0.0", cwd=published.path)
    done = published.retry(*VERIFYING, "publish-signatures")
    assert done.results.pop("publish-signatures") == "failed", done.output
    assert set(list(done.results.values())[:-1]) == {"passed"}
    assert "another 1.0.0 is published already, with other files." in done.log("publish-signatures")
    assert done.last_line("publish-signatures").startswith(IS_THERE)
    alone = published.retry("publish-gitlab")
    assert alone.results == {"publish-gitlab": "failed"}
    assert "do not match" in alone.log("publish-gitlab")
    assert alone.last_line("publish-gitlab").startswith(IS_THERE)
    assert stored(here) == before


@pytest.mark.parametrize(
    "attack", ["echo evil >> digests/dist/*.whl", "echo evil > digests/dist/another-1.0.0-cp313.whl"]
)
@pytest.mark.parametrize("job", PUBLISHING)
def test_a_change_after_verify_is_not_published(release: Release, here: Project, attack: str, job: str) -> None:
    release.attack(attack)
    done = release.retry(job)
    assert done.results == {job: "failed"}
    assert done.last_line(job).startswith("The artifacts are not those that the job digests handed on.")
    assert stored(here) == {}


FAULTS = {"500": {"status": 500}, "503": {"status": 503}, "timeout": {"timeout": 30}, "cut": {"cut": True}}
REQUESTS = [
    ("GET", "/SHA256SUMS$"),
    ("PUT", "/SHA256SUMS$"),
    ("PUT", "/sbom.cdx.json$"),
    ("PUT", r"\.sigstore\.json$"),
    ("GET", "/simple/another"),
    ("POST", "/pypi$"),
    ("GET", "/releases/v1.0.0$"),
    ("POST", "/releases$"),
    ("POST", "/links$"),
]
DOWNLOADS = ["/SHA256SUMS$", r"\.sigstore\.json$", "/simple/another", r"\.whl$", r"\.tar\.gz$", "/info/refs$"]


@pytest.mark.parametrize("kind", FAULTS)
def test_every_upload_and_download_heals(kind: str, release: Release, here: Project, gitlab: GitLab) -> None:
    for method, path in REQUESTS:
        gitlab.fail_next(1, method=method, path=path, **FAULTS[kind])  # type: ignore[arg-type]
    patience = {"UV_HTTP_TIMEOUT": "1"}
    done = release.retry(*PUBLISHING, "release", **patience)
    assert done.results == dict.fromkeys([*PUBLISHING, "release"], "passed"), done.output
    for path in DOWNLOADS:
        gitlab.fail_next(1, path=path, **FAULTS[kind])  # type: ignore[arg-type]
    done = release.retry("verify-published", **patience)
    assert done.results == {"verify-published": "passed"}, done.output
    assert sorted(path.name for path in signatures(here).iterdir()) == SIGNED
    for file in FILES:
        assert stored(here)[f"pypi/{file}"] == release.artifact("digests", f"dist/{file}").read_bytes()
    assert stored(here)["releases/v1.0.0.json"].count(b'"link_type"') == len(FILES + SIGNED)


@pytest.mark.parametrize(
    ("job", "path", "left"),
    [
        ("publish-signatures", r"\.tar\.gz\.sigstore\.json$", "generic/another/1.0.0/SHA256SUMS"),
        ("publish-gitlab", "/pypi$", f"pypi/{WHEEL}"),
    ],
)
def test_a_job_that_was_half_finished_is_finished_by_a_retry(
    job: str, path: str, left: str, release: Release, here: Project, gitlab: GitLab
) -> None:
    if job == "publish-gitlab":
        # The first of its two uploads is done.
        assert release.retry("publish-signatures").status == 0
        run("cp", release.artifact("digests", f"dist/{WHEEL}"), here.folder / "pypi")
    gitlab.fail_next(ALWAYS, method="PUT" if job == "publish-signatures" else "POST", path=path, status=503)
    failed = release.retry(job)
    assert failed.results == {job: "failed"}
    assert failed.last_line(job).startswith(IS_THERE)
    before = stored(here)
    assert left in before
    gitlab.heal()
    done = release.retry(*JOBS)
    assert done.results == dict.fromkeys(JOBS, "passed"), done.output
    assert before.items() <= stored(here).items()
    assert sorted(path.name for path in signatures(here).iterdir()) == SIGNED


@pytest.mark.parametrize("job", JOBS)
def test_a_token_that_is_refused_is_named(job: str, published: Release, gitlab: GitLab) -> None:
    done = published.retry(job, CI_JOB_TOKEN=gitlab.add_project("group/other").token)
    assert done.results == {job: "failed"}
    assert any(code in done.log(job) for code in ("403", "404")), done.output
    assert "Traceback" not in done.log(job)


@pytest.mark.parametrize("event", ["branch", "merge request", "unprotected tag", "schedule on a tag"])
def test_nothing_is_released_but_a_protected_tag(release: Release, event: str) -> None:
    done = release.run(event=event)
    # A merge request that changes no dependency has no bill of materials.
    jobs = ["build"] if event == "merge request" else ["build", "sbom"]
    assert done.results == dict.fromkeys(jobs, "passed")
