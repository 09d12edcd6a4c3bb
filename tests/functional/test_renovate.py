"""Every version of this repository is one that Renovate sees, and what it does in a project."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from werkzeug.wrappers import Request, Response

from tools.commands import commit_all, run
from tools.components import component
from tools.options import COMPONENT_PROJECT, DECLARED, ROOT, all_combinations
from tools.renovate import Renovate, find_renovate
from tools.samples.baked import Bake, edit
from tools.stand_ins.cosign import pinned_version
from tools.stand_ins.server import Server
from tools.stand_ins.tls import make_certificate
from tools.template import edit as edit_file
from tools.template import render

CONFIGURATION = json.loads((ROOT / "renovate.json").read_text(encoding="utf-8"))
MATRIX = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text(encoding="utf-8"))["test"]["parallel"]["matrix"][0]

# What looks like a pin, whatever Renovate is told to look for.
VERSION = r"v?\d+(?:\.\d+)+(?:[-.+]?\w+)*"
PINS = (
    r"[\w\]][=~]=(?P<pin>\d[\w.]*)",
    r"[\w-]@(?P<pin>v?\d[\w.+-]*)",
    r"\b[a-z][\w./-]*:(?P<pin>[a-z]*\d+\.\d+(?!\d*f})[\w.-]*)",
    # That of a package goes with its version, a pin in the same line or above: with another, it is refused.
    r"\b(?<!--hash=sha256:)(?P<pin>[0-9a-f]{64})\b",
    r"\brev: *(?P<pin>\S+)",
    r"^\t(?:require )?\S+ (?P<pin>v\d\S+)",
)
# In tests, what is written so is what they test with.
OUTSIDE_OF_TESTS = (
    r"[\w\]]>=(?P<pin>\d[\w.]*)",
    rf"[\"'](?P<pin>{VERSION})[\"']",
    rf"^ *[\w-]+: (?P<pin>{VERSION})(?: |$)",
)
# What says what was, what is made of another file, and what is compared here.
NOT_READ = (
    r"(.+/)?(CHANGELOG\.md|go\.sum|package-lock\.json)|docs/results(/.+|\.md)|docs/pictures/.+|scripts/locks/.+\.txt"
    r"|renovate\.json|tests/functional/test_renovate\.py"
)
COPIED_LOCK = re.compile(r"# >>> (scripts/locks/\S+)\n.*?# <<< \1\n", re.DOTALL)
# What is no pin, and why: files and versions.
EXCEPTIONS = {
    "the version of the template, which its release changes": (r".+", re.escape(DECLARED["_component_version"])),
    "the next one, to which a test updates": (r"tests/functional/test_updates\.py", r"0\.2\.0"),
    "the version of an example, or of a project": (
        r"(benchmarks|docs|tests|tools|.+project_slug.+)/.+",
        r"v?1\.0\.[01](\.json|-candidate)?|0\.0\.0|2\.0",
    ),
    "the loopback interface": (r"(tests|tools|templates/kinds)/.+|.+/Dockerfile", r"127\.0\.0\.1"),
    "the older Pythons: a newer one comes after them": (
        r"cookiecutter\.json",
        "|".join(map(re.escape, DECLARED["_python_versions"][:-1])),
    ),
    "the older ones of the matrix": (r"\.gitlab-ci\.yml", "|".join(map(re.escape, MATRIX["PY_CI_PYTHON"][:-1]))),
    "a supported Python, any of which will do": (r"(.+/)?README\.md|(docs|tests|tools)/.+", r"(python)?3\.\d+(-\S+)?"),
    "a package of an example": (r"docs/.+|tools/samples/.+", r"\d+|5\.2|6\.0"),
    "the lower bounds of the template, once more": (r"docs/existing\.md", r"0\.23|0\.9|1\.15"),
    "what projects say that the template did not make": (
        r"tools/samples/existing\.py|tests/unit/test_adopt\.py",
        r"\d+(\.\d+){1,2}",
    ),
    "the oldest pytest, once more": (r".+project_slug.+/pyproject\.toml", r"8\.3"),
    "the oldest GitLab and its runner": (r"(scripts/preflight\.py|templates/preflight\.yml)", r"1[78]\.3"),
    "what the stand-in says that it is": (r"tools/stand_ins/gitlab\.py", r"19\.4\.1-ee"),
    "a text or file that never changes": (r"tests/unit/test_licences\.py|tests/.+/SHA256SUMS", r"[0-9a-f]{64}"),
}
# What stays as it is, and why: descriptions in renovate.json say it.
KEPT = {
    ("pyproject.toml", "check-jsonschema", "==0.33.3"),
    (".gitlab-ci.yml", "cookiecutter", "2.6.0"),
    ("tests/functional/components/test_audit.py", "idna", "3.6"),
    ("tests/functional/components/test_audit.py", "iniconfig", "2.1.0"),
    ("tests/functional/components/test_build_image.py", "iniconfig", "2.1.0"),
    ("tests/unit/test_scripts.py", "zope-interface", "7.2"),
}
HOSTS = ("gitlab.com", "gitlab.example.com:8443/gitlab")
# One of each kind that nobody looks for.
UNSEEN = """
python3 -m pip install 'unseen==1.2.3' "unseen[all]~=1.2"
npm install unseen@1.2.3
image: registry.example.org/unseen:v1.2
DIGEST=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    rev: v1.2.3
VERSION = "1.2.3"
UNSEEN_VERSION: v1.2.3
requires = ["unseen>=1.2"]
"""


class GitHub(Server):
    """A GitHub with the releases of Cosign, each with its checksums."""

    releases: dict[str, str]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def respond(self, request: Request, path: str) -> Response:
        """Return its releases, one of them, or the checksums of one."""
        tag = path.rpartition("/")[2]
        if path == "/api/graphql":
            nodes = [
                {"version": tag, "url": self.url, "id": 1, "name": tag, "description": None}
                | {"releaseTimestamp": "2026-01-01T00:00:00Z", "isDraft": False, "isPrerelease": False}
                for tag in self.releases
            ]
            releases = {"nodes": nodes, "pageInfo": {"hasNextPage": False, "endCursor": None}}
            answer: dict[str, Any] = {"data": {"repository": {"isRepoPrivate": False, "payload": releases}}}
        elif path == f"/api/v3/repos/sigstore/cosign/releases/tags/{tag}":
            sums = {"name": "cosign_checksums.txt", "size": 100, "browser_download_url": f"{self.url}/sums/{tag}"}
            answer = {"tag_name": tag, "html_url": f"{self.url}/{tag}", "assets": [sums]}
        elif path == f"/sums/{tag}":
            return Response(self.releases[tag])
        else:
            return self.refuse(404)
        return Response(json.dumps(answer), content_type="application/json")


class GitLab(Server):
    """A GitLab with two projects of components, whose newest version is 9.0.0."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._certificate = make_certificate(folder)

    def certificate(self) -> tuple[str, str]:
        """It talks TLS: Renovate asks no other."""
        return self._certificate.pair

    @property
    def trusted(self) -> Path:
        """The certificates of those who may answer."""
        return self._certificate.trusted

    def respond(self, request: Request, path: str) -> Response:
        """Return the tags of a project."""
        if not re.fullmatch(r"/api/v4/projects/(org%2Fpy-ci-template|other%2Ftools)/repository/tags", path):
            return self.refuse(404)
        commit = {"id": "0" * 40, "created_at": "2026-01-01T00:00:00Z"}
        tags = [{"name": name, "commit": commit} for name in ("1.0.0", "9.0.0")]
        return Response(json.dumps(tags), content_type="application/json")


