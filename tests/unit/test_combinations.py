"""What holds for the project of every combination of the options, just as it was baked."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from project import OWNED, pipeline, pythons
from tools.checks import check_dockerfile, check_python, check_text
from tools.components import load, reached
from tools.expander import Expander
from tools.gitlab_ci_local import EVENTS
from tools.options import DECLARED, ROOT
from tools.samples.baked import BakedProject
from tools.shared import checked_once

ALWAYS = {
    ".devcontainer/devcontainer.json",
    ".editorconfig",
    ".gitattributes",
    ".gitignore",
    ".gitlab-ci.yml",
    ".gitlab/issue_templates/Bug.md",
    ".gitlab/issue_templates/Proposal.md",
    ".gitlab/merge_request_templates/Default.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "build-requirements.txt",
    "pyproject.toml",
    "renovate.json",
    "src/my_service/__init__.py",
    "src/my_service/py.typed",
    "tests/__init__.py",
    "toxfile.py",
}


def test_has_exactly_its_files(project: BakedProject) -> None:
    expected = set(ALWAYS)
    for (option, value), owned in OWNED.items():
        if project.options[option] == value:
            expected |= {path.replace("{{cookiecutter.package_name}}", "my_service") for path in owned.paths}
    if project.options["pipeline"] == "self-contained":
        jobs = pipeline({**DECLARED, **project.options})
        expected |= {f".gitlab/ci/{job.component}.yml" for job in jobs}
    # The link to the template is there where the template itself is in git.
    assert project.files - {".cruft.json"} == expected


def test_its_components_are_those_of_the_template(project: BakedProject) -> None:
    for name in project.files:
        if name.startswith(".gitlab/ci/"):
            assert (project.path / name).read_bytes() == (ROOT / "templates" / name.rpartition("/")[2]).read_bytes()


def test_a_newcomer_sees_the_pipeline_at_once(project: BakedProject) -> None:
    lines = project.read(".gitlab-ci.yml").splitlines()
    # Two more jobs, each with an input.
    documented = 4 if project.options["docs"] else 0
    assert len(lines) <= (110 if project.options["pipeline"] == "components" else 80) + documented


def test_files_are_clean_and_can_be_read(project: BakedProject) -> None:
    for name in project.files:
        check_text(name, project.read(name))


def test_python_is_formatted_and_lints_clean(project: BakedProject, shared_folder: Path) -> None:
    # What ruff reads.
    contents = {name: project.read(name) for name in project.files if name.endswith((".py", ".toml", ".gitignore"))}
    checked_once(shared_folder, contents, lambda: check_python(project))


def test_no_trace_of_an_option_that_is_off(project: BakedProject) -> None:
    # A component is the same in every project that has it.
    names = {name for name in project.files - {".cruft.json", "LICENSE"} if not name.startswith(".gitlab/ci/")}
    texts = {name: project.read(name) for name in names}
    for (option, value), owned in OWNED.items():
        found = [name for name, text in texts.items() if re.search(owned.words, text, re.IGNORECASE)]
        if project.options[option] == value:
            assert found, f"{option}={value} brings nothing"
        else:
            assert not found, f"{option} is not {value}, yet: {found}"
    if project.options["signing"] == "none":
        assert not [name for name, text in texts.items() if re.search("cosign|sigstore", text, re.IGNORECASE)]


def test_metadata_says_what_was_answered(project: BakedProject) -> None:
    metadata = project.pyproject["project"]
    supported = pythons({**DECLARED, **project.options})
    assert metadata["requires-python"] == f">={supported[0]}"
    listed = [c.rpartition(" ")[2] for c in metadata["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert listed == supported
    licence = project.options["license"]
    assert metadata["license"] == ("LicenseRef-Proprietary" if licence == "Proprietary" else licence)
    assert ("Private :: Do Not Upload" in metadata["classifiers"]) == (project.options["publish"] != "pypi")


def test_dockerfile_passes_hadolint(project: BakedProject, shared_folder: Path) -> None:
    contents = {name: project.read(name) for name in project.files if name == "Dockerfile"}
    assert bool(contents) == (project.options["kind"] == "service")
    checked_once(shared_folder, contents, lambda: check_dockerfile(project))


def test_is_a_git_repository_without_a_commit(project: BakedProject) -> None:
    assert project.run("git", "symbolic-ref", "HEAD").strip() == "refs/heads/main"
    head = subprocess.run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], cwd=project.path, check=False)
    assert head.returncode == 1


def test_pipeline_is_valid_by_gitlabs_schema_and_shellcheck(project: BakedProject, expander: Expander) -> None:
    expander.validate(project.read(".gitlab-ci.yml"))


def test_stages_needs_and_artifacts_resolve(project: BakedProject, expander: Expander) -> None:
    pipeline = load(expander.preview(project.read(".gitlab-ci.yml")))
    stages = pipeline["stages"]
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    assert {"preflight", "lint", "test", "coverage", "build", "sbom"} <= jobs.keys()
    for name, job in jobs.items():
        assert job["stage"] in stages, name
        for need in job.get("needs", []):
            if need.get("optional") and need["job"] not in jobs:
                continue
            assert need["job"] in jobs, f"{name} needs {need['job']}"
            assert stages.index(jobs[need["job"]]["stage"]) <= stages.index(job["stage"])
            artifacts = jobs[need["job"]]["artifacts"]
            assert artifacts.get("paths") or artifacts["reports"]["dotenv"], f"{name} needs artifacts of {need['job']}"
    assert set(stages) - {".post"} == {job["stage"] for job in jobs.values()}
    assert reached(pipeline) <= {"build-image"}


# The events for which a job runs; one that is not here runs for all that start a pipeline.
RELEASING = ["preflight-keyless", "digests", "cosign", "sbom-image", "sign", "sign-image", "attest-pypi", "verify"]
RELEASING += ["verify-image", "publish-signatures", "publish-gitlab", "publish-pypi", "verify-published", "release"]
ONLY_FOR = {
    "drift": {"schedule", "protected schedule"},
    "digests-image": {"branch", "tag"},
    "publish-image": {"branch", "tag"},
    "pages": {"branch"},
    **{name: {"tag"} for name in RELEASING},
}
# The oldest and the newest Python will do, as the default branch tries all of them.
SHORT = {"merge request"}
# The merge request has the pipeline; a release is not made again by the clock.
START_NOTHING = {"branch with a merge request", "schedule on a tag"}


def test_pipeline_runs_the_jobs_of_each_event(project: BakedProject, expander: Expander) -> None:
    answers = {**DECLARED, **project.options}
    expected, running = {}, {}
    for event in EVENTS.keys() - {"another branch", "default branch with a merge request"}:
        jobs = {job.component for job in pipeline(answers) if event in ONLY_FOR.get(job.component, EVENTS)} - {"test"}
        every = pythons(answers)
        tested = {every[0], every[-1]} if event in SHORT else every
        expected[event] = set() if event in START_NOTHING else jobs | {f"test: [{one}]" for one in tested}
        running[event] = set(expander.jobs(project.read(".gitlab-ci.yml"), event))
    assert running == expected
