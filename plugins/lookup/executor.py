# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: executor
short_description: How the worker of a host touches it
version_added: 0.1.0
description:
  - Computes from the inventory what a job says of its executor. Empty where the host works for itself (C(backstay_worker)).
  - The variables are those of C(roles/executor), and so are their defaults.
  - An app that cannot work in this way is an error.
author: Backstay contributors
options:
  _terms:
    description: Inventory names of protected hosts.
    type: list
    elements: str
    required: true
  app:
    description: The app that is at work. Empty means whichever of the host's apps works through another machine.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show as whom the worker logs in
  ansible.builtin.debug:
    msg: "{{ lookup('backstay.fleet.executor', inventory_hostname).account | default('it works on the host itself') }}"
"""

RETURN = r"""
_raw:
  description: One element per term.
  type: list
  elements: dict
  contains:
    name: {description: Name of the executor., type: str}
    address: {description: Where the worker reaches the host., type: str}
    port: {description: TCP port there., type: int}
    account: {description: Account of the host that the worker logs in as., type: str}
    access: {description: Directory on the worker with what it needs to log in., type: str}
    directory: {description: Directory on the host for what a job needs there., type: str}
    staging: {description: V(pull) or V(share)., type: str}
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils.executor_settings import settings_of
from ansible_collections.backstay.fleet.plugins.plugin_utils.inventory_apps import apps_of, known_apps


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return the settings of every host in ``terms``."""
        self.set_options(var_options=variables, direct=kwargs)
        app, found = self.get_option("app"), variables or {}
        try:
            return [
                settings_of(host, found["hostvars"][host], [app] if app else apps_of(host, found["groups"], known_apps()))
                for host in terms
            ]
        except BackstayError as error:
            raise AnsibleLookupError(say(error)) from None
