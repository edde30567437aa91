# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: guard
type: aggregate
short_description: A run that reached no host is not a success
version_added: 0.1.0
description:
  - Ansible ends with exit status 0 when no play matched a host. A backup of nothing must not look like a backup, so this plugin
    ends such a run with exit status 4 and one sentence.
author: Backstay contributors
requirements:
  - enabled in C(ansible.cfg), C(callbacks_enabled)
"""

from typing import Any

from ansible.plugins.callback import CallbackBase

NO_HOSTS_STATUS = 4


class CallbackModule(CallbackBase):
    """Ends a run without hosts."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "backstay.fleet.guard"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Look whether anything was done on any host."""
        if not stats.processed:
            self._display.error(
                "No host was reached, so nothing was done: check --limit and the groups of the inventory (app_*, control)."
            )
            raise SystemExit(NO_HOSTS_STATUS)
