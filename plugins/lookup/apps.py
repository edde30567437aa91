# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: apps
short_description: The apps of a host
version_added: 0.1.0
description:
  - Reads the groups C(app_*) of hosts. A host that the inventory does not have, a group that is named like an app and is none,
    and a host without an app are errors.
author: Backstay contributors
options:
  _terms:
    description: Inventory names of hosts.
    type: list
    elements: str
    required: true
  only:
    description: The only app to name. Empty means all.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show what is protected on this host
  ansible.builtin.debug:
    msg: "{{ lookup('backstay.fleet.apps', inventory_hostname) }}"
"""

RETURN = r"""
_list:
  description: For each host the names of its apps, sorted.
  type: list
  elements: list
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils.inventory_apps import apps_of, known_apps


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[list[str]]:
        """Return the apps of every host in ``terms``."""
        self.set_options(var_options=variables, direct=kwargs)
        groups, known = (variables or {})["groups"], known_apps()
        try:
            return [apps_of(host, groups, known, self.get_option("only")) for host in terms]
        except BackstayError as error:
            raise AnsibleLookupError(say(error)) from None
