# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: standby_verdict
short_description: What came of asking for a lease
version_added: 0.1.0
description:
  - Judges the answers of the servers of a system, one of which is to be stopped while another one stays up.
author: Backstay contributors
positional: plan, settled, asked
options:
  _input:
    description: Inventory name of the server that is to be stopped.
    type: str
    required: true
  plan:
    description: Its registered answer.
    type: dict
    required: true
  settled:
    description: Registered answers about the leases that it keeps itself.
    type: list
    elements: dict
    default: []
  asked:
    description: Registered answers of the servers that might stay up.
    type: list
    elements: dict
    default: []
  forget:
    description: Holders of leases that are gone for good, separated by commas.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show who stays up
  ansible.builtin.debug:
    msg: "{{ (inventory_hostname | backstay.fleet.standby_verdict(said, [], asked.results)).keeper }}"
"""

RETURN = r"""
_value:
  description: C(keeper), C(over), C(again) and C(sentence).
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.backstay.fleet.plugins.plugin_utils.standby_verdict import verdict


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"standby_verdict": verdict}
