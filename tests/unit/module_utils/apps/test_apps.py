# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import apps
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput


@pytest.mark.parametrize("name", ["", "nosuch", "MySQL", "../mysql", "mysql.calls", "mysql\n", "1x", "os"])
def test_what_is_no_app_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="app"):
        apps.load_app(name)


def test_an_app_that_breaks_on_import_is_not_taken_for_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == f"{apps.__name__}.broken":
                raise ModuleNotFoundError("No module named 'needed'", name="needed")

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="needed"):
        apps.load_app("broken")


def test_only_kinds_that_the_app_can_make_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType("made")
    made.KINDS = ("full", "log")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"{apps.__name__}.made", made)
    apps.require_kind("made", "log")
    with pytest.raises(BadInput, match="differential") as refusal:
        apps.require_kind("made", "differential")
    assert "full, log" in refusal.value.hint


@pytest.mark.parametrize(
    ("offered", "asked", "sentence", "hint"),
    [
        (None, "ssh", "x cannot be reached through ssh", "leave backstay_worker out"),
        (("winrm",), "ssh", "x cannot be reached through ssh", "it works through winrm"),
        (("winrm",), "local", "x cannot work on the protected host itself", "name another machine in backstay_worker"),
    ],
)
def test_an_executor_that_an_app_cannot_use_is_refused_with_what_helps(
    monkeypatch: pytest.MonkeyPatch, offered: tuple[str, ...] | None, asked: str, sentence: str, hint: str
) -> None:
    monkeypatch.setattr(apps, "load_app", lambda _name: SimpleNamespace(**({"EXECUTORS": offered} if offered else {})))
    with pytest.raises(BadInput, match=f"^{sentence}$") as caught:
        apps.require_executor("x", asked)
    assert caught.value.hint == hint
    apps.require_executor("x", offered[0] if offered else "local")
