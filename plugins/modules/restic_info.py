#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restic a host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restic_info
author: Backstay contributors
version_added: 0.1.0
short_description: Tell which restic a host has and whether it is new enough
description:
  - Finds restic where Backstay's worker looks for it and reads its version. Changes nothing.
options: {}
attributes:
  check_mode:
    description: Reads only.
    support: full
"""

EXAMPLES = r"""
- name: Look for restic
  backstay.fleet.restic_info:
  register: found
"""

RETURN = r"""
program:
  description: Path of restic; null when there is none.
  type: str
  returned: success
version:
  description: Its version; empty when it is unknown.
  type: str
  returned: success
adequate:
  description: Whether it has everything Backstay needs.
  type: bool
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.repository_setup import find_program, is_adequate
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        program, version = find_program()
    except BackstayError as error:
        module.fail_json(msg=say(error), **error.as_dict())
    spelled = ".".join(str(part) for part in version)
    module.exit_json(changed=False, program=program, version=spelled, adequate=is_adequate(version))


if __name__ == "__main__":
    main()
