"""Three repositories that the template did not make, in the manner of real ones, take its pipeline and its releases."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tools.adopt.__main__ import BRANCH
from tools.adopt.__main__ import main as adopt
from tools.commands import commit_all, run
from tools.documents import block, page
from tools.expander import Expander
from tools.gitlab_ci_local import arguments_of, as_on_gitlab
from tools.reports import junit, xml
from tools.runner import Executor, Pipe, expand
from tools.samples.baked import Bake
from tools.samples.existing import ACME, GEO, OLD, make_repository
from tools.samples.package import COMPONENTS, IDENTITY, RELEASING, VERSION
from tools.stand_ins.advisories import Advisories, Advisory
from tools.stand_ins.cosign import KeyPair
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.images import Podman
from tools.stand_ins.registry import Registry
from tools.template import edit, tagged_copy

CRUFT = (sys.executable, "-m", "cruft")
PACKAGES = ("packages/api", "packages/web")
REPOSITORIES = {"old-tool": OLD, "geo-lines": GEO, "acme": ACME}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, python: str) -> Path:
    """The template, for one Python of this machine."""
    folder = tagged_copy(tmp_path_factory.mktemp("adopted") / "py-ci-template")
    edit(folder / "cookiecutter.json", '["3.11", "3.12", "3.13", "3.14", "3.15"]', f'["{python}"]')
    commit_all(folder, "Support one Python")
    return folder


def documented(name: str, python: str) -> str:
    """Return a pipeline of the page, for one Python of this machine."""
    text = block(page("docs/existing.md"), f"<!-- {name} -->", "yaml").replace('"3.12", "3.13"', f'"{python}"')
    image = f"inputs: {{python_version: '{python}'"
    for job in ("lint", "coverage", "build", "sbom", "digests", "publish-gitlab", "release", "preflight"):
        # The default is a Python that a machine may lack.
        text = re.sub(
            rf"(/{job}@\S+\n)(    inputs: \{{)?",
            lambda found: f"{found[1]}    {image}" + (", " if found[2] else "}\n"),
            text,
        )
    return re.sub(r"(/test@\S+\n    inputs: \{)(?=directory)", rf"\1python_versions: ['{python}'], ", text)


@pytest.mark.parametrize("name", REPOSITORIES)
def test_it_takes_the_pipeline_and_a_later_release(
    name: str,
    template: Path,
    python: str,
    pipe: Pipe,
    gitlab: GitLab,
    gitlab_ci_local: str,
    components: Path,
    warm: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = REPOSITORIES[name]
    repository = make_repository(tmp_path / name, files, name)
    monkeypatch.chdir(repository)
    for variable in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{variable}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{variable}_EMAIL", "tester@example.com")
    several = [word for package in PACKAGES for word in ("--directory", package)] if files is ACME else []
    assert adopt(["--template", str(template), *several, "--apply"]) == 0
    assert run("git", "status", "--porcelain", cwd=repository) == ""
    run("git", "switch", "--quiet", BRANCH, cwd=repository)
    assert not (repository / "ran").exists()
    for path, text in files.items():
        now = (repository / path).read_text(encoding="utf-8")
        assert now == text or path == ".gitlab-ci.yml" or (path.endswith("pyproject.toml") and now != text), path
    if files is OLD:
        assert (repository / ".gitlab" / "ci-before.yml").read_text(encoding="utf-8") == OLD[".gitlab-ci.yml"]

    here = gitlab.add_project("team/tools/my-service", repository)
    done = pipe(repository, variables={**gitlab.variables(here), **warm})
    suffixes = ["-acme-api", "-acme-web"] if several else [""]
    jobs = [f"{job}{each}" for each in suffixes for job in ("lint", "test{}", "coverage", "build", "sbom")]
    expected = {"preflight", *(job.format("") for job in jobs)}
    expected = {f"{job}: [{python}]" if job.startswith("test") else job for job in expected}
    assert done.results.keys() == expected, done.output
    # What lint finds is a warning; nothing else fails.
    bad = {job for job, result in done.results.items() if result != "passed"}
    assert bad <= {f"lint{each}" for each in suffixes}, done.output
    assert {done.results[job] for job in bad} <= {"failed, allowed"}
    for suffix, folder in zip(suffixes, PACKAGES if several else [""], strict=False):
        assert junit(done.report(f"test{suffix}: [{python}]", f"{folder}/junit.xml".strip("/")))["passed"] == 1
        report = xml(done.report(f"coverage{suffix}", f"{folder}/coverage.xml".strip("/")))
        measured = {line.attrib["filename"] for line in report.iter("class")}
        assert measured == {path for path in files if path.startswith(folder) and path.endswith(".py")} - {
            path for path in files if "test" in path or "setup" in path
        }
        wheels = [file.name for file in done.artifact(f"build{suffix}", "dist").glob("*.whl")]
        bill = json.loads(done.artifact(f"sbom{suffix}", "sbom.cdx.json").read_text(encoding="utf-8"))
        itself = f"{folder.replace('packages/', 'acme-') or name}"
        assert [wheel.partition("-")[0].replace("_", "-") for wheel in wheels] == [itself]
        assert itself in {part["name"].lower().replace("_", "-") for part in bill["components"]}

    # A tag is of no package that the command knows of.
    env = as_on_gitlab(repository, components)
    tagged = expand(gitlab_ci_local, repository, env, arguments_of("tag")).keys()
    assert [job for job in tagged if job.startswith("build")] == ([] if several else ["build"])
    shutil.rmtree(repository / ".gitlab-ci-local")
    # A later release of the template changes its jobs, and everything that people have made their own.
    edit(template / "templates" / "lint.yml", "  timeout: 15 minutes", "  timeout: 16 minutes")
    try:
        for path in ("README.md", "pyproject.toml", "toxfile.py"):
            with (template / "{{cookiecutter.project_slug}}" / path).open("a", encoding="utf-8") as file:
                file.write("\n# A later release\n")
        commit_all(template, "Release")
        before = {path: (repository / path).read_bytes() for path in run("git", "ls-files", cwd=repository).split()}
        run(*CRUFT, "update", "--skip-apply-ask", cwd=repository)
    finally:
        run("git", "revert", "--no-edit", "HEAD", cwd=template)
    changed = {path for path, text in before.items() if (repository / path).read_bytes() != text}
    assert changed == {".cruft.json", ".gitlab/ci/lint.yml"}
    assert run("git", "ls-files", "--others", "--exclude-standard", cwd=repository) == ""


def test_each_step_of_the_page_stays_green(
    expander: Expander, pipe: Pipe, python: str, warm: dict[str, str], tmp_path: Path
) -> None:
    tests = ["test", "coverage"]
    steps = {
        "today": (["test"], ["upload"]),
        "tests": (tests, ["upload"]),
        "build": (["lint", *tests, "build", "sbom"], ["upload"]),
        "release": (["preflight", "lint", *tests, "build", "sbom"], ["digests", "publish-gitlab", "release"]),
    }
    for step, (always, released) in steps.items():
        text = documented(step, python)
        expander.validate(text)
        # Nothing runs twice: a merge request shows the pipeline of its branch.
        assert expander.jobs(text, "merge request") == []
        for event, more in (("branch", []), ("tag", released)):
            assert {job.partition(": [")[0] for job in expander.jobs(text, event)} == {*always, *more}, step
    settings = block(page("docs/existing.md"), "<!-- settings -->", "toml")
    pipeline = documented("build", python)
    files = {**OLD, "pyproject.toml": settings, ".gitlab-ci.yml": pipeline}
    done = pipe(make_repository(tmp_path / "old", files, "old-tool"), variables=warm)
    ended = done.results
    assert ended.pop("lint") in ("passed", "failed, allowed")
    assert set(ended.values()) == {"passed"}, done.output
    assert len(ended) == 4


SIGNED = f"""
  - component: {COMPONENTS}/cosign@{VERSION}
    inputs: {{public_key: cosign.pub, python_version: "PYTHON"}}
    rules: *api
  - component: {COMPONENTS}/sign@{VERSION}
    inputs: {{method: key, python_version: "PYTHON"}}
    rules: *api
  - component: {COMPONENTS}/verify@{VERSION}
    inputs: {{identity: {IDENTITY}, python_version: "PYTHON"}}
    rules: *api
  - component: {COMPONENTS}/publish-signatures@{VERSION}
    inputs: {{package_name: acme-api, identity: {IDENTITY}, python_version: "PYTHON"}}
    rules: *api
  - component: {COMPONENTS}/verify-published@{VERSION}
    inputs: {{package_name: acme-api, identity: {IDENTITY}, program: acme-api, python_version: "PYTHON"}}
    rules: *api
  - component: {COMPONENTS}/build-image@{VERSION}
    inputs: {{directory: packages/api}}
    rules: *api

