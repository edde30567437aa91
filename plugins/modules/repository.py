#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a host access to its repository and make the repository once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: repository
author: Backstay contributors
version_added: 0.1.0
short_description: Give a host access to its repository and make the repository once
description:
  - Refuses a repository that is on the protected host itself.
  - Proves that the access works before any file on the host changes, makes the repository only when the server says that there
    is none, and never when a repository that was there before is gone.
  - Writes the access files of root only, C(url), C(password), C(ca.pem), C(environment), and C(identity) with the repository's
    id.
options:
  name:
    description: Inventory name of the protected host, which is the repository's name.
    type: str
    required: true
  directory:
    description: Where the access files go.
    type: path
    required: true
  url:
    description: Repository location with credentials.
    type: str
    required: true
  password:
    description: Repository password; null only in check mode, when it is not made yet.
    type: str
  ca_pem:
    description: Certificate authority to trust instead of the system's.
    type: str
  environment:
    description: Environment variables restic needs.
    type: dict
    default: {}
  create:
    description:
      - Make the repository when there is none, and refuse one on the protected host itself. Without it this is read access for
        a restore, and a missing repository is an error.
    type: bool
    default: true
  replace:
    description: Accept another repository in the place of the one this host has used so far.
    type: bool
    default: false
  protected:
    description: The protected host as the inventory knows it.
    type: dict
    required: true
    options:
      address: {description: Address Ansible logs in to., type: str, required: true}
      port: {description: Port Ansible logs in to., type: int, default: 22}
  server:
    description: The offsite server as the inventory knows it; not for repositories elsewhere.
    type: dict
    options:
      name: {description: Inventory name., type: str, required: true}
      address: {description: Address Ansible logs in to., type: str, required: true}
      port: {description: Port Ansible logs in to., type: int, default: 22}
  on_worker:
    description: Whether this is another machine that works for the protected host.
    type: bool
    default: false
  connect_timeout:
    description: Seconds within which the server has to accept a connection.
    type: int
    default: 15
attributes:
  check_mode:
    description: Reads the repository with the secrets in memory and changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Give access to the repository
  backstay.fleet.repository:
    name: "{{ inventory_hostname }}"
    directory: "{{ access.directory }}"
    url: "{{ access.url }}"
    password: "{{ access.password }}"
    protected: {address: "{{ ansible_host }}"}
  vars:
    access: "{{ lookup('backstay.fleet.repository', inventory_hostname, create=true) }}"
  no_log: true
"""

RETURN = r"""
repository:
  description: V(present), V(created), V(would create) or V(not checked) when secrets are still to be made.
  type: str
  returned: success
identity:
  description: The repository's id.
  type: str
  returned: when it is known
files:
  description: Names of the access files that changed or would change.
  type: list
  returned: success
restic_runs:
  description: How often restic opened the repository.
  type: int
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.backstay.fleet.plugins.module_utils import placement
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, CommandFailed, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.files import write_atomic
from ansible_collections.backstay.fleet.plugins.module_utils.repository_setup import (
    Outcome,
    Wanted,
    differences,
    find_program,
    is_adequate,
    known_identity,
    settle,
    write_files,
)
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say

_MACHINE = {
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
}
_ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "url": {"type": "str", "required": True, "no_log": True},
    "password": {"type": "str", "no_log": True},
    "ca_pem": {"type": "str"},
    "environment": {"type": "dict", "default": {}, "no_log": True},
    "create": {"type": "bool", "default": True},
    "replace": {"type": "bool", "default": False},
    "protected": {"type": "dict", "required": True, "options": _MACHINE},
    "server": {"type": "dict", "options": dict(_MACHINE, name={"type": "str", "required": True})},
    "on_worker": {"type": "bool", "default": False},
    "connect_timeout": {"type": "int", "default": 15},
}


def require_elsewhere(wanted: dict[str, Any], server: placement.Server) -> None:
    """Raise Refused when the repository is on the protected host itself."""
    protected = placement.Machine(wanted["name"], wanted["protected"]["address"], wanted["protected"]["port"])
    given = wanted["server"]
    known = placement.Machine(given["name"], given["address"], given["port"]) if given else None
    if wanted["on_worker"]:
        own = set(placement.resolve(protected.address, protected.port))
        reason = placement.refusal(protected, known, _addresses(server), own.__contains__)
    else:
        reason = placement.refusal(protected, known, _addresses(server), placement.is_own_address)
    if reason:
        raise Refused(reason, "a backup must be on another machine: change backstay_offsite or backstay_repository_url")


def require_restic() -> str:
    """Return the path of an adequate restic. Raise CommandFailed when there is none."""
    program, version = find_program()
    if program is None:
        raise CommandFailed("restic is not installed on this host", "roles/repository installs it")
    if not is_adequate(version):
        spelled = ".".join(str(part) for part in version)
        raise CommandFailed(
            f"{program} is version {spelled or 'unknown'}, Backstay needs 0.17 or newer",
            "set repository_restic_url and repository_restic_checksum to a release file",
        )
    return program


def settle_and_write(module: AnsibleModule, wanted: dict[str, Any]) -> dict[str, Any]:
    """Do the whole work and return the result. Raise a BackstayError."""
    server = placement.repository_server(wanted["url"])
    if wanted["create"]:
        require_elsewhere(wanted, server)
    placement.connect(server, wanted["ca_pem"], wanted["connect_timeout"])
    directory = Path(wanted["directory"])
    access = Wanted(wanted["url"], wanted["password"], wanted["ca_pem"], wanted["environment"])
    known = known_identity(directory)
    outcome = settle(
        require_restic(),
        access,
        known,
        create=wanted["create"],
        replace=wanted["replace"],
        check_mode=module.check_mode,
    )
    changed = differences(directory, access)
    if not module.check_mode:
        write_files(directory, access, changed)
        if outcome.identity and outcome.identity != known:
            write_atomic(directory / "identity", outcome.identity.encode("ascii") + b"\n")
    return _result(outcome, changed, outcome.identity != known)


def _addresses(server: placement.Server) -> list[str]:
    return [] if server.host is None else placement.resolve(server.host, server.port)


def _result(outcome: Outcome, files: list[str], new_identity: bool) -> dict[str, Any]:
    changed = bool(files) or new_identity or outcome.repository in ("created", "would create")
    return {
        "changed": changed,
        "repository": outcome.repository,
        "identity": outcome.identity,
        "files": sorted([*files, "identity"] if new_identity else files),
        "restic_runs": outcome.restic_runs,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=_ARGUMENTS, supports_check_mode=True)
    wanted = module.params
    if wanted["password"] is None:
        if not module.check_mode:
            module.fail_json(msg="there is no repository password")
        module.exit_json(changed=True, repository="not checked", files=[], restic_runs=0)
    try:
        module.exit_json(**settle_and_write(module, wanted))
    except BackstayError as error:
        module.fail_json(msg=say(error), **error.as_dict())


if __name__ == "__main__":
    main()