@pytest.fixture(scope="session")
def renovate(request: pytest.FixtureRequest) -> Renovate:
    """The program."""
    assert request.config.cache
    return find_renovate(request.config.cache.mkdir("renovate"))


@pytest.fixture
def repository(template_repository: Path, tmp_path: Path) -> Path:
    """A clean checkout of this repository."""
    run("git", "clone", "--quiet", template_repository, tmp_path / "checkout")
    return tmp_path / "checkout"


def pins(repository: Path) -> Counter[tuple[str, str]]:
    """Return each version in the files of a repository, with its file, that is none of the exceptions."""
    found: Counter[tuple[str, str]] = Counter()
    for file in filter(None, run("git", "ls-files", "-z", cwd=repository).split("\0")):
        if re.fullmatch(NOT_READ, file):
            continue
        patterns = PINS if file.startswith("tests/") else PINS + OUTSIDE_OF_TESTS
        text = COPIED_LOCK.sub("", (repository / file).read_text(encoding="utf-8", errors="replace"))
        for line in text.splitlines():
            # Two patterns may find the same place.
            places = {each.span("pin"): each["pin"] for pattern in patterns for each in re.finditer(pattern, line)}
            found.update((file, value) for value in places.values() if not excepted(file, value))
    return found


def excepted(file: str, value: str) -> bool:
    """Tell whether a version is no pin."""
    return any(re.fullmatch(files, file) and re.fullmatch(values, value) for files, values in EXCEPTIONS.values())


