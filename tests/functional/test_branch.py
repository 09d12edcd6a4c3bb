"""The pipelines of a branch and of a merge request, from a project as it was baked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.commands import commit_all, run
from tools.gitlab_ci_local import arguments_of, as_on_gitlab, ask, names_of
from tools.options import DEFAULTS, SWITCHES, Combination, covering_combinations, name_of
from tools.reports import junit, xml
from tools.runner import TARGET, Pipe, set_refs
from tools.samples.baked import TESTS, Bake
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.registry import Registry


def asks_registry(options: Combination) -> bool:
    """Tell whether releases use the package registry of the project: signatures go there, wherever the package goes."""
    return options["publish"] == "gitlab" or "none" not in (options["publish"], options["signing"])


# An image is the same whatever the rest is; what the other jobs of a branch do depends on three things, by twos.
COVERING = [
    pytest.param({**options, "kind": kind}, "branch", id=f"{kind}, {name_of({**options, 'kind': DEFAULTS['kind']})}")
    for options in {(each["test_runner"], asks_registry(each)): each for each in covering_combinations()}.values()
    for kind in [["command", "library"][(options["test_runner"] == "pytest") == asks_registry(options)]]
]
IMAGES = [
    pytest.param({**DEFAULTS, "pipeline": flavour}, event, id=f"{flavour}, {event}")
    for flavour, event in zip(SWITCHES["pipeline"], ("branch", "merge request"), strict=True)
]


@pytest.mark.parametrize(("options", "event"), COVERING + IMAGES)
def test_every_job_of_a_fresh_project_passes(
    options: Combination,
    event: str,
    request: pytest.FixtureRequest,
    bake: Bake,
    pipe: Pipe,
    pythons: dict[str, Path],
    gitlab: GitLab,
    warm: dict[str, str],
) -> None:
    # The oldest and the newest, or the one that there is.
    supported = sorted({next(iter(pythons)), next(reversed(pythons))})
    project = bake(**{**options, "_python_versions": supported, "python_version": supported[0]})
    if event == "merge request":
        # One that brings all files.
        commit_all(project.path)
        tree = run("git", "mktree", cwd=project.path).strip()
        author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        empty = run("git", *author, "commit-tree", tree, "-m", "Begin", cwd=project.path)
        run("git", "update-ref", TARGET, empty.strip(), cwd=project.path)
    here = gitlab.add_project("your-group/my-service", project.path)
    variables = {**gitlab.variables(here), **warm, "GITLAB_USER_NAME": "Ada"}
    tests = [f"test: [{python}]" for python in supported]
    jobs = ["preflight", "lint", *tests, "coverage", "build", "sbom"]
    if options["docs"]:
        jobs += ["docs"] + ["pages"] * (event == "branch")
    if options["kind"] == "service":
        registry: Registry = request.getfixturevalue("registry")
        registry.offer(request.getfixturevalue("podman").base, here)
        variables |= registry.variables(here)
        jobs += ["build-image"] + ["digests-image", "publish-image"] * (event == "branch")
        done = pipe(project.path, event=event, executor=request.getfixturevalue("imaging"), variables=variables)
        pushes = registry.requests("/my-service/manifests/", method="PUT")
        commit = run("git", "rev-parse", "HEAD", cwd=project.path).strip()
        names = {push.path.rpartition("/")[2] for push in pushes}
        assert names == ({commit, "main"} if event == "branch" else set()), done.output
    else:
        done = pipe(project.path, event=event, variables=variables)
    assert done.results == dict.fromkeys(jobs, "passed"), done.output
    assert "Thank you, Ada!" in done.log("preflight")
    assert bool(gitlab.requests("/packages$", status=200)) == asks_registry(options)
    assert done.coverage == "100%"
    for job in tests:
        expected = {"passed": TESTS[options["kind"]][options["test_runner"]], "failed": 0, "skipped": 0}
        assert junit(done.report(job, "junit.xml")) == expected
    assert json.loads(done.report("lint", "gl-code-quality-report.json").read_text(encoding="utf-8")) == []
    cobertura = xml(done.report("coverage", "coverage.xml"))
    assert cobertura.attrib["line-rate"] == "1"
    assert {line.attrib["filename"] for line in cobertura.iter("class")} == {
        name for name in project.files if name.startswith("src/") and name.endswith(".py")
    }, "GitLab shows coverage where these are paths of the repository"
    dist = done.artifact("build", "dist")
    assert len(list(dist.glob("my_service-*.whl"))) == len(list(dist.glob("my_service-*.tar.gz"))) == 1
    materials = json.loads(done.artifact("sbom", "sbom.cdx.json").read_text(encoding="utf-8"))
    assert materials["bomFormat"] == "CycloneDX"
    (itself,) = [part for part in materials["components"] if part["name"] == "my-service"]
    assert (dist / f"my_service-{itself['version']}.tar.gz").exists()


# What a merge request changes, and the jobs that this could break beside those that it could always break.
CHANGES = {
    "src/my_service/app.py": set(),
    "tests/test_app.py": set(),
    "Dockerfile": {"build-image"},
    "pyproject.toml": {"build-image", "sbom"},
    "uv.lock": {"sbom"},
    # The build may read the dependencies of the package from such files.
    "requirements.in": {"build-image", "sbom"},
    "packages/api/requirements/base.txt": {"build-image", "sbom"},
    "build-requirements.txt": set(),
    ".gitlab/ci/lint.yml": {"build-image", "preflight", "sbom"},
    ".gitlab-ci.yml": {"build-image", "preflight", "sbom"},
}


def test_a_merge_request_runs_what_it_could_break(bake: Bake, gitlab_ci_local: str, components: Path) -> None:
    project = bake().path
    commit_all(project)
    run("git", "update-ref", TARGET, "HEAD", cwd=project)
    set_refs(project)
    env = as_on_gitlab(project, components)
    ran = {}
    for name in CHANGES:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        with (project / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        commit_all(project)
        _, listed = ask(gitlab_ci_local, "--list-json", *arguments_of("merge request"), cwd=project, env=env)
        ran[name] = set(names_of(listed))
        run("git", "reset", "--quiet", "--hard", "HEAD~1", cwd=project)
    always = {"lint", "test: [3.11]", "test: [3.15]", "coverage", "build"}
    assert ran == {name: always | also for name, also in CHANGES.items()}
