"""The programs of jobs: their functions, and how their text gets into the components."""

from __future__ import annotations

import base64
import importlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from scripts import (
    attestations,
    audit,
    gitlab_api,
    outside,
    plain_files,
    preflight,
    reproducible_sdist,
    unambiguous_json,
)
from scripts.__main__ import LOCKS, ROOT, brought_up_to_date, text_of
from tools.components import component, component_names

JOB = {
    "CI_API_V4_URL": "https://gitlab.example.com/api/v4",
    "CI_PROJECT_ID": "7",
    "CI_PROJECT_URL": "https://gitlab.example.com/group/project",
    "CI_JOB_TOKEN": "a-token",
    "CI_COMMIT_TAG": "v1.2.3",
    "PY_CI_PACKAGE_NAME": "My.Package",
    "UV_HTTP_TIMEOUT": "5",
}
PARTS = {
    str(path.relative_to(ROOT / "scripts")): path.read_text(encoding="utf-8")
    for path in [*sorted((ROOT / "scripts").glob("*.*")), *sorted(LOCKS.glob("*.txt"))]
    if path.name[0] != "_"
}
PROGRAMS = [name for name, text in PARTS.items() if 'if __name__ == "__main__":' in text]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that imports a program which reads the variables of its job."""
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    return lambda name: importlib.reload(importlib.import_module(f"scripts.{name}"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_one_text_that_needs_nothing_beside_it(name: str, tmp_path: Path) -> None:
    text = text_of(f"scripts/{name}")
    assert "from scripts" not in text
    assert "\n\n\n" not in text
    defined = [line for line in text.splitlines() if line.startswith(("def ", "class "))]
    assert len(defined) == len(set(defined)), "a module is taken in once"
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    # Its names resolve without the folder that they come from.
    check = "import ast, sys; compile(ast.parse(open(sys.argv[1], encoding='utf-8').read()), sys.argv[1], 'exec')"
    subprocess.run([sys.executable, "-I", "-c", check, tmp_path / "program.py"], check=True)


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_in_a_component_or_the_bot_takes_it(name: str) -> None:
    texts = "".join(map(component, component_names()))
    imported = f"from scripts.{name.removesuffix('.py')} import" in "".join(PARTS.values())
    bot = (ROOT / "bot" / "install.sh").read_text(encoding="utf-8")
    assert f"# >>> scripts/{name}\n" in texts or imported or f"/scripts/{name}" in bot


def test_a_part_that_changed_is_written_anew() -> None:
    old = "  script:\n    - |\n      # >>> scripts/remedy.sh\n      old\n      # <<< scripts/remedy.sh\n    - true\n"
    new = brought_up_to_date(old)
    assert "old" not in new
    assert "      trap '" in new
    assert new.endswith("      # <<< scripts/remedy.sh\n    - true\n")
    assert brought_up_to_date(new) == new


def test_a_part_brings_the_lock_that_it_takes_in() -> None:
    old = "    - |\n      # >>> scripts/uv.sh\n      old\n      # <<< scripts/uv.sh\n"
    new = brought_up_to_date(old)
    assert "".join(f"      {line}\n" for line in PARTS["locks/uv.txt"].splitlines()) in new
    assert brought_up_to_date(new) == new
    assert "--hash" not in PARTS["uv.sh"], "a lock stands in one place"


def test_locks_are_those_of_what_is_asked_for() -> None:
    groups = tomllib.loads((LOCKS / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    assert {path.stem for path in LOCKS.glob("*.txt")} == groups.keys()
    for group, tools in groups.items():
        pinned = re.findall(r"^(\S+==\S+)", PARTS[f"locks/{group}.txt"], re.MULTILINE)
        assert {*tools} <= {*pinned}, f"{group}: run: python -m scripts --lock"


@pytest.mark.parametrize(
    ("address", "header"),
    [
        ("https://gitlab.example.com/api/v4/projects/7/packages/generic/x", {"JOB-TOKEN": "a-token"}),
        (
            "https://gitlab.example.com/api/v4/projects/7/packages/pypi/simple/x",
            {"Authorization": f"Basic {base64.b64encode(b'gitlab-ci-token:a-token').decode()}"},
        ),
        ("https://gitlab.example.com/api/v4/projects/70/packages/pypi/simple/x", {}),
        (
            "https://gitlab.example.com/group/project.git/info/refs",
            {"Authorization": f"Basic {base64.b64encode(b'gitlab-ci-token:a-token').decode()}"},
        ),
        ("https://gitlab.example.com/group/project.github/info/refs", {}),
        ("https://gitlab.example.com/group/other.git/info/refs", {}),
        ("https://gitlab.example.com.evil/api/v4/projects/7/x", {}),
        ("http://gitlab.example.com/api/v4/projects/7/x", {}),
        ("https://storage.example.com/x", {}),
    ],
)
def test_the_token_is_for_the_project_only(
    address: str, header: dict[str, str], load: Callable[[str], ModuleType]
) -> None:
    load("gitlab_api")
    assert gitlab_api.login(address) == header


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://example.com/x", "/etc/hostname", "http://["])
def test_only_addresses_of_http_are_asked(address: str, load: Callable[[str], ModuleType]) -> None:
    module = load("gitlab_api")
    with pytest.raises(module.RequestError):
        module.attempt("GET", address, None, {})


ODD_TEXTS = [b"{", b"[]", b"1", b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b"\xff", b"[" * 10**5]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_what_is_no_object_of_json_or_says_two_things_is_refused(text: bytes) -> None:
    with pytest.raises(unambiguous_json.ODD):
        unambiguous_json.read(text)


def test_a_bundle_has_the_one_form_that_the_jobs_make(tmp_path: Path) -> None:
    payload = base64.b64encode(json.dumps({"predicate": {"a": 1}}).encode()).decode()
    bundle = {"mediaType": "x", "verificationMaterial": {}, "dsseEnvelope": {"payload": payload}}
    file = tmp_path / "bundle"
    file.write_text(json.dumps(bundle), encoding="utf-8")
    assert attestations.attested(file) == {"a": 1}
    for odd in ({**bundle, "base64Signature": "x"}, {"dsseEnvelope": bundle["dsseEnvelope"]}):
        file.write_text(json.dumps(odd), encoding="utf-8")
        with pytest.raises(ValueError, match="not such a bundle"):
            attestations.attested(file)
    file.write_text(json.dumps({**bundle, "dsseEnvelope": {"payload": f"!{payload}"}}), encoding="utf-8")
    with pytest.raises(ValueError, match="base64"):
        attestations.attested(file)


def test_a_link_is_no_plain_file_and_its_target_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("secret", encoding="utf-8")
    link.symlink_to(target)
    for path in (link, tmp_path, tmp_path / "missing"):
        with pytest.raises(SystemExit):
            plain_files.content(path)
    plain_files.write(link, "new")
    assert (target.read_text(encoding="utf-8"), link.read_text(encoding="utf-8")) == ("secret", "new")
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    plain_files.write(folder, b"a file")
    assert plain_files.content(folder) == b"a file"


def sdist(*names: str, time: int, user: str) -> bytes:
    """Return a source distribution whose files are of a time and a user."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname = 1, time, user
            tar.addfile(member, io.BytesIO(b"x"))
    return archive.getvalue()


