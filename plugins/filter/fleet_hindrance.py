# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_hindrance
short_description: Why a unit of a fleet restore may not begin
version_added: 0.1.0
description:
  - A unit begins only when everything that it comes after was restored.
author: Backstay contributors
positional: known
options:
  _input:
    description: A unit of a resolved runbook.
    type: dict
    required: true
  known:
    description: Verdicts overlaid by the outcomes so far by name of the unit.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what hinders the second unit
  ansible.builtin.debug:
    msg: "{{ book.units[1] | backstay.fleet.fleet_hindrance(verdicts) }}"
"""

RETURN = r"""
_value:
  description: The reason; empty when it may begin.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.backstay.fleet.plugins.plugin_utils import fleet_restore


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"fleet_hindrance": fleet_restore.hindrance}
