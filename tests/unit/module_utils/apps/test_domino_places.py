# SPDX-License-Identifier: GPL-3.0-or-later
"""Domino: where databases lie, which links are followed, which folders a set has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino import ini, inspection, places
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CommandFailed

# Where databases lie


def test_links_of_folders_and_of_databases_are_followed(notesdata: Path, tmp_path: Path) -> None:
    found = places.scan(notesdata)
    assert sorted(found.databases) == ["apps/parts.nsf", "archive/old.nsf", "mail.box", "mail/a.nsf", "names.nsf"]
    assert found.databases["archive/old.nsf"] == f"{tmp_path}/archive/old.nsf"
    assert found.folders == {"archive": f"{tmp_path}/archive"}
    assert found.links == {"apps/parts.nsf": f"{tmp_path}/linked/parts.nsf"}


def test_a_place_has_one_spelling(tmp_path: Path) -> None:
    (tmp_path / "disk/archive").mkdir(parents=True)
    (tmp_path / "local").symlink_to(tmp_path / "disk")
    assert places.real(f"//{tmp_path}/local/../local/archive") == f"{tmp_path}/disk/archive"
    assert places.real("//local/notesdata/x.nsf") == "/local/notesdata/x.nsf"
    assert places.real("") == ""


def test_a_link_that_leads_nowhere_is_told(notesdata: Path) -> None:
    (notesdata / "gone.dir").write_text("/nowhere/at/all\n")
    with pytest.raises(CommandFailed, match=r"gone\.dir leads to /nowhere/at/all"):
        places.scan(notesdata)


def test_symbolic_links_are_followed_out_of_the_data_directory_and_never_in_circles(notesdata: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    (far / "mail").mkdir(parents=True)
    (far / "mail/b.nsf").write_bytes(b"NSF1data")
    (notesdata / "more").symlink_to(far)
    (notesdata / "mail/again").symlink_to(notesdata / "mail")
    (far / "mail/up").symlink_to(far)
    (far / "back").symlink_to(notesdata)
    (notesdata / "names2.nsf").symlink_to(far / "mail/b.nsf")
    found = places.scan(notesdata)
    own = ["apps/parts.nsf", "archive/old.nsf", "mail.box", "mail/a.nsf", "more/mail/b.nsf", "names.nsf", "names2.nsf"]
    assert sorted(found.databases) == own
    assert found.folders["more"] == str(far) and found.links["names2.nsf"] == f"{far}/mail/b.nsf"
    assert places.scan(notesdata, [str(far)]).folders.keys() == {"archive"}, "it is saved as what it is"
    left = places.scan(notesdata, [], ["more"])
    assert "more" not in left.folders and left.left == [str(far)]


@pytest.mark.parametrize("name", ["loop", "gone", "gone.nsf"])
def test_symbolic_links_that_lead_nowhere_are_told(notesdata: Path, name: str) -> None:
    (notesdata / name).symlink_to(notesdata / name if name == "loop" else "/nowhere/at/all")
    with pytest.raises(CommandFailed, match=name):
        places.scan(notesdata)


def test_links_in_a_circle_come_to_an_end(notesdata: Path) -> None:
    (notesdata / "round.dir").write_text(f"{notesdata}\n")
    assert "mail/a.nsf" in places.scan(notesdata).databases


@pytest.mark.parametrize(
    ("path", "patterns", "out"),
    [
        ("mail/a.nsf", ["mail/"], True),
        ("Mail/A.nsf", ["mail/a*"], True),
        ("mail/a.nsf", ["a.nsf"], False),
        ("log.nsf", ["*.ntf"], False),
        ("x/pernames.ntf", ["*.ntf"], True),
    ],
)
def test_databases_are_excluded_from_the_beginning_of_their_paths(path: str, patterns: list[str], out: bool) -> None:
    assert places.left_out(path, patterns) is out


def test_of_several_folders_the_outermost_count() -> None:
    assert places.outermost(["/a/b", "/a", "/ab", "/a"]) == ["/a", "/ab"]


def test_the_linked_database_of_a_stopped_server_is_saved_without_its_neighbours(notesdata: Path, tmp_path: Path) -> None:
    ((artifact, role, folder, exclude),) = inspection._alone(places.scan(notesdata), [str(notesdata)])
    assert (artifact, role, folder, exclude) == ("links-1", "links", f"{tmp_path}/linked", ["other.txt"])


@pytest.mark.parametrize("name", ["a*b", "[x]", "q?", "plain"])
def test_a_pattern_for_one_name_stands_for_nothing_else(name: str) -> None:
    from fnmatch import fnmatchcase

    assert fnmatchcase(name, inspection._literal(name))
    assert not fnmatchcase(name + "x", inspection._literal(name))


# Folders that no set is whole without


@pytest.mark.parametrize(
    ("method", "leave_out", "missing", "words"),
    [
        ("native", [], "", ""),
        ("native", ["LOGDIR"], "", ""),
        ("native", ["DAOS"], "", "leaves .*DAOS out"),
        ("offline", ["LOGDIR"], "", "leaves .*LOGDIR out"),
        ("native", [], "DAOS", "DAOS is not there"),
        ("offline", [], "LOGDIR", "LOGDIR is not there"),
    ],
)
def test_attachments_and_logs_are_there_and_in_the_set(
    tmp_path: Path, method: str, leave_out: list[str], missing: str, words: str
) -> None:
    for name in {"DAOS", "LOGDIR"} - {missing}:
        (tmp_path / name).mkdir()
    settings = ini.settings(f"[Notes]\nDirectory={tmp_path}\nDAOSEnable=1\nTRANSLOG_Status=1\n")
    checks: list[Any] = []
    try:
        inspection._require_folders({"leave_out": leave_out}, settings, {"method": method}, checks)
    except inspection._Stop:
        assert words and re.search(words, checks[-1]["detail"])
    else:
        assert not words


def test_a_folder_that_is_a_filesystem_of_its_own_within_the_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DAOS").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: str(path).endswith("DAOS"))
    settings = ini.settings(f"[Notes]\nDirectory={tmp_path}\nDAOSEnable=1\n")
    checks: list[Any] = []
    with pytest.raises(inspection._Stop):
        inspection._require_folders({"leave_out": []}, settings, {"method": "native"}, checks)
    assert "a filesystem of its own" in checks[-1]["detail"]


@pytest.mark.parametrize("method", ["native", "offline"])
def test_attachments_come_after_everything_that_refers_to_them(notesdata: Path, tmp_path: Path, method: str) -> None:
    """DOM-1: every reference in a copy of a database resolves, whatever is stored meanwhile."""
    for name in ("daos", "translog"):
        (tmp_path / name).mkdir()
    lines = [f"Directory={notesdata}", "DAOSEnable=1", f"DAOSBasePath={tmp_path}/daos", "TRANSLOG_Status=1"]
    settings = ini.settings("\n".join([*lines, f"TRANSLOG_Path={tmp_path}/translog"]))
    found = inspection._folders({"leave_out": []}, settings, places.scan(notesdata), {"method": method})
    names = [item["artifact"] for item in found]
    assert names == {"native": ["data", "linked-1", "daos"], "offline": ["data", "linked-1", "links-1", "log", "daos"]}[method]
