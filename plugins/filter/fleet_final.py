# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_final
short_description: The last word on each unit of a fleet restore
version_added: 0.1.0
description:
  - Overlays verdicts by outcomes; what never had its turn was not begun.
author: Backstay contributors
positional: verdicts, outcomes
options:
  _input:
    description: Units of a resolved runbook; see P(backstay.fleet.runbook#lookup).
    type: list
    required: true
    elements: dict
  verdicts:
    description: What P(backstay.fleet.fleet_verdicts#filter) returned.
    type: dict
    required: true
  outcomes:
    description: Outcomes by name of the unit.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show how it ended
  ansible.builtin.debug:
    msg: "{{ book.units | backstay.fleet.fleet_final(verdicts, outcomes) }}"
"""

RETURN = r"""
_value:
  description: Status and reason by name of the unit.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.backstay.fleet.plugins.plugin_utils import fleet_restore


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"fleet_final": fleet_restore.final}
