"""Components in a project that was not made from the template."""

from __future__ import annotations

from pathlib import Path

from tools.commands import run
from tools.components import load
from tools.documents import block, page
from tools.gitlab_ci_local import as_on_gitlab, ask
from tools.runner import Pipe
from tools.samples.package import COMPONENTS, VERSION


def test_test_and_build_need_only_an_include_and_three_inputs(
    another: Path, pipe: Pipe, python: str, warm: dict[str, str]
) -> None:
    included = block(page("docs/components.md"), "## In any project", "yaml")
    here = included.replace('"3.12", "3.13"', f'"{python}"').replace('"3.13"', f'"{python}"')
    assert f"{COMPONENTS}/test@{VERSION}" in here
    (another / ".gitlab-ci.yml").write_text(here, encoding="utf-8")
    done = pipe(another, variables=warm)
    job = f"test: [{python}]"
    assert done.results == {job: "passed", "build": "passed"}, done.output
    assert done.report(job, "junit.xml").exists()
    assert {file.name for file in done.artifact("build", "dist").iterdir()} == {
        "another-2.0-py3-none-any.whl",
        "another-2.0.tar.gz",
    }


def test_runner_tags_and_more_are_set_by_the_name_of_the_job(
    another: Path, gitlab_ci_local: str, components: Path
) -> None:
    documented = block(page("docs/components.md"), "is set by its name", "yaml")
    include = f"include:\n  - component: {COMPONENTS}/test@{VERSION}\n\n"
    (another / ".gitlab-ci.yml").write_text(f"{include}{documented}  timeout: 3 hours\n", encoding="utf-8")
    run("git", "add", "--all", cwd=another)
    env = as_on_gitlab(another, components)
    status, preview = ask(gitlab_ci_local, "--preview", cwd=another, env=env)
    assert status == 0, preview
    (another / "expanded.yml").write_text(preview, encoding="utf-8")
    test = load(another / "expanded.yml")["test"]
    assert (test["tags"], test["timeout"]) == (["large"], "3 hours")
    assert [service["name"] for service in test["services"]] == ["postgres:18"]
    assert test["parallel"]["matrix"] == [{"PY_CI_PYTHON": ["3.13"]}]


def test_a_component_of_your_own_is_tried_by_its_own_pipeline(pipe: Pipe, tmp_path: Path) -> None:
    document = page("docs/components.md")
    written = block(document, "<!-- component -->", "yaml")
    repository = tmp_path / "components"
    for folder in ("templates", "src"):
        (repository / folder).mkdir(parents=True)
    (repository / "templates" / "forbidden-word.yml").write_text(written, encoding="utf-8")
    pipeline = block(document, "<!-- its pipeline -->", "yaml")
    (repository / ".gitlab-ci.yml").write_text(pipeline, encoding="utf-8")
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=repository)
    (repository / "src" / "app.py").write_text("# TODO: everything\n", encoding="utf-8")
    done = pipe(repository)
    assert done.results == {"forbidden-word": "failed"}
    assert done.last_line("forbidden-word") == "Fix the lines above, and take the word out."
