# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_plan
short_description: The plan of a fleet restore for people
version_added: 0.1.0
description:
  - One line for each unit in the order of work and one with the total.
author: Backstay contributors
positional: plans, verdicts
options:
  _input:
    description: Units of a resolved runbook; see P(backstay.fleet.runbook#lookup).
    type: list
    required: true
    elements: dict
  plans:
    description: Plan or refusal by name of the unit.
    type: dict
    required: true
  verdicts:
    description: What P(backstay.fleet.fleet_verdicts#filter) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ book.units | backstay.fleet.fleet_plan(plans, verdicts) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.backstay.fleet.plugins.plugin_utils import fleet_restore


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"fleet_plan": fleet_restore.plan_lines}
