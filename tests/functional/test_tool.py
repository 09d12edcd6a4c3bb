"""`py-ci-pipeline`, with which a person runs the pipeline of a project on a machine without a GitLab."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from tools.browser import luminance, numbers, open_file
from tools.commands import commit_all, run
from tools.options import COMPONENT_PROJECT, ROOT
from tools.pipeline import npm
from tools.requirements import find_program
from tools.samples.baked import Bake, BakedProject, edit
from tools.shared import made_once
from tools.stand_ins.images import HELPER, Podman, python_image

# A Python that no machine has.
NOWHERE = "3.99"
JOBS = {"preflight", "lint", "coverage", "build", "sbom"}
# A test or a job may be called so.
HOSTILE = "<script>document.title='pwned'</script><img src=x onerror=alert(1)>"

Tool = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def environment(
    shared_folder: Path, cosign: Path, warm: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment of a person who has Cosign, and a cache of their own with gitlab-ci-local."""
    find_program("rsync", "apt install rsync")
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(cosign.parent), os.environ["PATH"]]),
        "XDG_CACHE_HOME": str(made_once(shared_folder / "home-cache", Path.mkdir)),
        "TMPDIR": str(tmp_path_factory.mktemp("temporary")),
        "TERM": "xterm-256color",
    }


