# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: catalog_replication
short_description: Which catalog folders a server gets back from others
version_added: 0.1.0
description:
  - Names a source for every folder that a PowerShare catalog server should hold and has no good copy of. Folders that live
    nowhere else are left out; when only such are missing, it is an error, and so is a server that does not run.
author: Backstay contributors
positional: answer
options:
  _input:
    description: What the lookup C(catalog_system) says of the host.
    type: dict
    required: true
  answer:
    description: Registered result of the system's query command.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what would be replicated
  ansible.builtin.debug:
    msg: "{{ lookup('backstay.fleet.catalog_system', inventory_hostname) | backstay.fleet.catalog_replication(answer) }}"
"""

RETURN = r"""
_value:
  description: C(folder), C(from) and C(to) for every folder.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils import catalog_replication


def replication(*arguments: Any) -> list[dict[str, str]]:
    """Return what is to be replicated; a refusal is an error of the template."""
    try:
        return catalog_replication.replication(*arguments)
    except BackstayError as error:
        raise AnsibleFilterError(say(error)) from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"catalog_replication": replication}
