"""Makes the images that the jobs name, as slim as the real ones, from Debian's packages and without a registry."""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w
from filelock import FileLock
from pip import __file__ as pip_package
from uv import find_uv_bin

from tools.commands import run
from tools.runner import Executor

# The Pythons that there are images for, each with the Debian that brings it.
RELEASES = {"3.11": "bookworm", "3.13": "trixie"}
# What the image of a generated project is built on.
BASE = "3.13"
HELPER = "localhost/helper"
# What the jobs of an image name; here one image has both programs.
BUILDAH, SKOPEO = "quay.io/buildah/stable:v1.43.0", "quay.io/skopeo/stable:v1.22.2"

CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP", "SETGID", "SETUID", "SYS_CHROOT"]

# What says how a machine reaches the package index.
CERTIFICATES = ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]
INDEXES = ["PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL"]


@dataclass(frozen=True)
class Podman:
    """Podman with a storage of its own; `env` are the variables that say so, to Buildah too.

    `base` is a folder with the image that images of projects are built on, as Skopeo copies it to a registry;
    `shared` is one that containers can read too.
    """

    env: dict[str, str]
    base: Path
    shared: Path

    @property
    def executor(self) -> Executor:
        """A runner that gives each job a container of its image."""
        arguments = ("--container-executable", "podman", "--pull-policy", "if-not-present", "--helper-image", HELPER)
        return Executor(containers=True, arguments=arguments, environment=self.env)

    def run(self, *command: str | Path) -> str:
        """Run podman with these images; return its output."""
        return run("podman", *command, env={**os.environ, **self.env})

    def remove_containers(self) -> None:
        """Remove what pipelines left: podman 4 removes none of several containers where one is gone already."""
        self.run("rm", "--all", "--force", "--volumes")
        self.run("volume", "prune", "--force")


def python_image(python: str) -> str:
    """Return the name of the image with a Python and without uv."""
    return f"python:{python}-slim"


def uv_image(python: str) -> str:
    """Return the name of the image with a Python and uv, as the components name it."""
    return f"astral/uv:python{python}-trixie-slim"


def prepare_podman(cache: Path, folder: Path, state: Path) -> Podman:
    """Return podman with all images; make them where `cache` has none of this recipe.

    All workers share `cache`, which outlives the run of the tests; `folder` and `state` are of one worker, in
    this run. The path of `state` is short: podman does not end a container properly where that of its
    `runroot` is longer than 50 characters, and each end takes 20 seconds more.
    """
    # The kernel lays no overlay over another, which the root of a container often is.
    overlaid = "overlayfs" in run("stat", "--file-system", "--format", "%T", cache, folder)
    driver = "vfs" if overlaid else "overlay"
    recipe = [Path(__file__).read_text(encoding="utf-8"), version("uv"), driver]
    images = cache / hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:12]
    with FileLock(cache / "lock"):
        if not (images / "made").exists():
            for old in filter(Path.is_dir, cache.iterdir()):
                shutil.rmtree(old)
            images.mkdir()
            make_images(Podman(configure(state / "making", driver, images), images / "base", images), images)
            (images / "made").touch()
    # Not below /tmp, where gitlab-ci-local's helper has the files of the job.
    (shared := state / "shared").mkdir()
    return Podman(configure(state / "running", driver, folder, images, shared=shared), images / "base", shared)


def passed_on() -> dict[str, str]:
    """Return the variables that say to a container how this machine reaches the package index."""
    return {name: os.environ[name] for name in CERTIFICATES + INDEXES if name in os.environ}


def trusted_paths() -> list[str]:
    """Return where this machine has the certificates that it trusts."""
    named = {"/etc/ssl/certs", *(os.environ[name] for name in CERTIFICATES if name in os.environ)}
    return sorted(filter(os.path.exists, named))


