# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: schedule_problems
short_description: Say what is wrong with a list of schedule entries
version_added: 0.1.0
description:
  - One sentence for each problem, naming the entry; empty when all is well. Whether systemd understands a calendar is not
    looked at here.
author: Backstay contributors
options:
  _input:
    description: The entries, as in C(schedule_entries) of the role P(backstay.fleet.schedule#role).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse entries that cannot be scheduled
  ansible.builtin.assert:
    that: schedule_entries | backstay.fleet.schedule_problems == []
"""

RETURN = r"""
_value:
  description: The sentences.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils.schedule import entry_problems


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[[Any], list[str]]]:
        """Return the filter by name."""
        return {"schedule_problems": entry_problems}
