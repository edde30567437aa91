# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: preload
type: aggregate
short_description: Load once what every task of every host would load anew
version_added: 0.1.0
description:
  - Ansible runs each task of each host in a process of its own, forked from the main one. What only the tasks need is loaded in
    each of these processes, and to find one filter of a collection Ansible loads all of them. This plugin loads it in the main
    process before the first fork. Without it everything works, at about a quarter more CPU time of the control node.
author: Backstay contributors
requirements:
  - enabled in C(ansible.cfg), C(callbacks_enabled)
"""

import gc
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import become_loader, connection_loader, filter_loader, lookup_loader, shell_loader


class CallbackModule(CallbackBase):
    """Loads plugins before the first task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "backstay.fleet.preload"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Load the filters of the collection and what nearly every task on a host uses."""
        filter_loader.get("backstay.fleet.quote_name")
        connection_loader.get("ssh", class_only=True)
        become_loader.get("sudo", class_only=True)
        shell_loader.get("sh", class_only=True)
        lookup_loader.get("backstay.fleet.apps", class_only=True)
        lookup_loader.get("ansible.builtin.vars", class_only=True)
        # A collection touches every object, and a touched page is copied in a fork. What is loaded by now is needed to the end.
        gc.freeze()
