# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.backstay.fleet.plugins.filter.quote_name import FilterModule
from ansible_collections.backstay.fleet.plugins.module_utils.names import quote_name


def test_playbooks_and_workers_spell_names_the_same_way() -> None:
    assert FilterModule().filters() == {"quote_name": quote_name}
