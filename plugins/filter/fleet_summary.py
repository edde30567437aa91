# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_summary
short_description: The summary of a fleet restore for people
version_added: 0.1.0
description:
  - One line for each unit in the order of work and one with the total.
author: Backstay contributors
positional: words
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
"""

EXAMPLES = r"""
- name: Show the summary
  ansible.builtin.debug:
    msg: "{{ book.units | backstay.fleet.fleet_summary(words) }}"
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
        return {"fleet_summary": fleet_restore.summary_lines}
