"""Measures the container image against the plain one: one stage that copies the project and installs it with pip.

`tox run -e benchmarks-pipeline` runs it. Both are built by Buildah on the same slim base, without a cache, in
turn. The size that counts is what an image adds to its base, which the images of an organisation share.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.pipeline import bake
from tools.commands import commit_all, run
from tools.options import DECLARED, ROOT
from tools.stand_ins.images import Podman, prepare_podman

BASE = "localhost/base"
PLAIN = f"""FROM {BASE}
WORKDIR /app
COPY . .
RUN SETUPTOOLS_SCM_PRETEND_VERSION=1.0.0 python -m pip install --break-system-packages .
ENTRYPOINT ["my-service"]
"""


def size(podman: Podman, image: str) -> float:
    """Return the size of an image in MB, not compressed."""
    return int(podman.run("image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def files(podman: Podman, image: str) -> int:
    """Return how many files an image has."""
    return len(
        podman.run("run", "--rm", "--user", "0", "--entrypoint", "find", image, "/", "-xdev", "-type", "f").splitlines()
    )


def build(podman: Podman, project: Path, image: str, *options: str) -> float:
    """Build an image of the project; return the seconds."""
    start = time.monotonic()
    command = ("buildah", "build", "--isolation", "chroot", "--no-cache", "--quiet", "--tag", image, *options, ".")
    run(*command, cwd=project, env={**os.environ, **podman.env})
    return time.monotonic() - start


def measure(rounds: int) -> None:
    """Build both in turn, and print a table."""
    cache = ROOT / ".pytest_cache" / "d" / "podman"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory(prefix="podman-", dir="/run") as state:
        folder = Path(name)
        podman = prepare_podman(cache, folder, Path(state))
        project = bake(folder, DECLARED["_python_versions"])
        (folder / "Plainfile").write_text(PLAIN, encoding="utf-8")
        commit_all(project)
        run("uv", "build", "--quiet", cwd=project)
        (wheel,) = (project / "dist").glob("*.whl")
        arguments = {"PYTHON_IMAGE": BASE, "PACKAGE": f"dist/{wheel.name}", "VERSION": "1.0.0"}
        contenders = {
            "ours": [word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))],
            "plain": ["--file", f"{folder}/Plainfile", "--ignorefile", "/dev/null"],
        }
        seconds: dict[str, list[float]] = {image: [] for image in contenders}
        for _ in range(rounds):
            for image, options in contenders.items():
                seconds[image].append(build(podman, project, image, *options))
        base, base_files = size(podman, BASE), files(podman, BASE)
        print(f"{'':8}{'MB':>10}{'over base':>12}{'files added':>14}{'seconds to build':>20}")
        print(f"{'base':8}{base:10.1f}")
        for image, took in seconds.items():
            whole = size(podman, image)
            added = files(podman, image) - base_files
            print(f"{image:8}{whole:10.1f}{whole - base:12.2f}{added:14}{statistics.median(took):20.1f}")


def main() -> int:
    """Measure; return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is built (%(default)s)")
    if os.geteuid() != 0:
        sys.exit("The base image is made as root: run this as root, in a container or a virtual machine.")
    measure(parser.parse_args().rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
