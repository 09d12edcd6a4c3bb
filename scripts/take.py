"""Takes files that jobs of this pipeline have handed on, as data: `take.py FOLDER STATES JOB PATTERN...`.

Whoever takes artifacts by `needs` or `dependencies` also takes the variables of those jobs, which outrank all that a
job sets, and GitLab accepts a dotenv report from every job, declared or not. The runner also unpacks one archive over
another, and over the repository. So a job that reads what foreign code has made has `dependencies: []`, asks GitLab for
the archives of its pipeline itself, and takes from each only plain files of the names that it wants.

JOB is the name of a job, or of the jobs of a matrix. They must have ended in one of the STATES: `success`, `failed`,
which counts where the job was allowed to fail, and `absent`, where the pipeline may have no such job. What fits a
PATTERN is written below FOLDER, in a folder for each job: `1`, `2`, ... In a PATTERN, `*` stands for any name, and
`**`, as its last part, for all that is below. Ends with 1 and a line where that cannot be done.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from scripts.gitlab_api import RequestError, ask, of_project
from scripts.plain_files import clear
from scripts.unambiguous_json import ODD

# Of all jobs together: GitLab Pages takes no more files, and GitLab.com no larger archive.
MOST_FILES, MOST_BYTES = 200_000, 2**30
# The most that GitLab lists at once.
PAGE = 100
# Each file of an archive has an entry that begins so; reading these takes memory.
ENTRY = b"PK\x01\x02"
BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError)


def jobs(name: str) -> list[dict[str, Any]]:
    """Return the last run of each job of this pipeline that has a name, or is one of its matrix.

    https://docs.gitlab.com/api/jobs/#list-all-jobs-for-a-pipeline
    """
    ours = re.compile(rf"{re.escape(name)}(: \[.*\]| [0-9]+/[0-9]+)?", re.DOTALL)
    pipeline = int(os.environ["CI_PIPELINE_ID"])
    listed: list[dict[str, Any]] = []
    page, full = 0, True
    while full:
        page += 1
        address = of_project(f"pipelines/{pipeline}/jobs?per_page={PAGE}&page={page}")
        found = json.loads(ask("GET", address).content)
        listed += [job for job in found if ours.fullmatch(job["name"]) and job["pipeline"]["id"] == pipeline]
        full = len(found) == PAGE
    return sorted(listed, key=lambda job: (str(job["name"]), int(job["id"])))


def archive(job: dict[str, Any]) -> bytes:
    """Return the archive of a job, as a runner gets it.

    The address without the number of a project is for every edition of GitLab.
    """
    return ask("GET", f"{os.environ['CI_API_V4_URL']}/jobs/{int(job['id'])}/artifacts").content


def wanted(name: str, patterns: Sequence[str]) -> bool:
    """Say whether the name of a file fits one of the patterns."""
    parts = name.split("/")
    for pattern in patterns:
        fitting = posixpath.normpath(pattern).split("/")
        same = len(parts) == len(fitting) or (fitting[-1] == "**" and len(parts) > len(fitting))
        if same and all(map(fnmatchcase, parts, fitting)):
            return True
    return False


def files(content: bytes, patterns: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of the files that are wanted; raise ValueError for any that is no plain file."""
    if content.count(ENTRY) > MOST_FILES:
        raise ValueError(f"it has more than {MOST_FILES} files")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [entry for entry in archive.infolist() if wanted(entry.filename, patterns)]
        if sum(entry.file_size for entry in entries) > MOST_BYTES:
            raise ValueError(f"its files have more than {MOST_BYTES} bytes")
        for entry in entries:
            name = entry.filename
            if name.endswith("/"):
                continue
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
                raise ValueError(f"{name!r} is not a plain file")
            if {"", ".", ".."} & set(name.split("/")) or "\\" in name or not name.isprintable():
                raise ValueError(f"{name!r} is no name of a file")
            yield name, archive.read(entry)


def take(folder: Path, states: Sequence[str], name: str, patterns: Sequence[str]) -> None:
    """Write the files of all jobs of a name; end the program where one cannot be taken."""
    clear(folder)
    folder.mkdir()
    there = jobs(name)
    if not there and "absent" not in states:
        sys.exit(f"This pipeline has no job {name}.")
    left = MOST_BYTES
    for number, job in enumerate(there, 1):
        if job["status"] not in states or (job["status"] == "failed" and job["allow_failure"] is not True):
            sys.exit(f"{job['name']} did not succeed: GitLab says {job['status']!r}.")
        count = 0
        try:
            for path, content in files(archive(job), patterns):
                left -= len(content)
                if left < 0:
                    raise ValueError(f"all files have more than {MOST_BYTES} bytes")
                file = folder / str(number) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                # Nothing takes the place of another.
                with file.open("xb") as new:
                    new.write(content)
                count += 1
        except BROKEN as odd:
            sys.exit(f"{job['name']} handed on what is not taken: {odd}.")
        if not count:
            sys.exit(f"{job['name']} handed on nothing of the name {' or '.join(patterns)}.")
        print(f"{count} of the files of {job['name']}")


if __name__ == "__main__":
    try:
        take(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3], sys.argv[4:])
    except RequestError as failed:
        sys.exit(f"GitLab did not hand out what {sys.argv[3]} has made: {failed}")
    except ODD as odd:
        sys.exit(f"GitLab's list of the jobs cannot be read: {odd!r}")
