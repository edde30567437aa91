# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_verdicts
short_description: Which units of a fleet restore may be worked on
version_added: 0.1.0
description:
  - A unit is ready, refused with a reason, left out by C(--limit) or done before.
author: Backstay contributors
positional: plans, hosts, done
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
  hosts:
    description: Hosts of the play.
    type: list
    required: true
    elements: str
  done:
    description: Entries that an earlier run restored, separated by commas.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what is ready
  ansible.builtin.debug:
    msg: "{{ book.units | backstay.fleet.fleet_verdicts(plans, ansible_play_hosts_all, '') }}"
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
        return {"fleet_verdicts": fleet_restore.verdicts}
