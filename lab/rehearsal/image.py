# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the images of the fleet, from a registry's Debian or from the machine's own Debian mirror."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rehearsal import aptsources
from rehearsal.fleet import LAB_SOURCES
from rehearsal.shell import LabError, must, run

PREFIX = "localhost/backstay-lab-"
REGISTRY_SECONDS = 25
BUILD_SECONDS = 900


@dataclass(frozen=True)
class Apt:
    """The machine's apt settings as files to mount into a build; mirror may be None."""

    mirror: aptsources.Mirror | None
    settings: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Built:
    """An image and the podman --volume options that let apt work in hosts made of it."""

    name: str
    mounts: tuple[str, ...]


def image_directory(name: str) -> Path:
    """Where the definition of an image lives."""
    directory = LAB_SOURCES / "image" / name
    if not any((directory / file).is_file() for file in ("Containerfile", "like")):
        raise LabError(f"An image {name} is wanted, but lab/image/{name}/ has neither Containerfile nor `like`.")
    return directory


def suites_of(directory: Path) -> list[str]:
    """Debian suites of an image: the file `suite` of its definition, else trixie.

    The first is its base; packages may come from the others as well, as its apt preferences say.
    """
    named = definition(directory).get("suite")
    return named.read_text().split() if named else ["trixie"]


def definition(directory: Path) -> dict[str, Path]:
    """Every file of an image's definition, by its path there.

    The file `like` names another image whose files are the definition as well, but for those that this one has itself.
    """
    own = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    like = own.pop("like", None)
    return {**(definition(image_directory(like.read_text().strip())) if like else {}), **own}


def definition_hash(directory: Path) -> str:
    """Hash of every file of the definition: path, executable bit and content."""
    digest = hashlib.sha256()
    for name, path in sorted(definition(directory).items()):
        executable = path.stat().st_mode & 0o111 != 0
        digest.update(f"{name}\0{executable}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def tag(name: str) -> str:
    """Full name of the image that the present definition makes."""
    return f"{PREFIX}{name}:{definition_hash(image_directory(name))}"


def exists(image: str) -> bool:
    """Whether podman has the image."""
    return run(["podman", "image", "exists", image]).returncode == 0


def read_apt() -> Apt:
    """Collect the machine's mirror, download settings and the files that those name."""
    mirror = aptsources.choose_mirror(aptsources.read_sources())
    dumped = run(["apt-config", "dump"]).stdout if shutil.which("apt-config") else ""
    settings, files = aptsources.carried_settings(dumped)
    extra = ["/etc/apt/auth.conf", "/etc/apt/auth.conf.d"]
    if mirror and mirror.keyring != aptsources.DEBIAN_KEYRING:
        extra.append(mirror.keyring)
    return Apt(mirror, settings, tuple(name for name in [*files, *extra] if Path(name).exists()))


def apt_mounts(apt: Apt, suites: list[str], state: Path) -> list[str]:
    """podman --volume options that make apt inside download as the machine itself does."""
    directory = state / "apt"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "settings.conf").write_text(apt.settings)
    mounts = [f"{directory}/settings.conf:/etc/apt/apt.conf.d/95lab:ro"]
    for suite in suites if apt.mirror else []:
        (directory / f"{suite}.sources").write_text(aptsources.sources_for(apt.mirror, suite))
        name = "debian" if suite == suites[0] else suite
        mounts.append(f"{directory}/{suite}.sources:/etc/apt/sources.list.d/{name}.sources:ro")
    mounts += [f"{name}:{name}:ro" for name in apt.files]
    return [word for mount in mounts for word in ("--volume", mount)]


def pull_base(suite: str) -> str | None:
    """Debian of that suite from a registry, None when none answers in time."""
    wanted = os.environ.get("BACKSTAY_LAB_BASE", f"debian:{suite}")
    try:
        pulled = run(["podman", "pull", "--quiet", wanted], timeout=REGISTRY_SECONDS)
    except LabError:
        return None
    return pulled.stdout.split()[-1] if pulled.returncode == 0 else None


