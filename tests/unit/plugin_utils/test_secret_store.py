# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import Refused
from ansible_collections.backstay.fleet.plugins.plugin_utils.secret_store import (
    SecretMissing,
    SecretStore,
    create_private,
    read_private,
    state_directory,
)


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path / "state")


def test_a_secret_is_made_once_and_stays(store: SecretStore) -> None:
    first = store.obtain("db1", "repository-password", create=True)
    assert len(first) >= 40
    assert store.obtain("db1", "repository-password", create=True) == first
    assert store.obtain("db1", "repository-password", create=False) == first
    assert store.obtain("db2", "repository-password", create=True) != first


def test_files_are_0600_in_directories_0700(store: SecretStore) -> None:
    store.obtain("db1", "x", create=True)
    path = store.path("db1", "x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [folder.stat().st_mode & 0o777 for folder in list(path.parents)[:3]] == [0o700] * 3
    assert [entry.name for entry in path.parent.iterdir()] == ["x"]


def test_without_create_a_missing_secret_is_an_error_that_leaves_nothing(store: SecretStore, tmp_path: Path) -> None:
    with pytest.raises(SecretMissing, match="there is no repository-password of db1"):
        store.obtain("db1", "repository-password", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_secret_others_can_reach_is_refused(store: SecretStore, mode: int) -> None:
    store.obtain("db1", "x", create=True)
    store.path("db1", "x").chmod(mode)
    with pytest.raises(Refused, match="is open to other users"):
        store.read("db1", "x")


def test_a_directory_others_can_enter_is_refused(store: SecretStore) -> None:
    store.obtain("db1", "x", create=True)
    store.path("db1", "x").parent.chmod(0o755)
    with pytest.raises(Refused, match="is open to other users"):
        store.obtain("db1", "y", create=True)


def test_an_empty_secret_is_refused_and_not_made_anew(store: SecretStore) -> None:
    store.obtain("db1", "x", create=True)
    store.path("db1", "x").write_text("")
    with pytest.raises(Refused, match="is empty"):
        store.obtain("db1", "x", create=True)


def test_a_symbolic_link_is_not_followed(store: SecretStore, tmp_path: Path) -> None:
    store.obtain("db1", "x", create=True)
    (tmp_path / "elsewhere").write_text("planted")
    (tmp_path / "elsewhere").chmod(0o600)
    store.path("db1", "y").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        store.read("db1", "y")


def test_all_who_make_the_same_secret_at_once_get_the_same(store: SecretStore) -> None:
    start, got = threading.Barrier(8), []

    def make() -> None:
        start.wait()
        got.append(store.obtain("db1", "x", create=True))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert set(got) == {store.read("db1", "x")}


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    assert create_private(folder / "x", "first") == "first"
    assert create_private(folder / "x", "second") == "first"
    assert read_private(folder / "x") == "first"


def test_odd_inventory_names_stay_inside_the_store(store: SecretStore) -> None:
    for host in ("../up", "a/b", ".hidden", "ä b"):
        store.obtain(host, "x", create=True)
        assert store.path(host, "x").resolve() == store.path(host, "x")
    assert len({store.path(host, "x") for host in ("a/b", "a b", "a=2Fb")}) == 3


@pytest.mark.parametrize(
    ("chosen", "environment", "wanted"),
    [
        ("/var/x", {"BACKSTAY_STATE_DIR": "/env", "XDG_STATE_HOME": "/xdg"}, "/var/x"),
        (None, {"BACKSTAY_STATE_DIR": "/env", "XDG_STATE_HOME": "/xdg"}, "/env"),
        ("", {"XDG_STATE_HOME": "/xdg"}, "/xdg/backstay"),
        (None, {}, str(Path.home() / ".local/state/backstay")),
    ],
)
def test_where_the_state_is(chosen: str | None, environment: dict[str, str], wanted: str) -> None:
    assert str(state_directory(chosen, environment)) == wanted
