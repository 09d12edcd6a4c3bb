"""What `digests` and `digests-image` take from the jobs before them, and hand on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tools.commands import run
from tools.runner import Pipe
from tools.samples.package import COMPONENTS, VERSION

BUILT = "some_package-1.0.0"
# A pipeline of nothing but the component that takes digests, and jobs that hand on to it what they like.
STUBS = f"""
stages: [build]
include:
  - component: {COMPONENTS}/digests@{VERSION}
    inputs: {{package_name: Some-package}}
  - component: {COMPONENTS}/digests-image@{VERSION}
build:
  stage: build
  script: [mkdir dist, 'cd dist; echo wheel > {BUILT}-py3-none-any.whl; echo sdist > {BUILT}.tar.gz; eval "$BUILD"']
  artifacts: {{paths: [dist/]}}
sbom:
  stage: build
  script: ['echo {{}} > sbom.cdx.json; eval "$SBOM"']
  artifacts: {{paths: [sbom.cdx.json]}}
build-image:
  stage: build
  script: ['echo sha256:{"0" * 64} > image.digest; eval "$IMAGE"']
  artifacts: {{paths: [image.digest]}}
sbom-image:
  stage: build
  script: ['echo {{}} > image-sbom.cdx.json; eval "$IMAGE_SBOM"']
  artifacts: {{paths: [image-sbom.cdx.json]}}
"""


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """A project with that pipeline."""
    project = tmp_path / "stubs"
    project.mkdir()
    (project / ".gitlab-ci.yml").write_text(STUBS, encoding="utf-8")
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=project)
    return project


def test_digests_are_all_that_later_jobs_get_as_variables(stubs: Path, pipe: Pipe) -> None:
    done = pipe(stubs, event="tag")
    assert set(done.results.values()) == {"passed"}, done.output
    assert done.artifact("digests", "SHA256SUMS").read_text(encoding="utf-8").count("\n") == 2
    said: dict[str, str] = {}
    for job, file in (("digests", "digests.env"), ("digests-image", "image.env")):
        text = done.artifact(job, f".gitlab-ci-reports/dotenv/{file}").read_text(encoding="utf-8")
        said |= dict(line.split("=", 1) for line in text.splitlines())
    empty = hashlib.sha256(b"{}\n").hexdigest()
    sums = hashlib.sha256(done.artifact("digests", "SHA256SUMS").read_bytes()).hexdigest()
    assert said == {
        "PY_CI_SHA256SUMS_DIGEST": sums,
        "PY_CI_SBOM_DIGEST": empty,
        "PY_CI_IMAGE_DIGEST": f"sha256:{'0' * 64}",
        "PY_CI_IMAGE_SBOM_DIGEST": empty,
    }


@pytest.mark.parametrize(
    ("job", "attack"),
    [
        ("digests", {"BUILD": f"ln -s /proc/self/environ {BUILT}-py2-none-any.whl"}),
        ("digests", {"BUILD": f"rm *.whl; ln -s ../sbom.cdx.json {BUILT}-py3-none-any.whl"}),
        ("digests", {"BUILD": f"rm *.whl; ln -s /etc/hostname {BUILT}-py3-none-any.whl; echo x > .x.whl"}),
        ("digests", {"BUILD": f"mkdir {BUILT}-py2-none-any.whl; touch {BUILT}-py2-none-any.whl/file"}),
        ("digests", {"BUILD": f"touch '{BUILT}-py2-none-any.whl\n0  b.whl'"}),
        ("digests", {"BUILD": "touch -- '-1.whl; evil'"}),
        ("digests", {"BUILD": "touch evil"}),
        ("digests", {"BUILD": f"touch .{BUILT}-py2-none-any.whl"}),
        ("digests", {"BUILD": "rm *.tar.gz"}),
        ("digests", {"BUILD": "rm *.whl"}),
        ("digests", {"BUILD": "rm *"}),
        ("digests", {"BUILD": "touch requests-99.0-py3-none-any.whl"}),
        ("digests", {"BUILD": "touch some_package-99.0-py3-none-any.whl"}),
        ("digests", {"BUILD": "touch some_package-1.0.0+evil-py3-none-any.whl"}),
        ("digests", {"BUILD": "touch some-package-1.0.0.tar.gz"}),
        ("digests", {"SBOM": "echo evil > sbom.cdx.json"}),
        ("digests", {"SBOM": "ln -sf /etc/hostname sbom.cdx.json"}),
        ("digests-image", {"IMAGE": "ln -sf /etc/hostname image.digest"}),
        ("digests-image", {"IMAGE": "echo LD_PRELOAD=evil >> image.digest"}),
        ("digests-image", {"IMAGE": "echo sha256:0 > image.digest"}),
        ("digests-image", {"IMAGE": "printf 'sha256:%064d\\nsha256:%064d' 1 2 > image.digest"}),
        ("digests-image", {"IMAGE": "printf '\\0' >> image.digest"}),
        ("digests-image", {"IMAGE_SBOM": "echo '{}{}' > image-sbom.cdx.json"}),
        ("digests-image", {"IMAGE": ": > image.digest"}),
        ("digests-image", {"IMAGE_SBOM": "ln -sf /etc/hostname image-sbom.cdx.json"}),
    ],
)
def test_what_is_no_plain_file_or_digest_is_refused(job: str, attack: dict[str, str], stubs: Path, pipe: Pipe) -> None:
    done = pipe(stubs, job, event="tag", variables=dict(attack))
    assert done.results[job] == "failed", done.output
    refused = (f"The jobs build{job.removeprefix('digests')} and sbom", "See which job is named above.")
    assert done.last_line(job).startswith(refused), done.output