def test_the_same_files_give_the_same_source_distribution() -> None:
    ours = reproducible_sdist.packed(sdist("a", "b", time=1, user="ada"), 5)
    assert ours == reproducible_sdist.packed(sdist("b", "a", time=2, user="bob"), 5)
    assert ours != reproducible_sdist.packed(sdist("b", "a", time=2, user="bob"), 6)
    assert ours != reproducible_sdist.packed(sdist("a", "c", time=1, user="ada"), 5)
    with tarfile.open(fileobj=io.BytesIO(ours)) as tar:
        assert [(member.name, member.mtime, member.uname) for member in tar] == [("a", 5, ""), ("b", 5, "")]


@pytest.mark.parametrize(
    ("name", "version", "same"),
    [
        ("my-package", "1.2.3", True),
        ("MY_package", "v1.2.3+evil", True),
        ("my-package", "1.2.3.0", True),
        ("my-package", "1.2.4", False),
        ("my-package-two", "1.2.3", False),
    ],
)
def test_packages_are_alike_as_pip_compares_them(
    name: str, version: str, same: bool, load: Callable[[str], ModuleType]
) -> None:
    module = load("publish_signatures")
    assert (module.alike(name, version) == module.alike("My.Package", "1.2.3")) == same


CHANGELOG = """# Changes

## Unreleased

- Soon.

## 1.2.3.post1

- Not this.

## [1.2.3] - 2026-11-24

- This.

## 1.2.3-rc1

- Nor this.
"""


