# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: quote_name
short_description: Spell an inventory name as a file name
version_added: 0.1.0
description:
  - Every byte outside letters, digits, dot, underscore and hyphen becomes C(=XX), so that any inventory name
    makes a safe file name.
author: Backstay contributors
options:
  _input:
    description: The name.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the directory of the access files
  ansible.builtin.debug:
    msg: "/etc/backstay/repositories/{{ inventory_hostname | backstay.fleet.quote_name }}"
"""

RETURN = r"""
_value:
  description: The spelled name.
  type: str
"""

from collections.abc import Callable

from ansible_collections.backstay.fleet.plugins.module_utils.names import quote_name


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[[str], str]]:
        """Return the filter by name."""
        return {"quote_name": quote_name}
