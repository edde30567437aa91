# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of a runbook, resolved against the inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: runbook
author: Backstay contributors
version_added: 0.1.0
short_description: What a runbook for a fleet restore says, held against the inventory
description:
  - Reads a runbook file, checks it and resolves it to units, one for each app of each source host, in the order of work.
  - A wrong runbook is an error with one sentence for each mistake. The format is in C(docs/operating/restore-fleet.md).
options:
  _terms:
    description: Path of the runbook file on the control node.
    required: true
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show which hosts a runbook restores to
  ansible.builtin.debug:
    msg: "{{ lookup('backstay.fleet.runbook', 'runbooks/shop.yml').targets }}"
"""

RETURN = r"""
_raw:
  description: One element per term.
  type: list
  elements: dict
  contains:
    units:
      description:
        - What is to be restored. Each has C(name), C(entry), C(source), C(app), C(target), C(directory), C(moment), C(set),
          C(after) (names of units), C(wave) and C(step).
      type: list
      elements: dict
    targets: {description: Inventory names of the hosts that receive data., type: list, elements: str}
    steps: {description: Number of steps; a target restores at most one unit in each., type: int}
    busiest: {description: The most units that one target has., type: int}
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils.inventory_apps import known_apps
from ansible_collections.backstay.fleet.plugins.plugin_utils.runbook import Inventory, read_runbook, resolve


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return every runbook named in ``terms``, resolved."""
        self.set_options(var_options=variables, direct=kwargs)
        known = variables or {}
        hostvars = known.get("hostvars") or {}  # there are none where the hosts of a play are chosen
        inventory = Inventory(known["groups"], known_apps(), lambda host: machine(host, hostvars.get(host, {})))
        found = []
        for term in terms:
            try:
                found.append(resolve(_read(term), inventory))
            except BackstayError as error:
                raise AnsibleLookupError(f"The runbook {term}: {say(error)}") from None
        return found


def machine(host: str, variables: Any) -> str:
    """Return what tells the machine behind inventory name ``host`` from others: address and port."""
    return f"{variables.get('ansible_host', host)}:{variables.get('ansible_port', 22)}"


def _read(path: str) -> dict[str, Any]:
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"it cannot be read: {error}", "give its path with -e backstay_runbook=FILE") from error
    return read_runbook(text)
