# SPDX-License-Identifier: GPL-3.0-or-later
"""Root works in directories of accounts that it does not trust: what they exchange leads it nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import Refused
from ansible_collections.backstay.fleet.plugins.module_utils.folders.metadata import apply_metadata, read_metadata
from ansible_collections.backstay.fleet.plugins.module_utils.pinned import open_folder, opened, place
from ansible_collections.backstay.fleet.plugins.module_utils.yard import hold_yard, open_yard, yard

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has anything to lose to others")
APPLICATION = 4711


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a directory of an application's account, with its data folder in it."""
    made = tmp_path / "home"
    (made / "data").mkdir(parents=True)
    for path in (made, made / "data"):
        os.chown(path, APPLICATION, APPLICATION)
    return made


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Nothing stays open, whatever happens."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def link(path: Path, to: Path | str, owner: int = 0) -> Path:
    path.symlink_to(to)
    os.lchown(path, owner, owner)
    return path


@pytest.mark.parametrize("target", ["home/data", "{}/home/data", "./home/../home/data", "second/data"])
def test_links_of_root_are_followed(tmp_path: Path, home: Path, descriptors: None, target: str) -> None:
    link(tmp_path / "second", "home")
    way = link(tmp_path / "way", target.format(tmp_path))
    with opened(way) as held:
        assert Path(place(held)).readlink() == home / "data"


@pytest.mark.parametrize(
    ("folder", "owner", "mode"),
    [("home", APPLICATION, 0o755), ("home", 0, 0o755), ("mine", APPLICATION, 0o755), ("mine", 0, 0o777), ("mine", 0, 0o775)],
)
def test_a_link_that_others_can_exchange_is_refused(
    tmp_path: Path, home: Path, descriptors: None, folder: str, owner: int, mode: int
) -> None:
    (tmp_path / "mine").mkdir()
    way = link(tmp_path / folder / "way", "/etc", owner)
    way.parent.chmod(mode)
    with pytest.raises(Refused, match="way is a link, and others than root can let it lead elsewhere"):
        open_folder(way / "ssl" / "certs")


def test_a_link_of_root_in_a_sticky_directory_is_roots(tmp_path: Path, descriptors: None) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    with opened(link(tmp_path / "tmp" / "way", "/etc")) as held:
        assert Path(place(held)).readlink() == Path("/etc")


def test_what_is_no_folder_is_not_opened(tmp_path: Path, descriptors: None) -> None:
    (tmp_path / "file").touch()
    link(tmp_path / "round", "round")
    with pytest.raises(NotADirectoryError):
        open_folder(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        open_folder(tmp_path / "absent" / "x")
    with pytest.raises(Refused, match="too many links"):
        open_folder(tmp_path / "round")


def test_a_yard_that_somebody_else_made_is_refused(home: Path, descriptors: None) -> None:
    yard(home / "data").mkdir()
    os.chown(yard(home / "data"), APPLICATION, APPLICATION)
    with pytest.raises(Refused, match=r"\.backstay-data was made by somebody else"):
        open_yard(home / "data")


def test_a_link_for_a_yard_is_refused_and_not_followed(tmp_path: Path, home: Path, descriptors: None) -> None:
    target = tmp_path / "private"
    target.mkdir(mode=0o700)
    for owner in (0, APPLICATION):
        way = link(yard(home / "data"), target, owner)
        with pytest.raises(Refused, match="was made by somebody else"):
            open_yard(home / "data")
        way.unlink()
    assert target.stat().st_mode & 0o777 == 0o700


def test_a_yard_that_is_held_cannot_be_exchanged(tmp_path: Path, home: Path, descriptors: None) -> None:
    with hold_yard(home / "data") as held:
        yard(home / "data").rename(home / "away")
        link(yard(home / "data"), tmp_path, APPLICATION)
        os.mkdir("picture", dir_fd=held)
    assert (home / "away" / "picture").is_dir()
    assert not (tmp_path / "picture").exists()
    assert (home / "away").stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize("moment", ["before", "after it was looked at"])
def test_metadata_does_not_go_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "folder"
    victim.mkdir(mode=0o700)
    folder.mkdir()
    wanted = read_metadata(os.fsencode(folder))._replace(mode=0o40777, uid=APPLICATION, xattrs={"user.x": b"1"})
    before, status = read_metadata(os.fsencode(victim)), os.fstat

    def exchange(*_given: object) -> None:
        if not folder.is_symlink():
            folder.rename(tmp_path / "away")
            folder.symlink_to(victim)

    if moment == "before":
        exchange()
        with pytest.raises(FileNotFoundError, match="exchanged"):
            apply_metadata(os.fsencode(folder), wanted)
    else:
        monkeypatch.setattr(os, "fstat", lambda held: (status(held), exchange())[0])
        apply_metadata(os.fsencode(folder), wanted)
        assert read_metadata(os.fsencode(tmp_path / "away")) == wanted
    assert read_metadata(os.fsencode(victim)) == before
