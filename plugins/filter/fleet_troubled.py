# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_troubled
short_description: Which units of a host a fleet restore did not restore
version_added: 0.1.0
description:
  - Names the units of one target that were restored neither now nor before.
author: Backstay contributors
positional: words, host
options:
  _input:
    description: Units of a resolved runbook; see P(backstay.fleet.runbook#lookup).
    type: list
    required: true
    elements: dict
  words:
    description: What P(backstay.fleet.fleet_final#filter) returned.
    type: dict
    required: true
  host:
    description: Inventory name of the target.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what this host lacks
  ansible.builtin.debug:
    msg: "{{ book.units | backstay.fleet.fleet_troubled(words, inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: Names of the units.
  type: list
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.backstay.fleet.plugins.plugin_utils import fleet_restore


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"fleet_troubled": fleet_restore.troubled}
