"""Runs Docker's engine with images and a state of its own, for the docker executor."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from tools.commands import run
from tools.requirements import MissingRequirementError, find_program
from tools.stand_ins.images import BUILDAH, RELEASES, SKOPEO, Podman, make_debian, python_image, uv_image

# What prepares the folder of a job, in a container beside that of its image.
HELPER = "gitlab-runner-helper"
# What the runner starts there: https://gitlab.com/gitlab-org/gitlab-runner/-/tree/main/dockerfiles/runner-helper
BUILD = "#!/bin/sh\numask 0000\nexec /bin/bash\n"
PATIENCE = 60


class Engine:
    """An engine that runs, at an address that is the path of its socket."""

    def __init__(self, socket: Path) -> None:
        self.address = f"unix://{socket}"

    def run(self, *command: str | Path) -> str:
        """Run a command of Docker; return its output."""
        return run("docker", "--host", self.address, *command)


@contextlib.contextmanager
def docker_engine(cache: Path, state: Path, program: Path, podman: Podman) -> Iterator[Engine]:
    """Run an engine that has the images of the jobs, and one with the runner, `program`, that prepares them.

    The images stay in `cache`, which one engine has at a time; `state` has a short path, as a socket is in it. Raises
    MissingRequirementError where the engine does not start on this machine.
    """
    dockerd = find_program("dockerd", "apt install --no-install-recommends docker.io")
    find_program("docker", "apt install --no-install-recommends docker.io")
    recipe = [Path(__file__).read_bytes(), program.read_bytes(), str(podman.base).encode()]
    data = cache / hashlib.sha256(b"\0".join(recipe)).hexdigest()[:12]
    with FileLock(cache / "lock"):
        for old in cache.iterdir():
            if old.is_dir() and old != data:
                shutil.rmtree(old)
        socket, log = state / "docker.sock", state / "docker.log"
        # It needs neither a bridge nor a firewall, and asks for no rights that a container lacks.
        options = (
            f"--data-root={data}",
            f"--exec-root={state}/exec",
            f"--pidfile={state}/pid",
            f"--host=unix://{socket}",
        )
        with log.open("wb") as out:
            process = subprocess.Popen(
                [dockerd, *options, "--bridge=none", "--iptables=false"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            end = time.monotonic() + PATIENCE
            while not socket.exists():
                if process.poll() is not None or time.monotonic() > end:
                    said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
                    raise MissingRequirementError(f"Docker's engine does not start here: {' '.join(said)}")
                time.sleep(0.05)
            engine = Engine(socket)
            if not (data / "made").exists():
                add_images(engine, cache, program, podman)
                (data / "made").touch()
            yield engine
            engine.run("system", "prune", "--force", "--volumes")
        finally:
            process.terminate()
            process.wait()
            # The network of the machine, which the engine leaves mounted.
            for mounted in filter(os.path.ismount, (state / "exec" / "netns").glob("*")):
                run("umount", mounted)


def add_images(engine: Engine, folder: Path, program: Path, podman: Podman) -> None:
    """Give an engine the images of the jobs, which Podman has, and that of the helper."""
    archive = folder / "images.tar"
    names = {f"localhost/{image(python)}": image(python) for python in RELEASES for image in (python_image, uv_image)}
    podman.run("save", "--quiet", "--multi-image-archive", "--output", archive, *names, BUILDAH, SKOPEO)
    engine.run("load", "--input", archive)
    for name, wanted in names.items():
        engine.run("tag", name, wanted)
    build = folder / "gitlab-runner-build"
    build.write_text(BUILD, encoding="utf-8")
    build.chmod(0o755)
    helper = folder / "gitlab-runner-helper"
    shutil.copy(program, helper)
    packages = ["bash", "ca-certificates", "coreutils", "dash", "findutils", "git", "hostname"]
    hooks = [f"--extract-hook=copy-in {file} /usr/bin" for file in (build, helper)]
    make_debian(archive, RELEASES["3.11"], "extract", packages, *hooks)
    engine.run("import", archive, HELPER)
    for file in (archive, build, helper):
        file.unlink()