def unseen(renovate: Renovate, repository: Path) -> list[tuple[str, str]]:
    """Return each version, with its file, that Renovate does not see."""
    found = Counter((each.file, value.lstrip("=>~ ")) for each in renovate.see(repository) for value in each.values)
    return sorted((pins(repository) - found).elements())


def test_it_sees_every_pin(renovate: Renovate, repository: Path) -> None:
    assert len(pins(repository)) > 100
    assert not unseen(renovate, repository)


def test_a_pin_that_it_does_not_see_is_found(renovate: Renovate, repository: Path) -> None:
    (repository / "hooks" / "unseen.sh").write_text(UNSEEN, encoding="utf-8")
    edit_file(repository / "templates" / "cosign.yml", " # sigstore/cosign", "")
    run("git", "add", "--all", cwd=repository)
    found = unseen(renovate, repository)
    values = ["1.2", "1.2", "1.2.3", "1.2.3", "1.2.3", "v1.2", "v1.2.3", "v1.2.3", "0123456789abcdef" * 4]
    lost = ("templates/cosign.yml", checksums()["amd64"])
    assert found == sorted([*(("hooks/unseen.sh", value) for value in values), lost])


def test_expressions_are_of_its_engine() -> None:
    """Where its engine RE2 is missing, as here, that of JavaScript takes more."""
    for manager in CONFIGURATION["customManagers"]:
        for expression in manager["matchStrings"]:
            assert not re.search(r"\(\?<?[=!]|\\\d", expression), expression


def checksums() -> dict[str, str]:
    """Return the checksums of Cosign that the component pins, by architecture."""
    found = re.findall(r"PY_CI_COSIGN_SHA256_(\w+): (\w+)", component("cosign"))
    return {architecture.lower(): value for architecture, value in found}


def test_it_moves_both_checksums_with_cosign_and_leaves_what_is_old_on_purpose(
    renovate: Renovate, repository: Path
) -> None:
    old, new = pinned_version(), "v3.99.0"
    now = {architecture: sha256(architecture.encode()).hexdigest() for architecture in checksums()}
    with GitHub() as github:
        github.releases = {
            tag: "".join(f"{value}  cosign-linux-{architecture}\n" for architecture, value in sums.items())
            for tag, sums in ((new, now), (old, checksums()))
        }
        rule = {"matchDepNames": ["sigstore/cosign"], "registryUrls": [github.url]}
        configuration = {**CONFIGURATION, "packageRules": [*CONFIGURATION["packageRules"], rule]}
        (repository / "renovate.json").write_text(json.dumps(configuration), encoding="utf-8")
        found = renovate.see(repository, "lookup", github.url)
    cosign = [each for each in found if each.name == "sigstore/cosign"]
    # The comments at the checksums name the version that is pinned.
    assert [each.values for each in cosign] == [(old,), *((old, value) for value in checksums().values())]
    updates = [update for each in cosign for update in each.updates]
    assert [update["newValue"] for update in updates] == [new] * 3
    assert [update.get("newDigest") for update in updates] == [None, *now.values()]
    assert len({update["branchName"] for update in updates}) == 1
    runner = "tools/gitlab_runner/program/"
    kept = {
        (each.file, each.name, each.values[0])
        for each in found
        if each.skipped == "disabled" and not each.file.startswith(runner)
    }
    assert kept == KEPT
    of_runner = [each for each in found if each.file.startswith(runner)]
    assert of_runner
    assert {each.skipped for each in of_runner} <= {"disabled", "local-dependency"}
    assert not any(each.updates for each in found if each not in cosign)