def test_the_changes_are_those_of_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[[str], ModuleType]
) -> None:
    module = load("release")
    monkeypatch.chdir(tmp_path)
    assert module.changes() == ""
    Path("CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    assert module.changes() == "- This."


def test_a_changelog_that_leads_out_of_the_repository_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[[str], ModuleType]
) -> None:
    module = load("release")
    (tmp_path / "repository" / "docs").mkdir(parents=True)
    (tmp_path / "secret").write_text(CHANGELOG, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "repository")
    Path("CHANGELOG.md").symlink_to("../secret")
    assert module.changes() == ""
    Path("CHANGELOG.md").unlink()
    Path("docs/changes.md").write_text(CHANGELOG, encoding="utf-8")
    Path("CHANGELOG.md").symlink_to("docs/changes.md")
    assert module.changes() == "- This."


def test_the_table_of_preflight_has_a_remedy_below_what_failed() -> None:
    printed = preflight.table("Ada", [("image", ("python", None)), ("tag", ("v1", "Push another."))])
    assert printed.splitlines()[2:] == [
        "  ok    image     python",
        "  FAIL  tag       v1",
        "                -> Push another.",
        "                   See py-ci-template/docs/troubleshooting.md#preflight-tag",
        "",
        "1 check failed.",
    ]


OWN = {"name": "My_Service", "version": "1.0", "purl": "pkg:pypi/my-service"}


def test_a_bill_of_materials_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    """Dependencies ran where it was made, so anything may stand in it."""
    components = [
        OWN,
        {"name": "Zope.Interface", "version": "7.02", "purl": "pkg:pypi/zope-interface"},
        {"name": "evil\n--index-url=https://example.com", "version": "1", "purl": "pkg:pypi/evil"},
        {"name": "evil", "version": "1 --hash=sha256:0", "purl": "pkg:pypi/evil"},
        {"name": "evil", "version": "1-of-a-kind", "purl": "pkg:pypi/evil"},
        {"name": "\x1b[2Kfrom-git", "version": "1", "purl": "pkg:github/a/b"},
    ]
    assert list(audit.packages({"components": components}, "my-service")) == ["zope-interface==7.2"]
    assert capsys.readouterr().out.splitlines() == [
        "evil--index-url=https://example.com 1 is of no package index, and is not looked up.",
        "evil 1 --hash=sha256:0 is of no package index, and is not looked up.",
        "evil 1-of-a-kind is of no package index, and is not looked up.",
        "[2Kfrom-git 1 is of no package index, and is not looked up.",
    ]


@pytest.mark.parametrize("bill", ["", "[]", "{}", '{"components": {"a": 1}}', '{"components": [1]}'])
def test_what_is_no_bill_of_materials_is_said(bill: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["audit", "--service=https://example.com", "--on-finding=warn"])
    Path("sbom.cdx.json").write_text(bill, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"^sbom\.cdx\.json is no bill of materials\.$"):
        audit.main()


@pytest.mark.parametrize("ours", ["tool = 1", "tool.py-ci-template = 1", "[[tool.py-ci-template.other]]\nid = 1"])
def test_settings_of_others_are_not_ours(ours: str) -> None:
    assert audit.ignored(tomllib.loads(ours), date(2026, 1, 1)) == {}


