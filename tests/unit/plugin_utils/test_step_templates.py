# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.backstay.fleet.plugins.plugin_utils.step_templates import steps_for

STEP = {"name": "Save {folder}", "archive": {"folder": "{folder}", "estimate_bytes": "{bytes}", "method": "auto"}}


def test_every_item_gets_its_steps_in_order_and_values_keep_their_type() -> None:
    items = [{"folder": "/a", "bytes": 5}, {"folder": "/{bytes}", "bytes": 0}]
    assert steps_for(items, [STEP, {"name": "Next"}]) == [
        {"name": "Save /a", "archive": {"folder": "/a", "estimate_bytes": 5, "method": "auto"}},
        {"name": "Next"},
        {"name": "Save /{bytes}", "archive": {"folder": "/{bytes}", "estimate_bytes": 0, "method": "auto"}},
        {"name": "Next"},
    ]


def test_a_key_for_which_there_is_nothing_is_left_out() -> None:
    step = {"service": {"name": "{service}", "control": "{control}"}}
    control = {"stop": ["a"], "start": ["b"]}
    assert steps_for([{"service": "x"}, {"service": "y", "control": control}], [step]) == [
        {"service": {"name": "x"}},
        {"service": {"name": "y", "control": control}},
    ]


def test_what_steps_replace_themselves_stays() -> None:
    step = {"land": {"into": "{yard}/{set}", "unpack": ["tar", "{into}", "-C{into}"]}}
    assert steps_for([{"yard": "/y"}], [step]) == [{"land": {"into": "/y/{set}", "unpack": ["tar", "{into}", "-C{into}"]}}]


def test_without_items_there_are_no_steps() -> None:
    assert steps_for([], [STEP]) == []