def test_its_configurations_are_valid(renovate: Renovate, tmp_path: Path) -> None:
    """Those of projects too, each as often as it differs."""
    texts = {
        render("renovate.json", {**options, "gitlab_host": host}) for options in all_combinations() for host in HOSTS
    }
    assert len(texts) == 2 * len(HOSTS)
    files = [ROOT / "renovate.json", ROOT / "bot" / "preset.json"]
    for number, text in enumerate(sorted(texts)):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(text, encoding="utf-8")
    renovate.validate(*files)
    files[0] = tmp_path / "wrong.json"
    files[0].write_text('{"packageRules": [{"enabeld": false}]}', encoding="utf-8")
    with pytest.raises(AssertionError, match="enabeld"):
        renovate.validate(*files)


@pytest.fixture
def gitlab(tmp_path: Path) -> Iterator[GitLab]:
    """The GitLab of a project."""
    with GitLab(tmp_path) as server:
        yield server


@pytest.mark.parametrize("pipeline", ["self-contained", "components"])
def test_it_leaves_to_the_template_what_is_of_the_template(
    pipeline: str, bake: Bake, gitlab: GitLab, renovate: Renovate, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = bake(pipeline=pipeline, gitlab_host=f"localhost:{gitlab.port}")
    other = "include:\n  - component: $CI_SERVER_FQDN/other/tools/check@1.0.0\n"
    edit(project, ".gitlab-ci.yml", "include:\n", other)
    job = "\nown:\n  image: python:3.12-slim\n  script: [pytest]\n"
    for file in (".gitlab-ci.yml", *((".gitlab/ci/lint.yml",) if pipeline == "self-contained" else ())):
        (project.path / file).write_text(project.read(file) + job, encoding="utf-8")
    commit_all(project.path)
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(gitlab.trusted))
    seen = renovate.see(project.path, "lookup", f"https://localhost:{gitlab.port}")
    found = {(each.file, each.name): each for each in seen}
    # Components of others, and jobs of the project.
    (update,) = found[".gitlab-ci.yml", "other/tools"].updates
    assert update["newValue"] == "9.0.0"
    assert not found[".gitlab-ci.yml", "python"].skipped
    base = found["Dockerfile", DECLARED["_python_image"]]
    assert (base.values, base.skipped) == ((f"{DECLARED['_python_versions'][-1]}-slim",), "")
    # What is updated together with the template's files.
    of_template = {
        "self-contained": (".gitlab/ci/lint.yml", "python"),
        "components": (".gitlab-ci.yml", COMPONENT_PROJECT),
    }
    assert found[of_template[pipeline]].skipped == "disabled"
    assert found["build-requirements.txt", "setuptools"].skipped == "disabled"
    assert {pipeline for pipeline, key in of_template.items() if key in found} == {pipeline}
    # Without a lock too, all that pyproject.toml names.
    packages = {name for file, name in found if file == "pyproject.toml"}
    assert packages >= {"python", "setuptools", "setuptools-scm", "pytest", "ruff", "tox-uv"}


def test_it_sees_the_lock(bake: Bake, renovate: Renovate) -> None:
    project = bake(kind="command")
    edit(project, "pyproject.toml", "dependencies = []", 'dependencies = ["idna>=3"]')
    project.run("uv", "lock", "--quiet", "--upgrade-package=idna==3.7")
    commit_all(project.path)
    (idna,) = (each for each in renovate.see(project.path) if each.name == "idna")
    assert (idna.file, idna.values, idna.lock_files, idna.locked) == ("pyproject.toml", (">=3",), ("uv.lock",), "3.7")