@pytest.mark.parametrize(
    "entry",
    [
        "1",
        '[{id = "CVE-1", until = 2027-01-31}]',
        '[{id = "CVE-1", until = "2027-01-31", reason = "It is so."}]',
        '[{id = "CVE-1", until = 2027-01-31T00:00:00, reason = "It is so."}]',
        '[{id = "", until = 2027-01-31, reason = "It is so."}]',
        '[{id = "CVE-1", until = 2027-01-31, reason = "It is so.", reson = "x"}]',
    ],
)
def test_what_is_ignored_is_written_as_it_has_to_be(entry: str) -> None:
    with pytest.raises(SystemExit, match=r"is not to be understood: \[\[tool\.py-ci-template\.ignore\]\] in pyproject"):
        audit.ignored(tomllib.loads(f"tool.py-ci-template.ignore = {entry}"), date(2026, 1, 1))


OF_A_TOOL = {"pyproject.toml": "[tool.TOOL.x]\n", "tox.ini": "[pytest]\n", "setup.cfg": "[tool:pytest]\n"}
OF_OTHERS = {"pyproject.toml": "[tool.other]\n", "tox.ini": "[tox]\n", "setup.cfg": "[metadata]\n"}


@pytest.mark.parametrize("directory", [".", "packages/api"])
@pytest.mark.parametrize(("tool", "name"), [(tool, name) for tool, names in outside.FILES.items() for name in names])
def test_settings_of_the_project_count_and_those_above_do_not(
    tool: str,
    name: str,
    directory: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    above, root = tmp_path / "above", tmp_path / "above" / "root"
    package = root / directory
    package.mkdir(parents=True)
    monkeypatch.chdir(package)
    # No settings of the machine that runs the tests.
    machine = tmp_path / "machine"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(machine))
    for variable in ("UV_NO_CONFIG", "UV_CONFIG_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sys, "argv", ["outside.py", str(root), tool])
    stopper = package / outside.FILES[tool][0]

    def stopped() -> str | bool:
        """Return what uv is told, or whether another tool finds a file without settings; nothing else is written."""
        before = set(root.rglob("*"))
        outside.main()
        new = set(root.rglob("*")) - before
        assert new <= ({stopper} - before if tool != "uv" else set())
        for file in new:
            assert file.read_bytes() == b""
            file.unlink()
        return capsys.readouterr().out.strip() if tool == "uv" else bool(new)

    for folder in (package, root):
        (folder / "pyproject.toml").write_text(OF_OTHERS["pyproject.toml"], encoding="utf-8")
    assert not stopped(), "nothing is above"
    for folder in (above, above.parent):
        for text in (OF_A_TOOL.get(name, "").replace("TOOL", tool), "[not"):
            (folder / name).write_text(text, encoding="utf-8")
            assert stopped()
        (folder / name).unlink()
    (above / name).symlink_to(above / "nowhere")
    for other, text in OF_OTHERS.items():
        (root / other).write_text(text, encoding="utf-8")
    assert stopped(), "these have settings of other tools"
    if tool == "uv":
        assert stopped() == "none"
        (machine / "uv").mkdir(parents=True)
        (machine / "uv" / "uv.toml").touch()
        assert stopped() == str(machine / "uv" / "uv.toml")
        monkeypatch.setenv("UV_CONFIG_FILE", "of-the-group.toml")
        assert not stopped()
        monkeypatch.delenv("UV_CONFIG_FILE")
    for folder in (root, package):
        (folder / name).write_text(OF_A_TOOL.get(name, "").replace("TOOL", tool), encoding="utf-8")
        assert not stopped(), "the project has settings"
        (folder / name).unlink()


@pytest.mark.parametrize("own", ["", "!kept\n"])
def test_what_linters_pass_over_is_said_by_the_project_alone(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["outside.py", str(root), "ruff"])
    if own:
        (root / ".ignore").write_text(own, encoding="utf-8")
    outside.main()
    assert (root / ".ignore").exists() == bool(own)
    (tmp_path / ".ignore").write_text("*\n", encoding="utf-8")
    outside.main()
    assert (root / ".ignore").read_text(encoding="utf-8") == outside.SEEN + own
