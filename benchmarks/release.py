"""Measures what signing, with a key pair and keyless, adds to the pipeline of a protected tag.

`tox run -e benchmarks-pipeline` runs it. The same project is released with Cosign, real registries and a
Sigstore on loopback, in turn, and the medians of the turns are printed: what the network adds is not in them.
Programs are built before, and downloads of tools are warm.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.pipeline import TOOLS, bake
from tools.commands import commit_all
from tools.options import DECLARED, ROOT, SWITCHES
from tools.runner import Pipeline, pythons_here, run_pipeline, shell_executor
from tools.samples.package import RELEASING
from tools.stand_ins.cosign import KeyPair, find_cosign, make_key_pair
from tools.stand_ins.gitlab import GitLab, package_index
from tools.stand_ins.sigstore import Sigstore, find_sigstore
from tools.template import bare_clone, tagged_copy


def release(
    folder: Path, baked: Path, components: Path, keys: KeyPair, sigstore: Sigstore, path: list[Path]
) -> Pipeline:
    """Release a new copy of a project."""
    with tempfile.TemporaryDirectory(dir=folder) as name, GitLab(Path(name, "gitlab"), package_index()) as server:
        project = Path(name, "my-service")
        shutil.copytree(baked, project)
        (project / "cosign.pub").write_text(keys.public, encoding="utf-8")
        commit_all(project)
        here = server.variables(server.add_project("your-group/my-service", project))
        variables: dict[str, Any] = {**here, "UV_CACHE_DIR": f"{folder}/uv", **keys.settings, **sigstore.variables}
        variables["SIGSTORE_ID_TOKEN"] = server.issuer.token(project_path="your-group/my-service")
        done = run_pipeline("gitlab-ci-local", project, components, shell_executor(path), "tag", variables)
    if done.status != 0:
        sys.exit(f"{done.output}\nThe pipeline failed; its output is above.")
    return done


def measure(rounds: int, found: dict[str, Path]) -> dict[str, list[Pipeline]]:
    """Release a project in each way of signing, in turn; return the turns."""
    python = next(iter(found))
    turns: dict[str, list[Pipeline]] = {signing: [] for signing in SWITCHES["signing"]}
    cache = ROOT / ".pytest_cache" / "d"
    for tool in ("cosign", "sigstore"):
        (cache / tool).mkdir(parents=True, exist_ok=True)
    cosign = find_cosign(cache / "cosign")
    binaries = find_sigstore(cache / "sigstore", cosign)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        components = bare_clone(tagged_copy(folder / "template"), folder / "components")
        keys = make_key_pair(cosign, folder / "keys")
        projects = {}
        for signing in turns:
            (folder / signing).mkdir()
            projects[signing] = bake(folder / signing, [python], signing=signing, kind="command")
        with Sigstore(folder / "sigstore", binaries, "http://127.0.0.1:*") as sigstore:
            for turn in range(rounds + 1):
                for signing, baked in projects.items():
                    done = release(folder, baked, components, keys, sigstore, [cosign.parent, *found.values()])
                    # The first turn warms the caches.
                    if turn:
                        turns[signing].append(done)
    return turns


def report(turns: dict[str, list[Pipeline]]) -> None:
    """Print the seconds of the jobs of a release, and of all together, as a table."""
    print(f"{'seconds':8}", *(f"{job:>18}" for job in RELEASING), f"{'together':>10}")
    for signing, mine in turns.items():
        took = [[done.jobs[job].seconds or 0 for job in RELEASING if job in done.jobs] for done in mine]
        together = statistics.median(map(sum, took))
        cells = []
        for job in RELEASING:
            seconds = [done.jobs[job].seconds or 0 for done in mine if job in done.jobs]
            cells.append(f"{statistics.median(seconds):.1f}" if seconds else "-")
        print(f"{signing:8}", *(f"{cell:>18}" for cell in cells), f"{together:10.1f}")


def main() -> int:
    """Measure all; return 2 where the machine lacks something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (%(default)s)")
    rounds = parser.parse_args().rounds
    found = pythons_here(DECLARED["_python_versions"])
    tools = {**TOOLS, "go": "it builds Cosign and Sigstore"}
    lacking = [f"{tool} is missing: {remedy}" for tool, remedy in tools.items() if not shutil.which(tool)]
    if lacking or not found:
        print(*lacking or ["No supported Python is on PATH or under pyenv."], sep="\n", file=sys.stderr)
        return 2
    report(measure(rounds, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
