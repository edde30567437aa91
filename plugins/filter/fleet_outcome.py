# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_outcome
short_description: What came of a unit of a fleet restore
version_added: 0.1.0
description:
  - Keeps what the summary tells of a job's result.
author: Backstay contributors
positional: reason
options:
  _input:
    description: What the task that ran the job returned.
    type: dict
    required: true
  reason:
    description: Why it failed; empty when it did not.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the outcome
  ansible.builtin.debug:
    msg: "{{ job | backstay.fleet.fleet_outcome('') }}"
"""

RETURN = r"""
_value:
  description: Status with reason and seconds and what the result has of run and target and bytes and aside and put_back.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.backstay.fleet.plugins.plugin_utils import fleet_restore


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"fleet_outcome": fleet_restore.outcome}
