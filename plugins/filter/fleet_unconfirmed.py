# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_unconfirmed
short_description: Which confirmation a fleet restore lacks
version_added: 0.1.0
description:
  - Live data is replaced only on hosts that are named.
author: Backstay contributors
positional: hosts, done, confirmed
options:
  _input:
    description: Units of a resolved runbook; see P(backstay.fleet.runbook#lookup).
    type: list
    required: true
    elements: dict
  hosts:
    description: Hosts of the play.
    type: list
    required: true
    elements: str
  done:
    description: Entries that an earlier run restored, separated by commas.
    type: str
    required: true
  confirmed:
    description: Hosts that were named, separated by commas.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what to confirm
  ansible.builtin.debug:
    msg: "{{ book.units | backstay.fleet.fleet_unconfirmed(ansible_play_hosts_all, '', backstay_confirm) }}"
"""

RETURN = r"""
_value:
  description: What to pass as C(backstay_confirm); empty when nothing lacks.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.backstay.fleet.plugins.plugin_utils import fleet_restore


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"fleet_unconfirmed": fleet_restore.unconfirmed}
