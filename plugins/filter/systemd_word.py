# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: systemd_word
short_description: Spell a path or an argument in a unit file of systemd
version_added: 0.1.0
description:
  - Quotes a text so that systemd reads it as one word, whatever it holds.
author: Backstay contributors
options:
  _input:
    description: The text.
    type: str
    required: true
  command:
    description: It stands in a command line such as C(ExecStart=), where a dollar sign has a meaning.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show the line of a unit file
  ansible.builtin.debug:
    msg: "ReadWritePaths={{ '/srv/my backups' | backstay.fleet.systemd_word }}"
"""

RETURN = r"""
_value:
  description: The word, quoted.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.module_utils.unit_file import systemd_word


def _systemd_word(text: object, command: bool = False) -> str:
    try:
        return systemd_word(str(text), command)
    except BackstayError as error:
        raise AnsibleFilterError(say(error)) from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filter by name."""
        return {"systemd_word": _systemd_word}
