# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of the users of an offsite server."""

from __future__ import annotations

DOCUMENTATION = r"""
name: offsite_users
author: Backstay contributors
version_added: 0.1.0
short_description: The htpasswd text of an offsite server
description:
  - Returns the htpasswd text with one user per protected host of the inventory that keeps its repository on the server.
    A protected host is every host of a group whose name starts with C(app_), whatever C(--limit) says.
  - Lines that still fit are kept as they are. The result holds password hashes, so give C(no_log=true) to tasks that use it.
options:
  _terms:
    description: Inventory name of the offsite server. Exactly one.
    required: true
    type: list
    elements: str
  present:
    description: The htpasswd text that is on the server now.
    type: str
    default: ""
  keep_unknown:
    description: Keep users that no protected host of the inventory explains.
    type: bool
    default: true
  create:
    description: Make passwords that are missing. Never for a user that the server has already.
    type: bool
    default: false
  allow_missing:
    description: Give users whose password is missing a line that no password opens, for check mode.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Write the users
  ansible.builtin.copy:
    dest: /etc/backstay-offsite/htpasswd
    content: "{{ lookup('backstay.fleet.offsite_users', inventory_hostname, create=true) }}"
    mode: "0640"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The htpasswd text.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils.htpasswd import merge, parse
from ansible_collections.backstay.fleet.plugins.plugin_utils.repository_access import (
    AccessBuilder,
    offsite_user,
    protected_hosts,
    uses_server,
)


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the htpasswd text of the one server in ``terms``."""
        self.set_options(var_options=variables, direct=kwargs)
        if len(terms) != 1:
            raise AnsibleLookupError("offsite_users wants the inventory name of one offsite server")
        given = variables or {}
        hosts = [host for host in protected_hosts(given["groups"]) if uses_server(given["hostvars"][host], terms[0])]
        try:
            present = parse(self.get_option("present"))
            passwords = {offsite_user(host): self._password(host, given["hostvars"][host], present) for host in hosts}
            return [merge(self.get_option("present"), passwords, self.get_option("keep_unknown"))]
        except BackstayError as error:
            raise AnsibleLookupError(say(error)) from None

    def _password(self, host: str, variables: Any, present: dict[str, str]) -> str | None:
        exists = offsite_user(host) in present
        create, allow_missing = self.get_option("create"), self.get_option("allow_missing") and not exists
        return AccessBuilder(host, variables, create, allow_missing).user_password(exists)
