# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of folders of accounts that root does not trust: they own the directory in which the picture is made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, CommandFailed, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.files import write_json
from ansible_collections.backstay.fleet.plugins.module_utils.folders import archive, manifest
from ansible_collections.backstay.fleet.plugins.module_utils.worker import picture
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job
from ansible_collections.backstay.fleet.plugins.module_utils.worker.steps import perform
from ansible_collections.backstay.fleet.plugins.module_utils.yard import INSIDE, yard
from unit.support.folders import archived, unpacked
from unit.support.sandbox import Sandbox
from unit.support.steps import good

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has anything to lose to others")
APPLICATION = 4711


@pytest.fixture
def job(sandbox: Sandbox) -> Job:
    made = Job(sandbox.create(sandbox.backup([good()])))
    made.prepare_work()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of an application that owns the directory above, too."""
    made = tmp_path / "home" / "data"
    (made / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (made / name).write_text(name)
    for path in (made.parent, made, *made.rglob("*")):
        os.chown(path, APPLICATION, APPLICATION)
    return made


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a folder of root with the names that the application has, too."""
    made = tmp_path / "etc"
    (made / "tree" / "sub").mkdir(parents=True)
    for name in ("tree/a", "tree/b", "tree/sub/c"):
        (made / name).write_text("root's")
    return made


def ahead(job: Job, folder: Path) -> None:
    perform(job, {"name": "Ahead", "copy_ahead": {"folder": str(folder), "method": "copy"}})


def take(job: Job, folder: Path) -> Path:
    perform(job, {"name": "Picture", "picture": {"folder": str(folder), "method": "copy"}})
    return Path(job.seen["pictures"][str(folder)].tree_elsewhere())


def lead_away(folder: Path, victim: Path, inside: bool) -> None:
    """Put a directory of the application's own in the place of root's, in which everything leads to ``victim``."""
    place = folder / INSIDE if inside else yard(folder)
    (name,) = [path.name for path in place.iterdir()]
    place.rename(place.with_name("away"))
    place.mkdir()
    (place / name).symlink_to(victim)


@pytest.mark.parametrize("inside", [False, True])
def test_who_owns_the_directory_above_cannot_lead_the_copy_elsewhere(
    job: Job, folder: Path, victim: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    before = archived(victim)
    if inside:
        ismount = os.path.ismount
        monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == str(folder) or ismount(path))
    ahead(job, folder)
    lead_away(folder, victim, inside)
    if inside:
        (folder / "away").rename(folder.parent / "away")
        shutil.rmtree(folder / INSIDE)
        (folder / INSIDE).symlink_to(victim.parent)
    for name in ("a", "sub/c"):
        (folder / name).write_text("newer")
    (folder / "b").unlink()
    tree = take(job, folder)
    assert archived(victim) == before
    assert (tree / "a").read_text() == "newer"
    assert not (tree / "b").exists()


def test_what_is_saved_is_the_folder_that_was_there_at_the_beginning(job: Job, folder: Path, victim: Path) -> None:
    ahead(job, folder)
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(victim / "tree")
    assert (take(job, folder) / "a").read_text() == "a"


def test_a_link_that_others_can_exchange_is_no_folder_to_save(job: Job, folder: Path, victim: Path) -> None:
    way = folder.with_name("way")
    way.symlink_to(victim)
    with pytest.raises(Refused, match="way is a link, and others than root can let it lead elsewhere"):
        ahead(job, way)


def test_a_link_of_root_is_followed(job: Job, folder: Path, tmp_path: Path) -> None:
    way = tmp_path / "way"
    way.symlink_to(folder)
    assert (take(job, way) / "a").read_text() == "a"
    assert [Path(entry["directory"]).parent for entry in job.folder.made()] == [yard(folder)]


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_picture_that_is_there_already_is_not_used(job: Job, folder: Path, victim: Path, kind: str) -> None:
    place = yard(folder) / f"picture-{job.specification['run']}"
    place.parent.mkdir()
    place.mkdir() if kind == "folder" else place.symlink_to(victim)
    with pytest.raises(CommandFailed, match="File exists"):
        ahead(job, folder)


def test_a_folder_that_is_not_there_is_named(job: Job, folder: Path) -> None:
    for name in ("absent/deep", "data/a"):
        with pytest.raises(CommandFailed, match=f"{name} is not a folder on this host"):
            ahead(job, folder.parent / name)


def test_nothing_stays_open_when_the_job_ends(job: Job, folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    take(job, folder)
    job.clear_work()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_snapshot_of_something_else_is_no_picture(
    job: Job, folder: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the folder led elsewhere at the moment of the snapshot of the subvolume around it."""

    def snapshot(_subvolume: Path, where: Path) -> None:
        shutil.copytree(victim, where / "home" / "data")

    def remove(where: Path) -> None:
        shutil.rmtree(where, ignore_errors=True)

    monkeypatch.setattr(picture.filesystem, "subvolume_of", lambda _folder: folder.parent.parent)
    monkeypatch.setattr(picture.filesystem, "take_snapshot", snapshot)
    monkeypatch.setattr(picture.filesystem, "remove_snapshot", remove)
    arguments: dict[str, Any] = {"folder": str(folder)}
    perform(job, {"name": "Picture", "picture": arguments})
    taken = job.seen["pictures"][str(folder)]
    assert taken.method == "snapshot"
    with pytest.raises(BackstayError, match="data was exchanged while its picture was made"):
        taken.tree_elsewhere()
    shutil.rmtree(taken.tree.parent)
    taken.tree.parent.symlink_to(victim)
    with pytest.raises(NotADirectoryError):
        taken.tree_elsewhere()


def test_another_process_archives_the_picture_that_is_held(job: Job, folder: Path, victim: Path) -> None:
    tree = take(job, folder)
    lead_away(folder, victim, inside=False)
    wanted = {"folder": str(folder), "tree": str(tree), "own": [], "exclude": [], "snapshot": False}
    write_json(job.folder.path / "archive-data.json", wanted)
    script = f"import sys; from {archive.__name__} import main; sys.exit(main(sys.argv[1:]))"
    argv = [sys.executable, "-c", script, str(job.folder.path), "data"]
    done = subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    into = unpacked(done.stdout, folder.parent.parent / "into")
    assert manifest.prove(into).entries == 5
    assert (into / "sub" / "c").read_text() == "sub/c"
    assert (into / "sub").stat().st_uid == APPLICATION
