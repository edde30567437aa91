# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: catalog_system
short_description: The PowerShare catalog system of a host
version_added: 0.1.0
description:
  - Reads C(app_powershare_system), C(app_powershare_master) and C(app_powershare_folders) of all hosts in the group
    C(app_powershare). Hosts with the same system are the members of one catalog system.
author: Backstay contributors
options:
  _terms:
    description: Inventory names of hosts.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show which servers stand in for this one
  ansible.builtin.debug:
    msg: "{{ lookup('backstay.fleet.catalog_system', inventory_hostname).others | map(attribute='host') }}"
"""

RETURN = r"""
_list:
  description: For each host C(system), C(name), C(master), C(own) and C(others). C(others) is empty without a system.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils.catalog_system import GROUP, describe


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return the catalog system of every host in ``terms``."""
        self.set_options(var_options=variables, direct=kwargs)
        known = variables or {}
        try:
            return [describe(host, known["groups"].get(GROUP, []), known["hostvars"]) for host in terms]
        except BackstayError as error:
            raise AnsibleLookupError(say(error)) from None
