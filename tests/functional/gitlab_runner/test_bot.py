"""What code of the template, as the user nobody, can do to a job of the bot in a container."""

from __future__ import annotations

from pathlib import Path

import yaml
from cookiecutter.main import cookiecutter

from tools.commands import commit_all, run
from tools.expander import Expander
from tools.gitlab_runner.engine import Engine
from tools.gitlab_runner.pipeline import run_pipeline
from tools.gitlab_runner.runner import NewRunner
from tools.options import ROOT
from tools.runner import Executor
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.images import uv_image

# Puts another folder in the place of each that leads to the one of the job, and of one in it; or reads that.
ATTACK = """
import os, pathlib
here = pathlib.Path.cwd()
(here / ".renovate").mkdir(exist_ok=True)
os.setgid(65534); os.setuid(65534)
for path in (here / ".renovate", here, here.parent):
    try:
        path.rename(path.with_name("away"))
        path.with_name("away").rename(path)
        print("nobody moves", path)
    except OSError:
        print("nobody leaves", path)
try:
    print("nobody reads", list((here / ".renovate").iterdir()))
except OSError:
    print("nobody does not read")
"""


def test_nobody_puts_anything_in_the_place_of_the_bot(
    tmp_path: Path, new_runner: NewRunner, gitlab: GitLab, expander: Expander, engine: Engine
) -> None:
    made = Path(cookiecutter(str(ROOT), directory="bot", no_input=True, default_config=True, output_dir=str(tmp_path)))
    pipeline = made / ".gitlab-ci.yml"
    written = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
    lines = written[".bot"]["before_script"]
    # Those before it fetches anything.
    first = lines[: lines.index("mkdir -m 700 .renovate") + 1]
    job = {"image": uv_image("3.13"), "script": ["python3 attack.py"]}
    jobs = {"bare": {**job, "stage": "one"}, "bot": {**job, "stage": "two", "before_script": first}}
    pipeline.write_text(yaml.safe_dump({"stages": ["one", "two"], **jobs}), encoding="utf-8")
    (made / "attack.py").write_text(ATTACK, encoding="utf-8")
    run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=made)
    commit_all(made)
    here = gitlab.add_project("group/template-bot", made)
    with new_runner(executor=Executor(containers=True), engine=engine) as runner:
        done = run_pipeline([runner], here, expander)
    assert done.results == {"bare": "passed", "bot": "passed"}, done.output
    places = [f"/builds/{here.path}/.renovate", f"/builds/{here.path}", "/builds/group"]
    for name, said in (("bare", "moves"), ("bot", "leaves")):
        assert [f"nobody {said} {place}\n" in done.log(name) for place in places] == [True, True, True], done.output
    assert "nobody does not read" in done.log("bot")
