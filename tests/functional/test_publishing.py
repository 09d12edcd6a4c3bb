"""Publishing, and looking at what was published: attacks on the registries, and their faults."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from tools.commands import commit_all, run
from tools.samples.package import IDENTITY, VERIFYING, Release, files_of, set_version
from tools.stand_ins.cosign import make_bundle, make_key_pair
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project

ALWAYS = sys.maxsize
JOBS = ["publish-signatures", "publish-gitlab", "verify-published", "release"]
PUBLISHING = JOBS[:2]
WHEEL, SDIST = FILES = files_of("1.0.0")
EXTRA = "another-1.0.0-py2-none-any.whl"
LOCAL = "another-1.0.0+evil-py3-none-any.whl"
BUNDLES = [f"{file}{kind}.sigstore.json" for file in FILES for kind in ("", ".provenance", ".sbom")]
SIGNED = sorted(["SHA256SUMS", "SHA256SUMS.sigstore.json", "sbom.cdx.json", *BUNDLES])

INCOMPLETE = "The release is not complete in the registries."
NOT_ALL = "Do not use these files. They are not all that the job digests handed on, and no more"
NOT_SIGNED = f"Do not use these files. A signature is missing, of another file, or not by the signer {IDENTITY}"
OF_OTHERS = (
    "Do not use these files. They were signed for another project, tag or commit, with another bill of materials,"
)
IS_THERE = "If the registry did not answer, retry the job. If it has other files of this version"


def stored(here: Project) -> dict[str, bytes]:
    """Return every file that the project has on GitLab, by its path."""
    files = {path.relative_to(here.folder).as_posix(): path for path in here.folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(files.items())}


def signatures(here: Project) -> Path:
    """Return where the generic registry keeps the signatures of the release."""
    return here.folder / "generic" / "another" / "1.0.0"


@pytest.fixture
def published(release: Release) -> Release:
    """A release whose files are in the registries."""
    done = release.retry(*PUBLISHING)
    assert done.results == dict.fromkeys(PUBLISHING, "passed"), done.output
    return release


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


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        pytest.param(f"echo evil >> pypi/{WHEEL}", NOT_ALL, id="a wheel is changed"),
        pytest.param(f"cp pypi/{WHEEL} pypi/{EXTRA}", INCOMPLETE, id="a wheel is added"),
        pytest.param(
            f"cp pypi/{WHEEL} pypi/{EXTRA}; cd $SIGNATURES;"
            f' for kind in "" .provenance .sbom; do cp {WHEEL}$kind.sigstore.json {EXTRA}$kind.sigstore.json; done',
            NOT_ALL,
            id="a wheel is added, and bundles",
        ),
        pytest.param(f"cp pypi/{WHEEL} pypi/{LOCAL}", INCOMPLETE, id="a local version is added"),
        pytest.param(
            f"cp pypi/{WHEEL} pypi/{LOCAL}; cd $SIGNATURES;"
            f' for kind in "" .provenance .sbom; do cp {WHEEL}$kind.sigstore.json {LOCAL}$kind.sigstore.json; done',
            NOT_ALL,
            id="a local version is added, and bundles",
        ),
        pytest.param("echo '{}' > $SIGNATURES/sbom.cdx.json", OF_OTHERS, id="the bill of materials is another"),
        pytest.param("echo evil > $SIGNATURES/sbom.cdx.json", OF_OTHERS, id="the bill of materials is none"),
        pytest.param("rm $SIGNATURES/sbom.cdx.json", INCOMPLETE, id="the bill of materials is missing"),
        pytest.param(f"rm pypi/{SDIST}", NOT_ALL, id="a distribution is missing"),
        pytest.param(
            f"echo evil >> pypi/{WHEEL}; cd pypi; sha256sum * > $SIGNATURES/SHA256SUMS",
            NOT_SIGNED,
            id="a wheel is changed, and its sum",
        ),
        pytest.param(
            f"cd $SIGNATURES; cp {SDIST}.sigstore.json {WHEEL}.sigstore.json",
            NOT_SIGNED,
            id="a bundle is another file's",
        ),
        pytest.param(f"rm $SIGNATURES/{WHEEL}.sbom.sigstore.json", INCOMPLETE, id="a bundle is missing"),
        pytest.param("rm $SIGNATURES/*", INCOMPLETE, id="the signatures are missing"),
        pytest.param("rm pypi/*", INCOMPLETE, id="the distributions are missing"),
    ],
)
def test_a_change_in_the_registries_is_refused(published: Release, here: Project, attack: str, message: str) -> None:
    here.upstream = None
    run("sh", "-e", "-c", f"SIGNATURES={signatures(here)}; {attack}", cwd=here.folder)
    done = published.retry("verify-published")
    assert done.results == {"verify-published": "failed"}, done.output
    assert done.last_line("verify-published").startswith(message)
    assert "another 1.0.0" not in done.log("verify-published"), "nothing of it has run"


def test_a_bundle_of_another_project_is_refused(
    published: Release, here: Project, cosign: Path, tmp_path: Path
) -> None:
    other = make_key_pair(cosign, tmp_path / "other")
    evil = make_bundle(cosign, other, tmp_path / "evil", "sign-blob", here.folder / "pypi" / WHEEL)
    evil.replace(signatures(here) / f"{WHEEL}.sigstore.json")
    done = published.retry("verify-published")
    assert done.results == {"verify-published": "failed"}
    assert done.last_line("verify-published") == NOT_SIGNED


def test_an_older_version_in_the_place_of_the_new_one_is_refused(
    release: Release, here: Project, gitlab: GitLab
) -> None:
    set_version(release.path, "0.9.0")
    commit_all(release.path)
    run("git", "tag", "v0.9.0", cwd=release.path)
    older = release.retry(*VERIFYING, *PUBLISHING, event="tag v0.9.0")
    assert set(older.results.values()) == {"passed"}, older.output
    for folder in (here.folder / "pypi", here.folder / "generic" / "another" / "0.9.0"):
        target = folder if folder.name == "pypi" else signatures(here)
        target.mkdir(exist_ok=True)
        for file in list(folder.iterdir()):
            file.replace(target / file.name.replace("0.9.0", "1.0.0"))
    done = release.retry("verify-published")
    assert done.results == {"verify-published": "failed"}, done.output
    assert done.last_line("verify-published").startswith(NOT_ALL)
    sums = signatures(here) / "SHA256SUMS"
    sums.write_text(sums.read_text(encoding="utf-8").replace("0.9.0", "1.0.0"), encoding="utf-8")
    done = release.retry("verify-published")
    assert done.last_line("verify-published") == NOT_SIGNED


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
    "link",
    [
        {"name": "evil", "url": "https://example.com/evil"},
        {"name": WHEEL, "url": f"https://example.com/{WHEEL}"},
        {"name": "evil", "url": "OURS"},
    ],
    ids=["another link", "another address", "another name"],
)
def test_a_release_that_somebody_else_made_is_refused(
    link: dict[str, str], published: Release, here: Project, gitlab: GitLab
) -> None:
    ours = published.artifact("publish-gitlab", "links/packages").read_text(encoding="utf-8").split()[1]
    headers = {"JOB-TOKEN": here.token}
    planted = {**link, "url": link["url"].replace("OURS", ours)}
    body: Any = {"tag_name": "v1.0.0", "description": "evil", "assets": {"links": [planted]}}
    made = requests.post(f"{gitlab.api}/projects/{here.id}/releases", json=body, headers=headers, timeout=10)
    assert made.status_code == 201
    done = published.retry("release")
    assert done.results == {"release": "failed"}, done.output
    assert "The release has other links than those to what was published:" in done.log("release")
    assert link["name"] in done.log("release")


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


SETUP = """
import pathlib
pathlib.Path({marker!r}).touch()
import setuptools
setuptools.setup(name="another", version="1.0.0")
"""


def test_no_code_of_a_source_distribution_runs(published: Release, here: Project, tmp_path: Path) -> None:
    sdist, marker = here.folder / "pypi" / SDIST, tmp_path / "marker"
    with tarfile.open(sdist, "w:gz") as archive:
        content = SETUP.format(marker=str(marker)).encode()
        member = tarfile.TarInfo("another-1.0.0/setup.py")
        member.size = len(content)
        archive.addfile(member, BytesIO(content))
    done = published.retry("verify-published")
    assert done.results == {"verify-published": "failed"}
    assert done.last_line("verify-published").startswith(NOT_ALL)
    assert not marker.exists()
    run(sys.executable, "-m", "pip", "download", "--no-deps", "--dest", tmp_path, sdist)
    assert marker.exists(), "this is what pip does before anybody could verify"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of a package index that has a package of the same name."""
    folder = tmp_path / "elsewhere" / "another"
    folder.mkdir(parents=True)
    (folder / WHEEL).write_bytes(b"evil")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder.parent)) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_name_that_only_another_index_has_is_refused(release: Release, here: Project, elsewhere: str) -> None:
    here.upstream = elsewhere
    assert release.retry("publish-signatures").status == 0
    done = release.retry("verify-published")
    assert done.results == {"verify-published": "failed"}
    host = elsewhere.removeprefix("http://").strip("/")
    assert f"another is not in the index, which sends to {host} for it." in done.log("verify-published")
    assert done.last_line("verify-published").startswith(INCOMPLETE)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/simple/another", INCOMPLETE),
        (f"/{WHEEL}$", NOT_ALL),
        ("/SHA256SUMS$", NOT_ALL),
        ("/SHA256SUMS.sigstore.json$", NOT_SIGNED),
        (f"/{WHEEL}.provenance.sigstore.json$", NOT_SIGNED),
        ("/repository/tags$", "Do not use these files. They were signed for another project"),
    ],
)
def test_a_page_in_the_place_of_an_answer_is_refused(
    published: Release, gitlab: GitLab, path: str, message: str
) -> None:
    gitlab.fail_next(ALWAYS, path=path, status=200)
    done = published.retry("verify-published")
    assert done.results == {"verify-published": "failed"}
    assert done.last_line("verify-published").startswith(message)


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
DOWNLOADS = ["/SHA256SUMS$", r"\.sigstore\.json$", "/simple/another", r"\.whl$", r"\.tar\.gz$", "/repository/tags$"]


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


def test_a_registry_that_stays_down_is_named_and_has_no_package(
    release: Release, here: Project, gitlab: GitLab
) -> None:
    gitlab.fail_next(ALWAYS, path="/packages/", status=503)
    done = release.retry(*PUBLISHING)
    assert done.results == {"publish-signatures": "failed"}, done.output
    assert "The registry failed: 503" in done.log("publish-signatures")
    assert done.last_line("publish-signatures").startswith(IS_THERE)
    assert stored(here) == {}


@pytest.mark.parametrize("job", JOBS)
def test_a_token_that_is_refused_is_named(job: str, published: Release, gitlab: GitLab) -> None:
    done = published.retry(job, CI_JOB_TOKEN=gitlab.add_project("group/other").token)
    assert done.results == {job: "failed"}
    assert any(code in done.log(job) for code in ("403", "404")), done.output
    assert "Traceback" not in done.log(job)