lint-api:
"""
MAIN = """\
def main():
    print("acme-api 1.2.3")
"""
STAGES = "[lint, test, build, sign, verify, publish-signatures, publish, verify-published, release]"


# With the other tests that have Podman.
@pytest.mark.xdist_group("image")
def test_a_tag_releases_the_package_that_it_names(
    bake: Bake,
    pipe: Pipe,
    imaging: Executor,
    podman: Podman,
    keys: KeyPair,
    gitlab_ci_local: str,
    components: Path,
    gitlab: GitLab,
    registry: Registry,
    python: str,
    warm: dict[str, str],
    tmp_path: Path,
) -> None:
    """And each push has the packages checked by jobs of their own: the command proposes those, which run above."""
    text = documented("packages", python).replace("stages: [lint, test, build, publish, release]", f"stages: {STAGES}")
    text = text.replace("[publish-gitlab]", "[publish-signatures, publish-gitlab]")
    text = text.replace("\nlint-api:\n", SIGNED.replace("PYTHON", python))
    settings = block(page("docs/existing.md"), "<!-- settings -->", "toml").partition("\n[tool.mypy]")[0]
    groups = '[dependency-groups]\ntest = ["pytest"]\n'
    files = {
        path: content.replace(groups, settings.replace("old_tool", f"acme_{path[9:12]}"))
        for path, content in ACME.items()
    }
    made = bake(kind="service")
    files |= {
        ".gitlab-ci.yml": text,
        "cosign.pub": keys.public,
        "packages/api/pyproject.toml": files["packages/api/pyproject.toml"].replace(
            'version = "1.0"\n', 'version = "1.2.3"\nscripts = {acme-api = "acme_api:main"}\n'
        ),
        "packages/api/src/acme_api/__init__.py": f"{ACME['packages/api/src/acme_api/__init__.py']}\n\n{MAIN}",
        "packages/api/Dockerfile": made.read("Dockerfile").replace("my-service", "acme-api"),
        "packages/api/.dockerignore": made.read(".dockerignore"),
    }
    repository = make_repository(tmp_path / "acme", files, "acme")
    here = gitlab.add_project("team/tools/acme", repository)
    registry.offer(podman.base, here)
    variables = {**gitlab.variables(here), **registry.variables(here), **keys.settings, **warm}
    checks = ["lint-api", *(f"{job}-{name}" for name in ("api", "web") for job in ("test", "coverage"))]
    done = pipe(repository, event="tag acme-api-v1.2.3", executor=imaging, variables=variables, left_out=checks)
    assert done.results == dict.fromkeys([*RELEASING, "build-image"], "passed"), done.output
    # Of the other package there is nothing, neither in a registry nor in the release.
    names = ["acme_api-1.2.3-py3-none-any.whl", "acme_api-1.2.3.tar.gz"]
    assert sorted(file.name for file in (here.folder / "pypi").iterdir()) == names
    assert [str(each.relative_to(here.folder)) for each in here.folder.glob("generic/*/*")] == [
        "generic/acme-api/1.2.3"
    ]
    assert "acme-api 1.2.3" in done.log("verify-published")
    image = f"{registry.image(here)}:1.2.3-candidate"
    run("podman", "pull", "--quiet", image, env={**os.environ, **podman.env, **registry.log_in(here, tmp_path)})
    assert podman.run("run", "--rm", "--network", "none", image) == "acme-api 1.2.3\n"
    # A package whose name begins as this one does is another.
    env = as_on_gitlab(repository, components)
    for tag, more in (("acme-api-v1.2.3", [*RELEASING, "build-image"]), ("acme-api-extra-v1.2.3", [])):
        assert expand(gitlab_ci_local, repository, env, arguments_of(f"tag {tag}")).keys() - {"stages"} == {
            *checks,
            *more,
        }


IN_A_FOLDER = f"""
stages: [lint, build]