def debootstrap(apt: Apt, suite: str, target: Path) -> None:
    """Make a minimal Debian in target from the machine's mirror."""
    if apt.mirror is None:
        raise LabError("No registry answers and the apt sources of this machine name no Debian archive to build from.")
    if not Path(apt.mirror.keyring).exists():
        raise LabError(f"The archive keyring {apt.mirror.keyring} is missing: install debian-archive-keyring.")
    env = {**os.environ, **aptsources.proxy_environment(apt.settings)}
    command = ["debootstrap", "--variant=minbase", f"--keyring={apt.mirror.keyring}", "--include=ca-certificates"]
    done = run([*command, suite, str(target), apt.mirror.archive], timeout=BUILD_SECONDS, env=env)
    if done.returncode != 0:
        errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("E:", "W:"))]
        raise LabError(f"debootstrap of {suite} failed, is the Debian mirror reachable? {' | '.join(errors[-3:])}")
    # The sources come from the machine, mounted into builds and hosts.
    (target / "etc/apt/sources.list").unlink(missing_ok=True)


def import_tree(tree: Path, image: str) -> None:
    """Make an image of a directory tree."""
    command = ["tar", "--numeric-owner", "--one-file-system", "-C", str(tree), "-c", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
        done = subprocess.run(["podman", "import", "-q", "-", image], stdin=tar.stdout, capture_output=True, check=False)
    if tar.returncode != 0 or done.returncode != 0:
        raise LabError(f"podman import failed: {done.stderr.decode(errors='replace').strip()[-300:]}")


def base_image(apt: Apt, suite: str) -> str:
    """Name of a minimal Debian of that suite; made once and kept."""
    base = f"{PREFIX}base:{suite}"
    if exists(base):
        return base
    pulled = pull_base(suite)
    if pulled:
        print(f"lab: base from a registry ({suite})", flush=True)
        must(["podman", "tag", pulled, base])
        return base
    print(f"lab: no registry answers, making a minimal {suite} with debootstrap", flush=True)
    with tempfile.TemporaryDirectory(prefix="lab-base-", dir="/var/tmp") as directory:
        tree = Path(directory) / "tree"
        debootstrap(apt, suite, tree)
        import_tree(tree, base)
    return base


def build(name: str, state: Path) -> Built:
    """Build an image unless the present definition is already built."""
    image = tag(name)
    directory = image_directory(name)
    suites = suites_of(directory)
    apt = read_apt()
    mounts = apt_mounts(apt, suites, state)
    if not exists(image):
        build_now(image, directory, base_image(apt, suites[0]), mounts)
    return Built(image, tuple(mounts))


def build_now(image: str, directory: Path, base: str, mounts: list[str]) -> None:
    """Run podman build as one layer, on the machine's own network."""
    started = time.monotonic()
    print(f"lab: building {image}", flush=True)
    command = ["podman", "build", "--quiet", "--network=host", "--isolation=chroot", "--layers=false", "--pull=never"]
    with tempfile.TemporaryDirectory(prefix="lab-image-") as context:
        for name, path in definition(directory).items():
            (Path(context) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, Path(context) / name)
        done = run([*command, *mounts, "--build-arg", f"BASE={base}", "--tag", image, context], timeout=BUILD_SECONDS)
    if done.returncode != 0:
        raise LabError(f"Building {image} failed: {' | '.join((done.stdout + done.stderr).splitlines()[-6:])}")
    print(f"lab: built {image} in {time.monotonic() - started:.0f} s", flush=True)


def remove_all() -> list[str]:
    """Remove the lab's images; returns those that another lab still uses."""
    listed = must(["podman", "images", "--format", "{{.Repository}}:{{.Tag}}"]).split()
    ours = [image for image in listed if image.startswith(PREFIX)]
    return [image for image in ours if run(["podman", "rmi", image]).returncode != 0]
