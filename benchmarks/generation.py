"""Measures generation against the engine's floor, and the static check of all combinations.

`tox run -e benchmarks` runs it. The floor is a template of one file without hooks: what Cookiecutter
itself costs on this machine. Both are run in turn, so that a busy machine slows both, and the
median of the turns' ratios is what counts.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.options import ROOT, all_combinations

LIMIT_RATIO = 1.35
LIMIT_SECONDS = 90


def seconds(*command: str | Path, env: dict[str, str]) -> float:
    """Return how long a command takes, in seconds; raise CalledProcessError where it fails."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def write_floor(folder: Path) -> Path:
    """Make the smallest template there is."""
    project = folder / "floor" / "{{cookiecutter.name}}"
    project.mkdir(parents=True)
    (project / "README.md").write_text("# {{ cookiecutter.name }}\n", encoding="utf-8")
    (folder / "floor" / "cookiecutter.json").write_text('{"name": "floor"}\n', encoding="utf-8")
    return folder / "floor"


def measure_generation(rounds: int) -> bool:
    """Print the seconds of one generation, ours and the floor's; return whether we keep the limit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "config.yaml"
        config.write_text(f"cookiecutters_dir: {folder}/clones\nreplay_dir: {folder}/replay\n", encoding="utf-8")
        # Cookiecutter leaves its rendered hooks in the folder for temporary files; a full one slows Python down.
        env = {**os.environ, "COOKIECUTTER_CONFIG": str(config), "TMPDIR": str(folder)}
        times: dict[str, list[float]] = {"floor": [], "template": []}
        templates = {"floor": write_floor(folder), "template": ROOT}
        for turn in range(rounds + 1):
            for what, template in templates.items():
                output = folder / f"{what}{turn}"
                command = (sys.executable, "-m", "cookiecutter", "--no-input", "--output-dir", output, template)
                times[what].append(seconds(*command, env=env))
    # The first turn warms the caches of the file system.
    floor, ours = times["floor"][1:], times["template"][1:]
    low, ratio, high = statistics.quantiles([mine / its for mine, its in zip(ours, floor, strict=True)], n=4)
    print(f"one project, {rounds} turns: floor {statistics.median(floor):.3f} s,", end=" ")
    print(f"template {statistics.median(ours):.3f} s,", end=" ")
    print(f"ratio {ratio:.2f}, quartiles {low:.2f} to {high:.2f} (limit {LIMIT_RATIO})")
    return ratio <= LIMIT_RATIO


def measure_combinations() -> bool:
    """Print the seconds to bake and check all combinations; return whether we keep the limit."""
    command = [sys.executable, "-m", "pytest", "--quiet", "--numprocesses", "auto", "tests/unit/test_combinations.py"]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    took = time.perf_counter() - start
    if done.returncode:
        print(done.stdout)
        return False
    count = len(all_combinations())
    tests = re.search(r"(\d+) passed", done.stdout)
    print(f"{count} combinations baked, {tests[1] if tests else 0} checks, as the tests run: {took:.1f} s,", end=" ")
    print(f"{took / count:.2f} s each (limit {LIMIT_SECONDS} s)")
    return took <= LIMIT_SECONDS


def main() -> int:
    """Measure both; return 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="how often each template is generated (%(default)s)")
    rounds = parser.parse_args().rounds
    return 0 if all([measure_generation(rounds), measure_combinations()]) else 1


if __name__ == "__main__":
    sys.exit(main())