def configure(
    state: Path, driver: str, storage: Path, *more_images: Path, shared: Path | None = None
) -> dict[str, str]:
    """Return the variables of a configuration, a storage and a state of its own: nothing is the machine's."""
    state.mkdir()
    mounted = [*trusted_paths(), *([str(shared)] if shared else [])]
    files: dict[str, dict[str, Any]] = {}
    files["CONTAINERS_CONF"] = {
        "containers": {
            # Podman's own limits may be above those of the machine, and then nothing starts.
            "default_ulimits": ["nofile=10000:10000", "nproc=10000:10000"],
            "env": [f"{name}={value}" for name, value in passed_on().items()],
            # What docs/image.md says that a job needs which builds an image; others need less.
            "default_capabilities": CAPABILITIES,
            "no_new_privileges": True,
            # Reaches the servers of the tests, and needs neither a bridge nor a firewall.
            "netns": "host",
            "volumes": [f"{path}:{path}:ro" for path in mounted],
        },
        "engine": {
            # There may be no systemd.
            "cgroup_manager": "cgroupfs",
            "events_logger": "none",
            "lock_type": "file",
            # crun fails where cgroups are hybrid.
            "runtime": "runc",
            # Not `static_dir` too: what ends a container does not hear of it, with the same 20 seconds.
            "tmp_dir": str(state / "tmp"),
        },
    }
    files["CONTAINERS_STORAGE_CONF"] = {
        "storage": {
            "driver": driver,
            "graphroot": str(storage),
            "runroot": str(state / "run"),
            "options": {
                "additionalimagestores": list(map(str, more_images)),
                # The folder could not be removed where a mount of it stayed behind.
                "overlay": {"skip_mount_home": "true"},
            },
        }
    }
    for variable, settings in files.items():
        (state / variable).write_text(tomli_w.dumps(settings), encoding="utf-8")
    return {variable: str(state / variable) for variable in files}


def make_images(podman: Podman, folder: Path) -> None:
    """Make the images of all Pythons, and the one in which gitlab-ci-local moves files."""

    def make(python: str) -> None:
        packages = ["ca-certificates", "python3", "python3-venv"]
        import_debian(podman, folder / python, RELEASES[python], "apt", packages, python_image(python))
        add_uv(podman, folder / f"{python}.Containerfile", python)

    with ThreadPoolExecutor() as pool:
        images = pool.map(make, RELEASES)
        helper = ["bash", "coreutils", "dash", "rsync"]
        import_debian(podman, folder / "helper", RELEASES["3.11"], "extract", helper, HELPER)
        builder = ["buildah", "ca-certificates", "netavark", "skopeo"]
        import_debian(podman, folder / "builder", RELEASES[BASE], "essential", builder, BUILDAH)
        podman.run("tag", BUILDAH, SKOPEO)
        list(images)  # raises what a thread raised
    add_pip(podman, folder / "base.Containerfile")


def import_debian(podman: Podman, archive: Path, release: str, variant: str, packages: list[str], image: str) -> None:
    """Make an image of a Debian release with some packages, by way of a temporary archive."""
    make_debian(archive, release, variant, packages)
    podman.run("import", "--quiet", archive, image)
    archive.unlink()


def make_debian(archive: Path, release: str, variant: str, packages: list[str], *options: str) -> None:
    """Make an archive with the files of a Debian release and some packages."""
    # apt in there has none of this machine's settings by itself.
    proxies = run(
        *("apt-config", "dump", "--no-empty", "--format", '%F "%v";%n'),
        *("Acquire::http", "Acquire::https", "Acquire::Check-Valid-Until"),
    )
    # None where this is not Debian or apt has no lists yet: mmdebstrap knows one.
    mirrors = run(
        *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
        *("Created-By: Packages", "Origin: Debian", "Label: Debian"),
    )
    run(
        *("mmdebstrap", "--quiet", "--format=tar", f"--variant={variant}", f"--include={','.join(packages)}"),
        *(f"--aptopt={setting}" for setting in proxies.splitlines()),
        *("--dpkgopt=path-exclude=/usr/share/doc/*", *options, release, str(archive), *mirrors.split()[:1]),
    )


def add_uv(podman: Podman, recipe: Path, python: str) -> None:
    """Make the image with uv of the one without, from the uv of the tests."""
    uv = Path(find_uv_bin())
    recipe.write_text(f"FROM localhost/{python_image(python)}\nCOPY {uv.name} /usr/local/bin/\n", encoding="utf-8")
    podman.run("build", "--quiet", "--tag", uv_image(python), "--file", recipe, uv.parent)


def add_pip(podman: Podman, recipe: Path) -> None:
    """Make the image that images of projects are built on: with `python` and pip, as the official one."""
    pip = Path(pip_package).parent
    lines = [f"FROM localhost/{python_image(BASE)}", f"COPY {pip.name} /usr/lib/python3/dist-packages/{pip.name}"]
    recipe.write_text("\n".join([*lines, "RUN ln -s python3 /usr/bin/python", ""]), encoding="utf-8")
    podman.run("build", "--quiet", "--tag", "base", "--file", recipe, pip.parent)
    # Compressed once, and not for each registry that it is copied to.
    podman.run("push", "--quiet", "--compress", "base", f"dir:{podman.base}")