include:
  - component: {COMPONENTS}/build@{VERSION}
    inputs: {{directory: packages/api, job_suffix: -api, python_version: "PYTHON"}}
  - component: {COMPONENTS}/sbom@{VERSION}
    inputs: {{directory: packages/api, job_suffix: -api, python_version: "PYTHON"}}
  - component: {COMPONENTS}/audit@{VERSION}
    inputs: {{directory: packages/api, job_suffix: -api, python_version: "PYTHON", advisories: "ADVISORIES"}}
  - component: {COMPONENTS}/docs@{VERSION}
    inputs:
      directory: packages/api
      job_suffix: -api
      python_version: "PYTHON"
      dependency_group: test
      docs_commands: [mkdir -p build/html, cp pyproject.toml build/html/index.html]
      link_command: ""
  - component: {COMPONENTS}/lint@{VERSION}
    inputs: {{directory: packages/apis, job_suffix: -apis, python_version: "PYTHON"}}
  - component: {COMPONENTS}/lint@{VERSION}
    inputs: {{directory: packages/link, job_suffix: -link, python_version: "PYTHON"}}
"""


def test_what_a_job_says_of_a_package_in_a_folder_is_said_of_the_repository(
    pipe: Pipe, python: str, warm: dict[str, str], tmp_path: Path
) -> None:
    package = "packages/api/pyproject.toml"
    with Advisories(Advisory("idna", "PYSEC-2024-60", (), "3.7")) as service:
        text = IN_A_FOLDER.replace("PYTHON", python).replace("ADVISORIES", service.url)
        depending = ACME[package].replace("[project]\n", '[project]\ndependencies = ["idna<3.7"]\n')
        files = {**ACME, package: depending, ".gitlab-ci.yml": text}
        repository = make_repository(tmp_path / "acme", files, "acme")
        (repository / "packages" / "link").symlink_to("api")
        done = pipe(repository, event="schedule", variables=warm)
    passed = dict.fromkeys(("build-api", "sbom-api", "docs-api"), "passed")
    refused = dict.fromkeys(("lint-apis", "lint-link"), "failed")
    assert done.results == {**passed, "audit-api": "failed, allowed", **refused}, done.output
    (finding,) = json.loads(done.report("audit-api", "gl-code-quality-report.json").read_text(encoding="utf-8"))
    assert finding["location"]["path"] == package
    assert done.artifact("docs-api", "public/index.html").read_text(encoding="utf-8") == depending
    for job in refused:
        assert done.last_line(job).startswith("Set the input directory to the folder")
