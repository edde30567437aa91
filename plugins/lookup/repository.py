# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of a protected host's repository."""

from __future__ import annotations

DOCUMENTATION = r"""
name: repository
author: Backstay contributors
version_added: 0.1.0
short_description: Where a protected host's repository is and what opens it
description:
  - Computes on the control node, from the inventory and the state directory, everything that gives access to the repository
    of a protected host.
  - The result holds secrets. Give C(no_log=true) to every task that uses it.
  - Secrets come from the inventory (vault) variables C(backstay_repository_password) and C(backstay_offsite_user_password).
    Where these are undefined they are made once and kept in C(secrets/<host>/) below C(backstay_state_dir) on the control node,
    readable by their owner only. Whoever loses the repository password loses the backups, so copy that directory to a safe
    place.
options:
  _terms:
    description: Inventory names of protected hosts.
    required: true
    type: list
    elements: str
  create:
    description: Make secrets that are missing. Without it a missing one is an error.
    type: bool
    default: false
  allow_missing:
    description: Return V(null) for a missing secret and name it under RV(_raw.missing), for check mode.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show where the backups of a host are kept
  ansible.builtin.debug:
    msg: "{{ lookup('backstay.fleet.repository', inventory_hostname).public_url }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: One element per term.
  type: list
  elements: dict
  contains:
    name: {description: The repository's name which is the inventory name of the protected host., type: str}
    directory: {description: Where the access files lie on the protected host or its worker., type: str}
    user: {description: User on the offsite server; null for a repository elsewhere., type: str}
    url: {description: restic's repository location with credentials. Secret., type: str}
    public_url: {description: The same without credentials., type: str}
    password: {description: The repository password. Secret., type: str}
    user_password: {description: Password of the user on the offsite server. Secret., type: str}
    ca_pem: {description: Certificate authority to trust; null means the system's., type: str}
    environment: {description: Environment variables restic needs. Secret., type: dict}
    files: {description: Contents of the access files by file name. Secret., type: dict}
    missing: {description: Names of what is missing; only with O(allow_missing)., type: list, elements: str}
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils.repository_access import AccessBuilder


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return the access of every host named in ``terms``."""
        self.set_options(var_options=variables, direct=kwargs)
        hostvars = (variables or {})["hostvars"]
        found = []
        for host in terms:
            if host not in hostvars:
                raise AnsibleLookupError(f"the inventory has no host named {host}")
            builder = AccessBuilder(host, hostvars[host], self.get_option("create"), self.get_option("allow_missing"))
            try:
                found.append(builder.build())
            except BackstayError as error:
                raise AnsibleLookupError(say(error)) from None
        return found
