"""What the bot takes from code of the template, which may be hostile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bare_runner import make_traversable
from tools.commands import commit_all, run
from tools.fleet import stranger, update
from tools.fleet.__main__ import main
from tools.fleet.stranger import StrangerError
from tools.options import ROOT
from tools.requirements import find_program
from tools.samples.organisation import make_releases


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of a project with a link to the template, and one that leads out of the checkout."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    (folder / "notes").symlink_to("../outside")
    link = {"template": str(tmp_path / "template"), "commit": "0" * 40, "checkout": "1.0.0"}
    (folder / ".cruft.json").write_text(json.dumps(link), encoding="utf-8")
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
    commit_all(folder)
    return folder


def linked(checkout: Path, folder: Path) -> str:
    """Let a project be of the first of two releases of a template; return the address of that."""
    template = folder / "template"
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", template)
    link = {"template": f"file://token@{template}", "commit": make_releases(template, 1, 2)["0.1.0"]}
    (checkout / ".cruft.json").write_text(json.dumps(link), encoding="utf-8")
    commit_all(checkout)
    return template.as_uri()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sub/.git/config", "the template makes sub/.git, which is for git alone"),
        ("notes/program", "the template makes notes a folder, which is a symbolic link in the project"),
    ],
)
def test_what_would_lead_out_of_the_checkout_is_not_taken(name: str, said: str, checkout: Path, tmp_path: Path) -> None:
    """A repository in a repository may name a program that git runs; who writes beyond a link writes as root."""
    made = tmp_path / "made"
    for file in ("a-file", ".cruft.json", name):
        (made / file).parent.mkdir(parents=True, exist_ok=True)
        (made / file).write_text("of the template", encoding="utf-8")
    with pytest.raises(update.UpdateError, match=f"^{said}$"):
        update.take_files(made, checkout)
    assert run("git", "status", "--porcelain", cwd=checkout) == ""
    assert not [*(tmp_path / "outside").iterdir()]


def test_a_file_becomes_a_folder_and_a_folder_a_file(checkout: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for folder, names in ((checkout, ("a", "b/c/d", "e")), (made, ("a/b", "b", "e"))):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name, encoding="utf-8")
    commit_all(checkout)
    update.take_files(made, checkout)
    assert (checkout / "a" / "b").read_text(encoding="utf-8") == "a/b"
    assert (checkout / "b").read_text(encoding="utf-8") == "b"


@pytest.mark.parametrize(
    ("mine", "made", "named"), [("new", "new", "new"), ("folder/mine", "folder", "folder"), ("new", "new/b", "new")]
)
def test_what_nobody_has_committed_is_kept(mine: str, made: str, named: str, checkout: Path, tmp_path: Path) -> None:
    for file in (checkout / mine, tmp_path / "made" / made):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{file}", encoding="utf-8")
    with pytest.raises(update.UpdateError, match=f"^the template makes {named}, and what is there is not committed$"):
        update.take_files(tmp_path / "made", checkout)
    assert (checkout / mine).read_text(encoding="utf-8") == f"{checkout / mine}"
    # It would be replaced by what the last commit has.
    (checkout / "tracked").write_text("committed", encoding="utf-8")
    commit_all(checkout)
    (checkout / "tracked").write_text("changed", encoding="utf-8")
    with pytest.raises(update.UpdateError, match="tracked has changes that are not committed"):
        update.update(checkout, str(tmp_path / "template"), "1.0.0")
    assert (checkout / "tracked").read_text(encoding="utf-8") == "changed"


def test_of_a_file_only_that_it_can_run_is_taken(checkout: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    for name, mode in (("program", 0o6777), ("data", 0o666)):
        (made / name).write_text(name, encoding="utf-8")
        (made / name).chmod(mode)
    (made / "notes").symlink_to("../outside")
    update.take_files(made, checkout)
    assert [(checkout / name).stat().st_mode & 0o7777 for name in ("program", "data")] == [0o755, 0o644]


def test_a_folder_in_the_place_of_the_project_is_not_taken(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = linked(checkout, tmp_path)

    def swap(_: int, folder: Path, *__: object) -> str:
        if not folder.is_symlink():
            folder.rename(folder.with_name("away"))
            folder.symlink_to("/proc/self")
        return ""

    monkeypatch.setattr(update, "ask_stranger", swap)
    with pytest.raises(update.UpdateError, match="another folder in the place of the project"):
        update.update(checkout, template, "0.2.0")
    assert run("git", "status", "--porcelain", cwd=checkout) == ""


def test_a_link_that_is_a_symbolic_one_is_refused(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".cruft.json").rename(tmp_path / "outside" / "link.json")
    (checkout / ".cruft.json").symlink_to("../outside/link.json")
    commit_all(checkout)
    with pytest.raises(update.UpdateError, match="is a symbolic link"):
        update.update(checkout, str(tmp_path / "template"), "1.0.0")


def test_a_name_is_one_line_of_a_comment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """GitLab would do what a line says: https://docs.gitlab.com/user/project/quick_actions/"""
    monkeypatch.setattr(update, "update", lambda *_: ["a\n```\n/merge\n"])
    assert main(["update", "--to", "1.0.0", "--template", "any"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Conflict: both the template and the project have changed a ``` /merge "
    ]


def test_code_of_the_template_knows_where_it_came_from(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a project have that address: without it they would look changed."""
    template, asked = linked(checkout, tmp_path), []

    def ask(_: int, folder: Path, *__: object) -> str:
        asked.append((folder.with_name("template") / ".git" / "config").read_text(encoding="utf-8"))
        return ""

    monkeypatch.setattr(update, "ask_stranger", ask)
    assert update.update(checkout, template, "0.2.0") == []
    assert f"url = {template}\n" in asked[0]
    link = json.loads((checkout / ".cruft.json").read_text(encoding="utf-8"))
    (checkout / ".cruft.json").write_text(json.dumps({**link, "commit": "0" * 40}), encoding="utf-8")
    commit_all(checkout)
    with pytest.raises(update.UpdateError, match=r"^the template has no commit 0{40}, which \.cruft\.json names$"):
        update.update(checkout, template, "0.2.0")


# What code of others does that would be there when the next one comes: https://man7.org/linux/man-pages/man2/ptrace.2.html
GOES_ON = {
    "behind": "os.fork() and os._exit(0)\nos.setsid()\ntime.sleep(600)",
    "with the output": "os.fork() or time.sleep(600)",
    "twice behind": "[os.fork() and os._exit(0) for _ in range(2)]\nos.setsid()\nos.fork()\ntime.sleep(600)",
    "deaf": "[signal.signal(n, signal.SIG_IGN) for n in range(1, 32) if n not in (9, 19)]\ntime.sleep(600)",
    "stopped": "os.fork() or os.kill(os.getpid(), signal.SIGSTOP)",
    "traced": """
parent = os.getpid()
if not os.fork():
    os.setsid()
    libc.ptrace(16, parent, 0, 0)
    if not os.fork():
        libc.ptrace(16, os.getppid(), 0, 0)
        while True: time.sleep(1)
    while True: time.sleep(1)
time.sleep(0.5)
""",
    "tracing a child that has ended": """
ended = os.fork() or os._exit(0)
if not os.fork():
    os.setsid()
    libc.ptrace(0x4206, ended, 0, 0)
    time.sleep(600)
""",
    "again and again": """
while True:
    try: os.fork() or time.sleep(0.01)
    except OSError: time.sleep(0.01)
""",
    "loud": "while True: print('y' * 9999)",
    "loud and behind": "os.fork() and os._exit(0)\nwhile True: print('y' * 9999)",
    "on the disk": "open('x', 'wb').truncate(10**12)",
    "in many files": "[open(f'{n}', 'w') for n in range(10**9)]",
    "elsewhere": """
for place in ("/tmp", "/var/tmp", "/dev/shm"):
    os.makedirs(f"{place}/mine-{os.getuid()}/deep"); open(f"{place}/mine-{os.getuid()}/deep/uv.toml", "w")
""",
    "in silence": "time.sleep(600)",
    "waiting for more": "sys.stdin.read()\ntime.sleep(600)",
}


@pytest.fixture
def given_away(tmp_path: Path, shared_folder: Path) -> tuple[int, Path]:
    """A user, and a folder that is its own."""
    make_traversable(shared_folder.parent, tmp_path)
    user, folder = stranger.new_user(), tmp_path / "own"
    folder.mkdir()
    stranger.give(user, folder)
    return user, folder


@pytest.mark.parametrize("how", GOES_ON)
def test_nothing_of_others_goes_on(
    how: str, given_away: tuple[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid():
        pytest.skip("only root has other users: run this test as root")
    user, folder = given_away
    for name, most in {
        "LONGEST": 3,
        "PRINTED": 10**6,
        "FILE": 10**6,
        "DISK": 10**8,
        "FILES": 2000,
        "PROCESSES": 50,
    }.items():
        monkeypatch.setattr(stranger, name, most)
    head = "import ctypes, os, signal, sys, time\nlibc = ctypes.CDLL(None)\nopen('began', 'w').close()\n"
    python = find_program("/usr/bin/python3", "any user may run it: apt install python3")
    program = tmp_path / "own" / "program.py"
    program.write_text(head + GOES_ON[how], encoding="utf-8")
    with suppress(StrangerError):
        stranger.run(user, folder, folder, [python, "-I", program], longest=3)
    assert (folder / "began").exists()
    assert not stranger.processes_of(user)
    assert not [path for place in stranger.SHARED for path in Path(place).iterdir() if path.lstat().st_uid == user]
    # And the next one runs, as somebody else.
    other = stranger.new_user()
    done = stranger.run(other, Path("/"), Path("/"), ["sh", "-c", "id -u; echo more >&2; exit 7"])
    assert done == (7, f"{other}\n", "more\n")
    assert other != user


@given(
    kinds=st.lists(st.sampled_from(["file", "link", "folder", "pipe", "two names", "large"]), min_size=1, max_size=3),
    last=st.sampled_from(["file", "link", "folder", "pipe", "two names", "large", "nothing"]),
)
def test_only_a_file_of_its_own_is_read(kinds: list[str], last: str) -> None:
    """However the folders above it are made, and without waiting for anybody."""
    with TemporaryDirectory() as folder:
        (outside := Path(folder, "outside")).mkdir()
        (outside / "x").write_text("secret", encoding="utf-8")
        place = top = Path(folder, "top")
        top.mkdir()
        for depth, kind in enumerate([*kinds, last]):
            new, inside = place / "x", depth < len(kinds)
            if inside and kind == "link":
                new.symlink_to(outside)
                break
            if inside:
                new.mkdir()
                place = new
            elif kind == "link":
                new.symlink_to(outside / "x")
            elif kind == "folder":
                new.mkdir()
            elif kind == "pipe":
                os.mkfifo(new)
            elif kind != "nothing":
                new.write_text("x" * (11 if kind == "large" else 10), encoding="utf-8")
                if kind == "two names":
                    os.link(new, place / "y")
        plain = last == "file" and "link" not in kinds
        name = "/".join("x" * (len(kinds) + 1))
        assert stranger.read_plain(top, name, 10) == (b"x" * 10 if plain else None)


def test_a_file_that_is_swapped_while_it_is_read_shows_nothing_else(tmp_path: Path) -> None:
    """A program puts a link in the place of the file, and the file in the place of the link, all the time."""
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    program = """
import os, sys
os.chdir(sys.argv[1])
while True:
    os.symlink("../secret", "new"); os.replace("new", "lock")
    open("new", "w").write("plain"); os.replace("new", "lock")
"""
    with subprocess.Popen([sys.executable, "-I", "-c", program, tmp_path / "folder"]) as process:
        seen = {stranger.read_plain(tmp_path / "folder", "lock", 100) for _ in range(20_000)}
        process.kill()
    assert b"secret" not in seen
    assert b"plain" in seen


# Reads what is near, puts links in place of files and of a folder, a file that has another name too, and a huge one.
HOSTILE = """
cat lock; id -u; env; cat /proc/[0-9]*/environ 2> /dev/null | tr '\\0' '\\n'
cd ..
rm -r folder link hard
truncate -s 100G large
ln -s "$1" folder; ln -s "$1/file" link; echo new > unknown; ln unknown hard; echo new > sub/lock
echo '```'; echo /merge
exit "$2"
"""


@pytest.mark.parametrize("status", [7, 0])
def test_a_program_that_runs_code_of_a_project_changes_its_files_alone(
    status: int, checkout: Path, tmp_path: Path, shared_folder: Path
) -> None:
    """It would have the token of the bot, and commit what a link leads to."""
    outside, files = tmp_path / "outside", ("sub/lock", "folder/file", "link", "hard", "large")
    (outside / "file").write_text("secret", encoding="utf-8")
    for name in files:
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text("old", encoding="utf-8")
    commit_all(checkout)
    (checkout / "sub" / "lock").write_text("of Renovate\n", encoding="utf-8")
    (tmp_path / "tmp").mkdir()
    make_traversable(shared_folder.parent, tmp_path / "tmp")
    secrets = dict.fromkeys(("GITLAB_TOKEN", "GIT_CONFIG_VALUE_0", "UV_PUBLISH_TOKEN"), "glpat-secret")
    env = {**os.environ, **secrets, "UV_INDEX_OURS_PASSWORD": "for-packages"}
    env |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")}
    command = (sys.executable, "-m", "tools.fleet", "run", "/bin/sh", "-c", HOSTILE, "--", str(outside), str(status))
    done = subprocess.run(command, cwd=checkout / "sub", env=env, capture_output=True, encoding="utf-8")
    lines = done.stderr.splitlines()
    assert done.returncode == status, done.stderr
    # In a comment of the bot no line is a command to GitLab.
    assert all(line.startswith("sh: ") for line in lines)
    assert {"sh: of Renovate", "sh: UV_INDEX_OURS_PASSWORD=for-packages", "sh: /merge"} < {*lines}
    if os.geteuid() == 0:
        assert any(int(line.removeprefix("sh: ")) in stranger.USERS for line in lines if line[4:].isdigit())
        assert "glpat-secret" not in done.stderr
    made = [(checkout / name).read_text(encoding="utf-8") for name in files]
    assert made == ["of Renovate\n" if status else "new\n", *["old"] * 4]
    assert run("git", "status", "--porcelain", cwd=checkout).split() == ["M", "sub/lock"]


def test_a_program_that_nobody_may_run_is_named(checkout: Path, tmp_path: Path) -> None:
    program = tmp_path / "private" / "uv"
    program.parent.mkdir(mode=0o700)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    command = (sys.executable, "-m", "tools.fleet", "run", program, "lock", "--upgrade")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, encoding="utf-8")
    said = (
        f"uv was not run: a user without rights may not run {program} (Permission denied); install it where everybody"
    )
    assert (done.returncode, done.stderr.partition("\n")[2]) == (1, f"{said} may read\n")
