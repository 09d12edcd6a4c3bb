"""The defaults of an organisation, as `docs/adopting.md` sets them for an imagined one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from cookiecutter.main import cookiecutter
from pip._internal.models.index import PyPI

from tools.commands import commit_all, run
from tools.components import inputs_of, load
from tools.documents import ADOPTING, block
from tools.expander import Expander
from tools.options import DEFAULTS
from tools.samples.baked import BakedProject
from tools.template import tagged_copy

# In a fork, these are to be the values of its own `cookiecutter.json`.
OURS = json.loads(block(ADOPTING, "<!-- organisation -->", "json"))
# Services of everybody; the addresses of documents are none.
PUBLIC = re.compile(
    rf"(?<!docs\.)gitlab\.com|docker\.io|quay\.io|ghcr\.io|github\.com|{PyPI.netloc}|{PyPI.file_storage_domain}|"
    r"(?<![\w.-]/)\b(astral/uv|library/python|buildah/stable|skopeo/stable)"
)


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fork of the template with these defaults."""
    folder = tagged_copy(tmp_path_factory.mktemp("fork") / "py-ci-template")
    file = folder / "cookiecutter.json"
    declared = json.loads(file.read_text(encoding="utf-8"))
    assert not OURS.keys() - declared.keys()
    file.write_text(json.dumps({**declared, **OURS}), encoding="utf-8")
    commit_all(folder, "Set our defaults")
    run("git", "remote", "add", "origin", "https://gitlab.example.org/platform/py-ci-template.git", cwd=folder)
    return folder


@pytest.fixture(params=["components", "self-contained"])
def project(request: pytest.FixtureRequest, fork: Path, tmp_path: Path) -> BakedProject:
    """A project that somebody of the organisation makes without an answer."""
    made = cookiecutter(str(fork), no_input=True, output_dir=str(tmp_path), extra_context={"pipeline": request.param})
    return BakedProject(Path(made), {**DEFAULTS, "pipeline": request.param})


def test_nothing_leads_out_of_the_organisation(project: BakedProject, expander: Expander) -> None:
    """Components have the defaults of the template, which are for everybody: they are looked at as they run."""
    for name in project.files - {"LICENSE", ".cruft.json"}:
        if not name.startswith(".gitlab/ci/"):
            assert not PUBLIC.findall(project.read(name)), name
    pipeline = expander.preview(project.read(".gitlab-ci.yml")).read_text(encoding="utf-8")
    assert not PUBLIC.findall(pipeline)


def test_the_defaults_are_those_of_the_organisation(project: BakedProject) -> None:
    pythons, tags = OURS["_python_versions"], OURS["_runner_tags"]
    metadata = project.pyproject["project"]
    assert metadata["requires-python"] == f">={pythons[0]}"
    assert metadata["license"].removeprefix("LicenseRef-") == OURS["license"][0]
    assert metadata["authors"] == [{"name": OURS["author_name"], "email": OURS["author_email"]}]
    assert metadata["urls"]["Homepage"] == f"https://{OURS['gitlab_host']}/{OURS['gitlab_namespace']}/my-service"
    assert f"ARG PYTHON_IMAGE={OURS['_python_image']}:{pythons[-1]}-slim\n" in project.read("Dockerfile")
    assert ("COSIGN_PRIVATE_KEY" in project.read("README.md")) == (OURS["signing"][0] == "key")
    assert yaml.safe_load(project.read(".gitlab-ci.yml"))["default"] == {"tags": tags}


def test_each_job_has_the_inputs_of_the_organisation(project: BakedProject, expander: Expander) -> None:
    pipeline = project.read(".gitlab-ci.yml")
    address = re.compile(rf"\$CI_SERVER_FQDN/{OURS['_component_project']}/([\w-]+)@[\d.]+")
    if project.options["pipeline"] == "components":
        for included in yaml.safe_load(pipeline)["include"]:
            found = address.fullmatch(included["component"])
            assert found, included
            wanted = {key: value for key, value in OURS["_component_inputs"].items() if key in inputs_of(found[1])}
            assert {key: included.get("inputs", {}).get(key) for key in wanted} == wanted
        return
    expander.validate(pipeline)
    images = {value for key, value in OURS["_component_inputs"].items() if key.endswith("_image")}
    jobs = {name: job for name, job in load(expander.preview(pipeline)).items() if "script" in job}
    for name, job in jobs.items():
        assert (job["image"] if isinstance(job["image"], str) else job["image"]["name"]) in images, name
    assert jobs["cosign"]["variables"]["PY_CI_COSIGN_RELEASES"] == OURS["_component_inputs"]["cosign_releases"]
