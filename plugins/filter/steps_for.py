# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: steps_for
short_description: Repeat steps of a procedure for each of several things
version_added: 0.1.0
description:
  - Returns the steps once for each item, with C({name}) replaced by the item's value of that name.
  - A value that is nothing but C({name}) keeps the type of what it stands for; its key is left out when the item has none.
author: Backstay contributors
positional: steps
options:
  _input:
    description: The things, such as folders.
    type: list
    required: true
    elements: dict
  steps:
    description: The steps.
    type: list
    required: true
    elements: dict
"""

EXAMPLES = r"""
- name: Declare a picture of every folder
  ansible.builtin.set_fact:
    steps: "{{ backstay_facts.folders | backstay.fleet.steps_for(templates) }}"
  vars:
    templates:
      - name: Take the picture of {folder}
        picture:
          folder: "{folder}"
"""

RETURN = r"""
_value:
  description: The steps.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.backstay.fleet.plugins.plugin_utils.step_templates import steps_for


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"steps_for": steps_for}
