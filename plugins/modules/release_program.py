#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install one program from a published release."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_program
author: Backstay contributors
version_added: 0.1.0
short_description: Install one program from a published release with a pinned checksum
description:
  - Fetches a file, compares its SHA-256, unpacks C(.bz2), C(.gz) or C(.tar.gz) in Python and puts the program in place in one
    move. Nothing is fetched when the program in place already comes from that release.
options:
  url:
    description: Where the release file is; C(https://), C(http://) or C(file://) on the managed host.
    type: str
    required: true
  checksum:
    description: SHA-256 of the release file, 64 hexadecimal digits.
    type: str
    required: true
  path:
    description: Where the program goes.
    type: path
    required: true
  member:
    description: Base name of the program inside a tar archive; the base name of O(path) when not given.
    type: str
  timeout:
    description: Seconds without an answer after which the download fails.
    type: int
    default: 60
attributes:
  check_mode:
    description: Says whether the program would be installed and does nothing.
    support: full
"""

EXAMPLES = r"""
- name: Install restic
  backstay.fleet.release_program:
    url: https://downloads.example.org/restic_0.18.0_linux_amd64.bz2
    checksum: 9b1a0c0b6c7d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f
    path: /usr/local/lib/backstay/restic
"""

RETURN = r"""
path:
  description: Where the program is.
  type: str
  returned: success
"""

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.release import install, is_installed
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "checksum": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "member": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", wanted["checksum"]):
        module.fail_json(msg="checksum is not a SHA-256: 64 hexadecimal digits are needed")
    path = Path(wanted["path"])
    if is_installed(path, wanted["checksum"]):
        module.exit_json(changed=False, path=str(path))

    def fetch(url: str) -> bytes:
        """Return what is behind ``url``."""
        return bytes(open_url(url, timeout=wanted["timeout"]).read())

    if not module.check_mode:
        try:
            install(path, wanted["url"], wanted["checksum"], wanted["member"] or path.name, fetch)
        except BackstayError as error:
            module.fail_json(msg=say(error), **error.as_dict())
        except OSError as error:
            module.fail_json(msg=f"cannot install {path} from {wanted['url']}: {error}")
    module.exit_json(changed=True, path=str(path))


if __name__ == "__main__":
    main()