@pytest.fixture
def settings(warm: dict[str, str], tmp_path: Path) -> Path:
    """A folder of CI/CD variables, with which jobs find what others have downloaded."""
    folder = tmp_path / "variables"
    folder.mkdir()
    for name, value in warm.items():
        (folder / name).write_text(f"{value}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tool(environment: dict[str, str]) -> Tool:
    """Return a function that runs the tool of this repository; it returns the exit status and all that was printed."""

    def run_it(*arguments: str | Path, **env: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "tools.pipeline", *arguments],
            cwd=ROOT,
            env={**environment, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        assert "Traceback" not in done.stdout
        assert not list(Path(environment["TMPDIR"]).glob("py-ci-pipeline-*")), "what is temporary goes"
        return done.returncode, done.stdout

    return run_it


def make(bake: Bake, python: str, **options: str) -> BakedProject:
    """Make a committed project that is tested on a Python that this machine lacks too."""
    made = bake(_python_versions=[python], python_version=python, **options)
    edit(made, ".gitlab-ci.yml", f'python_versions: ["{python}"]', f'python_versions: ["{python}", "{NOWHERE}"]')
    commit_all(made.path)
    return made


@pytest.fixture
def project(bake: Bake, python: str) -> BakedProject:
    """A project that signs with a key."""
    return make(bake, python, signing="key")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project with a pipeline of its own, which is still to be written."""
    return make_small(tmp_path)


def make_small(folder: Path) -> Path:
    """Make a repository without a file."""
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", folder / "small")
    return folder / "small"


def state_of(project: BakedProject) -> tuple[str, str, set[Path]]:
    """Return what a run must leave as it is."""
    status = project.run("git", "status", "--porcelain")
    return status, project.run("git", "rev-parse", "HEAD"), set(project.path.rglob("*"))


def rows_of(printed: str) -> dict[str, str]:
    """Return how each job of the table at the end has ended."""
    return dict(re.findall(r"^(\S.*?) +(passed|failed|skipped|interrupted)(?: +\d+\.\d)?$", printed, re.MULTILINE))


@pytest.mark.parametrize(("pipeline", "test_runner"), [("self-contained", "pytest"), ("components", "unittest")])
def test_the_command_of_a_project_runs_its_pipeline_without_a_clone(
    pipeline: str,
    test_runner: str,
    bake: Bake,
    python: str,
    template_repository: Path,
    environment: dict[str, str],
    settings: Path,
    tmp_path: Path,
) -> None:
    project = make(bake, python, pipeline=pipeline, test_runner=test_runner)
    (project.path / "tests" / "test_more.py").write_text('"""Not committed."""\n', encoding="utf-8")
    before = state_of(project)
    (command,) = re.findall(r"^uvx .* py-ci-pipeline$", project.read("CONTRIBUTING.md"), re.MULTILINE)
    # The address is that of the template on GitLab, for which this repository stands.
    git_config = tmp_path / "gitconfig"
    address = f"https://gitlab.com/{COMPONENT_PROJECT}.git"
    git_config.write_text(f'[url "{template_repository.as_uri()}"]\n\tinsteadOf = {address}\n', encoding="utf-8")
    done = subprocess.run(
        ["sh", "-c", f"{command.replace('uvx', 'uv tool run', 1)} --variables ../variables --output ../results"],
        cwd=shutil.copytree(project.path, tmp_path / project.path.name),
        env={**environment, "GIT_CONFIG_GLOBAL": str(git_config)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    printed = done.stdout
    assert done.returncode == 0, printed
    assert rows_of(printed) == dict.fromkeys({*JOBS, f"test: [{python}]"}, "passed"), printed
    assert f"left out, no Python {NOWHERE} on this machine (--pythons download): test: [{NOWHERE}]" in printed
    assert "left out, no container registry on this machine: build-image, digests-image, publish-image" in printed
    assert "coverage: started" in printed
    results = tmp_path / "results"
    assert printed.splitlines()[-1] == f"Page: {(results / 'index.html').as_uri()}"
    assert list(results.glob("build/dist/*.whl"))
    assert "test_more.py" in (results / "build.log").read_text(encoding="utf-8") or test_runner == "unittest"
    log = (results / "log.txt").read_text(encoding="utf-8")
    assert "REMEDY=" not in log
    assert "glcbt-" not in "".join(path.read_text("utf-8") for path in [*results.glob("*.log"), results / "index.html"])
    assert state_of(project) == before
    assert not list(Path(environment["TMPDIR"]).glob("py-ci-pipeline-*"))


def test_a_job_that_fails_is_shown_with_its_log_and_leaves_its_reports(
    project: BakedProject, settings: Path, tmp_path: Path, tool: Tool
) -> None:
    (project.path / "src" / "my_service" / "app.py").write_text("import os\n", encoding="utf-8")
    results = tmp_path / "results"
    (results / "of-an-earlier-run").mkdir(parents=True)
    (results / "jobs.txt").touch()
    status, printed = tool(project.path, "--job", "lint", "--output", results, "--variables", settings)
    assert status == 1, printed
    assert rows_of(printed) == {"lint": "failed"}
    assert f"lint: the end of its log, which is {results / 'lint.log'}\n" in printed
    assert "Fix what is named above; 'ruff check --fix' and 'ruff format' do most of it." in printed
    files = {path.relative_to(results).as_posix() for path in results.rglob("*")}
    assert files == {"index.html", "jobs.txt", "log.txt", "lint.log", "lint", "lint/gl-code-quality-report.json"}
    assert "F401" in (results / "lint" / "gl-code-quality-report.json").read_text(encoding="utf-8")
    assert "F401" in (results / "index.html").read_text(encoding="utf-8")
    assert (results / "jobs.txt").read_text(encoding="utf-8") in printed


def test_a_tag_releases_to_the_gitlab_of_this_machine_with_a_key_for_the_run(
    project: BakedProject, cosign: Path, settings: Path, tmp_path: Path, tool: Tool, browser: Browser
) -> None:
    results = tmp_path / "results"
    status, printed = tool(project.path, "--event", "tag", "--output", results, "--variables", settings)
    assert status == 0, printed
    assert rows_of(printed).keys() >= {"digests", "sign", "verify", "publish-gitlab", "verify-published", "release"}
    assert "A key that was made for this run signs, and goes with it; cosign.pub of the copy is its public" in printed
    assert not (project.path / "cosign.pub").exists()
    (wheel,) = (results / "digests" / "dist").glob("my_service-1.0.0-*.whl")
    bundle = results / "sign" / "signatures" / f"{wheel.name}.sigstore.json"
    key = results / "cosign" / "cosign.pub"
    run(cosign, "verify-blob", "--key", key, "--insecure-ignore-tlog", "--bundle", bundle, wheel)
    texts = "".join(path.read_text("utf-8") for path in [*results.glob("*.log"), *results.glob("*.html")])
    assert "PRIVATE KEY" not in texts
    page = browser.new_page()
    page.goto((results / "index.html").as_uri())
    signatures = page.get_by_role("region", name="Signatures")
    assert signatures.get_by_role("row", name=wheel.name).inner_text().split("\t")[1:3] == [
        "✓ yes",
        "SLSA provenance, bill of materials",
    ]
    assert "sign ✓ passed" in " ".join(signatures.inner_text().split())
    page.close()


def test_what_a_key_or_an_identity_would_sign_is_left_out_with_what_comes_after(bake: Bake, tool: Tool) -> None:
    project = bake(signing="keyless", kind="command")
    status, printed = tool(project.path, "--event", "tag", "--list", "--pythons", "download")
    assert status == 0, printed
    assert "left out, no identity token, which GitLab gives: sign\n" in printed
    after = "verify, publish-signatures, publish-gitlab, verify-published, release"
    assert f"left out, comes after sign: {after}\n" in printed
    assert not re.search(r"^(sign|verify|publish-gitlab|release) ", printed, re.MULTILINE)
    assert re.search(r"^digests +build$", printed, re.MULTILINE)


def test_it_shows_what_would_run(project: BakedProject, python: str, tool: Tool) -> None:
    status, printed = tool(project.path, "--list")
    assert status == 0
    assert dict(re.findall(r"^(\S.*?)  +([.\w]+)$", printed, re.MULTILINE)) == {
        "preflight": ".pre",
        "lint": "lint",
        f"test: [{python}]": "test",
        "coverage": "test",
        "build": "build",
        "sbom": "build",
    }
    status, printed = tool(project.path, "--graph", "--job", "coverage", "--job", "sbom")
    assert status == 0
    assert printed.splitlines()[:6] == [
        "test",
        f"├─ test: [{python}]  at once",
        f"└─ coverage      after test: [{python}]",
        "build",
        "├─ build         at once",
        "└─ sbom          after build",
    ]


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("lnt", "There is no job lnt. The jobs are preflight, lint, test: ["),
        ("test: [9.9]", "There is no job test: [9.9]. The jobs are"),
        ("sign", "The job sign does not run for this event: branch."),
    ],
)
def test_a_job_that_there_is_not(job: str, said: str, project: BakedProject, tool: Tool) -> None:
    status, printed = tool(project.path, "--job", job)
    assert status == 2
    assert printed.splitlines()[-2].startswith(said)
    assert printed.splitlines()[-1].endswith("/docs/troubleshooting.md#tool-job")


@pytest.mark.parametrize(
    ("pipeline", "status", "said"),
    [
        ("test: {script: 'true', stage: nowhere}", 2, "GitLab would refuse this pipeline:"),
        ("test: {script: 'true', rules: [{if: $CI_COMMIT_TAG}]}", 0, "No job runs for this event: branch."),
    ],
)
def test_a_pipeline_without_jobs(pipeline: str, status: int, said: str, small: Path, tool: Tool) -> None:
    (small / ".gitlab-ci.yml").write_text(f"{pipeline}\n", encoding="utf-8")
    found, printed = tool(small)
    assert (found, printed.splitlines()[0]) == (status, said)


def test_what_is_missing_is_said_at_once(tmp_path: Path, tool: Tool) -> None:
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.symlink_to(find_program("git", "install it first"))
    status, printed = tool(tmp_path, PATH=str(git.parent))
    assert status == 2
    assert printed.splitlines() == [
        "rsync is missing: apt install rsync, or brew install rsync.",
        "See py-ci-template/docs/troubleshooting.md#tool-missing",
        f"{tmp_path} is no git repository with a .gitlab-ci.yml: name the folder of one.",
        "See py-ci-template/docs/troubleshooting.md#tool-project",
    ]


def test_what_would_be_lost_or_is_no_folder_is_said_at_once(small: Path, tmp_path: Path, tool: Tool) -> None:
    (small / ".gitlab-ci.yml").touch()
    (tmp_path / "letter.txt").touch()
    status, printed = tool(small, "--output", tmp_path, "--variables", tmp_path / "letter.txt")
    assert status == 2
    assert printed.splitlines() == [
        f"{tmp_path / 'letter.txt'} is no folder with a file for each variable.",
        "See py-ci-template/docs/troubleshooting.md#tool-variables",
        f"{tmp_path} has other files, which are kept: name an empty folder, or one that is new.",
        "See py-ci-template/docs/troubleshooting.md#tool-output",
    ]
    status, printed = tool(small, "--output", small / "results")
    assert status == 2
    assert "is in the project, which would then have it as a file: name one outside." in printed


def test_npm_that_installs_nothing_is_said_and_leaves_nothing(
    small: Path, environment: dict[str, str], tmp_path: Path, tool: Tool
) -> None:
    (small / ".gitlab-ci.yml").write_text("test: {script: 'true'}\n", encoding="utf-8")
    cache = tmp_path / "cache"
    nowhere = {"NPM_CONFIG_REGISTRY": "http://127.0.0.1:9", "NPM_CONFIG_FETCH_RETRIES": "0"}
    status, printed = tool(small, XDG_CACHE_HOME=str(cache), NPM_CONFIG_CACHE=str(tmp_path / "npm"), **nowhere)
    assert status == 2
    assert "npm could not install gitlab-ci-local; is there a network?" in printed
    assert not list((cache / "py-ci-pipeline").iterdir())


def test_settings_of_gitlab_ci_local_in_a_project_change_nothing(small: Path, tool: Tool) -> None:
    (small / ".gitlab-ci.yml").write_text("ours: {script: 'true'}\n", encoding="utf-8")
    (small / "other.yml").write_text("theirs: {script: 'true'}\n", encoding="utf-8")
    (small / ".gitlab-ci-local-env").write_text("FILE=other.yml\n", encoding="utf-8")
    (small / ".gitlab-ci-local").mkdir()
    (small / ".gitlab-ci-local" / "variables.yml").write_text("broken: [\n", encoding="utf-8")
    run("git", "add", "--force", "--all", cwd=small)
    status, printed = tool(small, "--list")
    assert status == 0, printed
    # Who is first installs it, and says so.
    assert printed.splitlines()[-1] == "ours  test"
    assert "theirs" not in printed


def test_another_file_under_the_name_of_gitlab_ci_local_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Path(shutil.copytree(npm.LOCK, tmp_path / "lock")) / "package-lock.json"
    text = lock.read_text(encoding="utf-8")
    lock.write_text(re.sub(r"sha512-.{4}", "sha512-AAAA", text), encoding="utf-8")
    monkeypatch.setattr(npm, "LOCK", lock.parent)
    with pytest.raises(npm.InstallError, match="EINTEGRITY"):
        npm.install(tmp_path / "installed")
    assert not (tmp_path / "installed" / "node_modules" / "gitlab-ci-local").exists()


def test_it_runs_within_a_hook_of_a_person_whose_commits_have_hooks(small: Path, tmp_path: Path, tool: Tool) -> None:
    (small / ".gitlab-ci.yml").write_text("test: {script: 'true'}\n", encoding="utf-8")
    hook = tmp_path / "hooks" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[core]\n\thooksPath = {hook.parent}\n", encoding="utf-8")
    env = {"GIT_DIR": str(ROOT / "nowhere"), "GIT_INDEX_FILE": str(tmp_path / "index")}
    status, printed = tool(small, GIT_CONFIG_GLOBAL=str(tmp_path / "gitconfig"), **env)
    assert status == 0, printed
    assert rows_of(printed) == {"test": "passed"}


STUCK = """
stages: [build, test]
quick: {stage: build, script: echo done}
stuck:
  stage: test
  script:
    - |
      sleep MARK & echo "$SECRET_WORD is nobody's"
      (trap '' TERM; sleep MARK)
after: {stage: test, needs: [stuck], script: echo never}
"""


def processes(mark: str) -> list[str]:
    """Return the processes of this machine that have a word among their arguments."""
    listed = run("ps", "-eo", "args").splitlines()
    return [line for line in listed if line.split()[:2] == ["sleep", mark]]


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)


@pytest.mark.parametrize("way", ["the keys Ctrl and C", "SIGTERM"])
def test_an_interruption_ends_all_jobs(
    way: str, small: Path, settings: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    mark = f"{1000 + os.getpid()}.{len(way)}"
    (small / ".gitlab-ci.yml").write_text(STUCK.replace("MARK", mark), encoding="utf-8")
    (settings / "SECRET_WORD").write_text("swordfish-of-the-run", encoding="utf-8")
    results = tmp_path / "results"
    command = [sys.executable, "-m", "tools.pipeline", str(small)]
    command += ["--output", str(results), "--variables", str(settings)]
    keyboard, screen = pty.openpty()
    # The terminal of a session of its own, whose keys reach whoever reads it.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment, "CI": "false", "COLUMNS": "100", "LINES": "30"},
        stdin=screen,
        stdout=screen,
        stderr=screen,
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(screen)
    shown = b""
    os.set_blocking(keyboard, False)

    def look() -> bytes:
        nonlocal shown
        with suppress(OSError):
            shown += os.read(keyboard, 100_000)
        return shown

    wait_for(lambda: look() and len(processes(mark)) == 2)
    wait_for(lambda: b"MASKED" in look())
    if way == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        os.write(keyboard, b"\x03")
    wait_for(lambda: look() and process.poll() is not None)
    text = look().decode()
    assert process.returncode == 130, text
    assert not processes(mark)
    assert "Interrupted: all jobs were ended." in text
    # The live table, which was there before the end.
    assert "last line" in text
    assert "swordfish" not in text
    assert not list(Path(environment["TMPDIR"]).glob("py-ci-pipeline-*"))
    table = (results / "jobs.txt").read_text(encoding="utf-8")
    assert rows_of(table) == {"quick": "passed", "stuck": "interrupted", "after": "skipped"}
    assert "swordfish" not in (results / "index.html").read_text(encoding="utf-8")
    assert "[MASKED] is nobody's" in (results / "stuck.log").read_text(encoding="utf-8")


def test_an_interruption_ends_containers_too(
    small: Path, environment: dict[str, str], podman: Podman, tmp_path: Path
) -> None:
    job = f"stuck: {{image: 'localhost/{python_image('3.11')}', script: echo begun && sleep 300}}\n"
    (small / ".gitlab-ci.yml").write_text(job, encoding="utf-8")
    results = tmp_path / "results"
    command = [sys.executable, "-m", "tools.pipeline", str(small), "--containers", "podman", "--output", str(results)]
    env = {**environment, **podman.env, "GCL_HELPER_IMAGE": HELPER, "GCL_PULL_POLICY": "if-not-present"}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, encoding="utf-8")
    wait_for(lambda: "sleep 300" in top(podman))
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "Interrupted: all jobs were ended." in printed
    assert rows_of((results / "jobs.txt").read_text(encoding="utf-8")) == {"stuck": "interrupted"}
    assert podman.run("ps", "--all", "--quiet") == ""
    assert podman.run("volume", "ls", "--quiet") == ""


def top(podman: Podman) -> str:
    """Return what runs in the containers; one may end meanwhile."""
    found = ""
    for name in podman.run("ps", "--quiet").split():
        with suppress(AssertionError):
            found += podman.run("top", name, "args")
    return found


REPORTS = """
stages: [build, test]
make:
  stage: build
  script:
    - printf '\\033[31mred\\033[0m \\033]0;title\\007 <b>bold</b>\\n'
  artifacts:
    reports: {cyclonedx: bill.json}
look:
  stage: test
  needs: [make]
  script: "false"
  artifacts:
    when: always
    reports:
      junit: junit.xml
      codequality: quality.json
      coverage_report: {coverage_format: cobertura, path: coverage.xml}
"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, tool: Tool) -> tuple[Path, str]:
    """The page of a run whose jobs report what is hostile, and what was printed."""
    folder = tmp_path_factory.mktemp("reported")
    small = make_small(folder)
    escaped = HOSTILE.replace("<", "&lt;").replace(">", "&gt;")
    files = {
        ".gitlab-ci.yml": REPORTS,
        "bill.json": json.dumps({"components": [{"name": HOSTILE, "version": "1"}]}),
        "junit.xml": f'<testsuite><testcase classname="{escaped}" name="{escaped}" time="0.5"><failure>{escaped}'
        f'</failure></testcase><testcase classname="a" name="{"long" * 60}" time="0"/></testsuite>',
        "quality.json": json.dumps([{"description": HOSTILE, "severity": HOSTILE, "location": {"path": HOSTILE}}]),
        "coverage.xml": '<coverage line-rate="0.5"><class filename="code.py"><line number="1" hits="1"/>'
        '<line number="2" hits="0"/></class><class filename="../secret.txt"><line number="1" hits="0"/></class>'
        "</coverage>",
        "code.py": f"first\n{HOSTILE}\n",
    }
    for name, text in files.items():
        (small / name).write_text(text, encoding="utf-8")
    (folder / "secret.txt").write_text("nobody reads this\n", encoding="utf-8")
    results = folder / "results"
    status, printed = tool(small, "--output", results)
    assert status == 1, printed
    return results / "index.html", printed


@pytest.mark.xdist_group("page")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 400), ("dark", 400)])
def test_the_page_can_be_read_by_day_and_by_night_and_on_a_phone(
    scheme: Literal["light", "dark"], width: int, reported: tuple[Path, str], browser: Browser
) -> None:
    file, printed = reported
    assert "\x1b" not in printed
    with open_file(browser, file, scheme, width) as page:
        assert page.title() == "small: pipeline failed"
        assert page.locator("script, img").count() == 0
        # What is hostile is there as it was written.
        for name in ("Tests", "Coverage", "Findings"):
            assert HOSTILE in page.get_by_role("region", name=name).inner_text()
        assert "nobody reads this" not in page.content()
        assert "red  <b>bold</b>" in (page.get_by_role("region", name="Jobs and their logs").text_content() or "")
        # The graph shows results by sign as well as by colour, and leads to the log.
        graph = page.get_by_role("region", name="Graph")
        assert graph.locator("svg a").all_text_contents() == [
            text for text in graph.locator("svg a").all_text_contents() if re.search("✓.*make|✕.*look", text, re.DOTALL)
        ]
        assert graph.locator("path.edge").count() == 1
        make = page.locator("details").filter(has=page.locator("#job-0"))
        assert not make.evaluate("each => each.open")
        graph.locator("svg a").first.click()
        assert page.locator("#job-0 pre").is_visible()
        assert page.get_by_role("region", name="Time line").locator("rect.critical").count() == 2
        missed = page.get_by_role("region", name="Coverage").locator(".dark")
        assert missed.all_inner_texts() == [HOSTILE]
        # https://www.w3.org/TR/WCAG22/#contrast-minimum
        for selector in ("h1", "p.muted", ".badge", ".stage-name", "td", "summary", ".source .dark", "pre"):
            assert contrast(page.locator(selector).first.evaluate(COLOURS)) >= 4.5, selector


# The colour of an element's text, and of what is behind it.
COLOURS = """each => {
  const style = getComputedStyle(each), svg = each.namespaceURI.endsWith("svg");
  let behind = each, colour = "";
  do {
    const before = svg && behind.previousElementSibling;
    colour = before ? getComputedStyle(before).fill : getComputedStyle(behind).backgroundColor;
    behind = behind.parentElement;
  } while (/, 0\\)$/.test(colour) && behind);
  return [svg ? style.fill : style.color, colour];
}"""


def contrast(colours: list[str]) -> float:
    """Return how well two colours can be told apart."""
    dark, light = sorted(luminance(numbers(colour)) for colour in colours)
    return (light + 0.05) / (dark + 0.05)
