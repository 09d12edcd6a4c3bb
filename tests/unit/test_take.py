"""What a job takes of others: plain files of the names that it wants, from the jobs of its own pipeline."""

from __future__ import annotations

import io
import os
import stat
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts import gitlab_api, take
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project

PIPELINE = 7
PLAIN, LINK, FOLDER, PIPE = 0o100644, 0o120777, 0o040755, 0o010644


@dataclass(frozen=True)
class Ended:
    """A job as GitLab has it."""

    number: int
    name: str = "build"
    pipeline: int = PIPELINE
    status: str = "success"
    may_fail: bool = False
    archive: bytes | None = None


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLab]:
    """A GitLab without projects."""
    with GitLab(tmp_path_factory.mktemp("gitlab"), "") as server:
        yield server


@pytest.fixture(scope="module")
def here(gitlab: GitLab) -> Iterator[Project]:
    """A project on it, in a job of which this runs."""
    project = gitlab.add_project("group/another")
    variables = {**gitlab.variables(project), "CI_PIPELINE_ID": str(PIPELINE)}
    with patch.dict(os.environ, variables), patch("scripts.gitlab_api.PAUSES", ()):
        yield project


def archive(*entries: tuple[str, int, bytes]) -> bytes:
    """Return an archive with entries: name, mode and content."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive, warnings.catch_warnings():
        # A name may be there twice.
        warnings.simplefilter("ignore")
        for name, mode, content in entries:
            entry = zipfile.ZipInfo("x")
            # As it is: the constructor would make it tidy.
            entry.filename, entry.external_attr = name, mode << 16
            archive.writestr(entry, content)
    return made.getvalue()


def taken(*arguments: str, folder: str = ".from-build") -> dict[str, bytes]:
    """Take files in an empty folder, and return all that is there then, by path."""
    with TemporaryDirectory() as outside:
        inside = Path(outside, "job")
        inside.mkdir()
        before = Path.cwd()
        os.chdir(inside)
        try:
            take.take(Path(folder), arguments[0].split(","), arguments[1], arguments[2:])
        finally:
            os.chdir(before)
            assert [path.name for path in Path(outside).iterdir()] == ["job"]
            assert {path.name for path in inside.iterdir()} <= {folder}
            assert all(stat.S_ISREG(p.lstat().st_mode) or stat.S_ISDIR(p.lstat().st_mode) for p in inside.rglob("*"))
        found = Path(inside, folder).rglob("*")
        return {path.relative_to(inside / folder).as_posix(): path.read_bytes() for path in found if path.is_file()}


PARTS = st.sampled_from(["dist", "a.whl", "b.whl", "x", "..", ".", "", "C:", "a\\b", "a\nb", "ä", "-x", "dist\0", " "])
NAMES = st.one_of(
    st.lists(PARTS, min_size=1, max_size=4).map("/".join), st.builds("dist/{}".format, PARTS), st.just("/etc/x")
)
ENTRIES = st.lists(
    st.tuples(NAMES, st.sampled_from([PLAIN, PLAIN, PLAIN, 0, LINK, FOLDER, PIPE]), st.binary(max_size=9))
)


@given(entries=ENTRIES, pattern=st.sampled_from(["dist/*", "dist/**", "dist/*.whl", "*", "**", "x/dist/*"]))
@settings(max_examples=300, deadline=None)
def test_only_plain_files_of_the_names_come_out_of_an_archive(
    entries: list[tuple[str, int, bytes]], pattern: str, here: Project
) -> None:
    here.jobs[:] = [Ended(1, archive=archive(*entries))]
    # As an archive tells them: a name ends at NUL.
    stored = [(name.partition("\0")[0], mode, content) for name, mode, content in entries]
    fits = [entry for entry in stored if take.wanted(entry[0], [pattern])]
    odd = {name for name, mode, _ in fits if mode in (LINK, PIPE, FOLDER) or not name.isprintable() or "\\" in name}
    odd |= {name for name, *_ in fits if {"", ".", ".."} & set(name.split("/"))}
    names = [name for name, *_ in fits if not name.endswith("/")]
    clash = any(a != b and f"{b}/".startswith(f"{a}/") for a in names for b in names)
    if {name for name in odd if not name.endswith("/")} or clash or len(set(names)) < len(names) or not names:
        with pytest.raises(SystemExit):
            taken("success", "build", pattern)
        return
    files = taken("success", "build", pattern)
    assert files == {f"1/{name}": content for name, _, content in fits if not name.endswith("/")}
    assert files
    depth = None if pattern.endswith("**") else pattern.count("/") + 1
    assert all(depth is None or name.count("/") == depth for name in files)


@given(content=st.binary(max_size=200), data=st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_no_archive_or_a_broken_one_ends_in_a_line(content: bytes, data: st.DataObject, here: Project) -> None:
    whole = bytearray(archive(("dist/a.whl", PLAIN, b"wheel" * 9), ("dist/b.whl", PLAIN, content)))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for odd in (bytes(whole), content, bytes(whole[: len(whole) // 2])):
        here.jobs[:] = [Ended(1, archive=odd)]
        with suppress(SystemExit):
            taken("success", "build", "dist/*")


@given(
    jobs=st.lists(
        st.tuples(
            st.sampled_from(
                ["build", "build: [3.11]", "build: [a, b]", "build 1/2", "builds", "rebuild", "build:", "x"]
            ),
            st.sampled_from([PIPELINE, PIPELINE, 8]),
            st.sampled_from(["success", "success", "success", "failed", "running", "canceled", "skipped"]),
            st.booleans(),
        ),
        max_size=250,
    ),
    states=st.sampled_from(["success", "success,failed", "success,absent"]),
)
@settings(max_examples=60, deadline=None)
def test_only_jobs_of_the_name_and_the_pipeline_that_ended_well_are_asked(
    jobs: list[tuple[str, int, str, bool]], states: str, here: Project
) -> None:
    """The last run of each counts, on whichever page of the list it stands."""
    here.jobs[:] = [
        Ended(number, *job, archive(("it", PLAIN, str(number).encode()))) for number, job in enumerate(jobs, 1)
    ]
    last = {name: (number, *rest) for number, (name, *rest) in enumerate(jobs, 1) if rest[0] == PIPELINE}
    ours = {name: job for name, job in last.items() if name in ("build", *(n for n in last if n[5:7] in (": ", " 1")))}
    ours = {name: job for name, job in ours.items() if name.startswith("build")}
    allowed = all(
        status == "success" or (status == "failed" and may_fail and "failed" in states)
        for _, _, status, may_fail in ours.values()
    )
    if not allowed or (not ours and "absent" not in states):
        with pytest.raises(SystemExit):
            taken(states, "build", "it")
    else:
        contents = [str(number).encode() for _, (number, *_) in sorted(ours.items())]
        assert taken(states, "build", "it") == {f"{n}/it": content for n, content in enumerate(contents, 1)}


@pytest.mark.parametrize("limit", ["MOST_FILES", "MOST_BYTES"])
def test_files_and_bytes_have_a_limit(limit: str, here: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of several jobs together, and of what an archive only says of itself."""
    files = [(f"dist/{number}", PLAIN, b"\0" * 100) for number in range(10)]
    here.jobs[:] = [Ended(1, "build: [1]", archive=archive(*files)), Ended(2, "build: [2]", archive=archive(*files))]
    monkeypatch.setattr(take, limit, {"MOST_FILES": 10, "MOST_BYTES": 2000}[limit])
    assert len(taken("success", "build", "dist/*")) == 20
    monkeypatch.setattr(take, limit, {"MOST_FILES": 9, "MOST_BYTES": 1999}[limit])
    with pytest.raises(SystemExit, match="more than"):
        taken("success", "build", "dist/*")


def test_what_stands_in_the_place_of_the_folder_goes_and_its_target_stays(
    here: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.jobs[:] = [Ended(1, archive=archive(("it", PLAIN, b"it")))]
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    Path(".from-build").symlink_to(elsewhere)
    take.take(Path(".from-build"), ["success"], "build", ["it"])
    assert Path(".from-build/1/it").read_bytes() == b"it"
    assert [path.name for path in elsewhere.iterdir()] == ["file"]


@pytest.mark.parametrize(("path", "status"), [("/pipelines/", 403), ("/pipelines/", 500), ("/artifacts", 404)])
def test_gitlab_that_refuses_is_said(path: str, status: int, here: Project, gitlab: GitLab) -> None:
    here.jobs[:] = [Ended(1, archive=archive(("it", PLAIN, b"it")))]
    gitlab.fail_next(1, path=path, status=status)
    with pytest.raises(gitlab_api.RequestError, match=str(status)):
        taken("success", "build", "it")
