#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: worker
short_description: Ask the Backstay worker of a host
version_added: 0.1.0
description:
  - Sends one request to the worker on a protected host and returns its answer. The worker is the collection's own code as one
    archive, pushed once for each version and kept in C(/var/lib/backstay/worker).
  - The commands C(preflight), C(plan) and C(sets) change nothing; C(standby) changes nothing but leases between servers.
  - Jobs are run with M(backstay.fleet.job).
author: Backstay contributors
attributes:
  check_mode:
    support: full
    description: Nothing is kept on the host; the worker runs from a temporary file.
options:
  command:
    description: What to ask. C(start) and C(collect) are used by M(backstay.fleet.job).
    type: str
    required: true
    choices: [preflight, plan, sets, standby, start, collect]
  request:
    description: The request, plain data without secrets.
    type: dict
    required: true
  access_of:
    description: Inventory name of the host whose repository access the control node sends along; used by the action plugin.
    type: str
  secrets:
    description: Filled in by the action plugin. Contents of the access files of another host's repository, by file
      name (C(url), C(password), C(ca.pem),
      C(environment)). They exist on the host only while the request is answered or the job runs, mode 0600.
    type: dict
    default: {}
  version:
    description: The version of the worker; filled in by the action plugin.
    type: str
  archive:
    description: A worker archive that was just transferred; filled in by the action plugin.
    type: path
  install:
    description: Whether to keep O(archive) on the host.
    type: bool
    default: true
requirements:
  - Python 3.8 or newer on the host
"""

EXAMPLES = r"""
- name: List the sets of this host
  backstay.fleet.worker:
    command: sets
    request:
      host: "{{ inventory_hostname }}"
      directory: /etc/backstay/repositories/shop-db1
  register: shop_sets
"""

RETURN = r"""
reply:
  description: The answer.
  type: dict
  returned: success
"""

import compileall
import json
import os
import py_compile
import subprocess
import sys
import tempfile
import zipfile

from ansible.module_utils.basic import AnsibleModule

HOME = os.path.join(os.environ.get("BACKSTAY_ROOT", "/var/lib/backstay"), "worker")


def install(source, target):
    """Keep the archive ``source`` as ``target``, compiled, whole or not at all."""
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    # A name of its own: two inventory names on one host may be pushed to at the same moment.
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(target), suffix=".new")
    try:
        with os.fdopen(descriptor, "wb") as kept:
            write_compiled(source, target, kept)
            kept.flush()
            os.fsync(kept.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def write_compiled(source, target, stream):
    """Write the archive ``source`` to ``stream`` with the compiled form of each module beside it.

    Python compiles what it imports from an archive every time; a job starts half a dozen processes. Tracebacks name ``target``.
    Of another Python, after an upgrade of the host, the compiled form does not count and the source is used.
    """
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(source) as pushed, zipfile.ZipFile(stream, "w") as kept:
        pushed.extractall(folder)
        never_stale = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(folder, ddir=target, quiet=2, legacy=True, invalidation_mode=never_stale)
        for name in pushed.namelist():
            for path in (os.path.join(folder, name), os.path.join(folder, name + "c")):
                if os.path.exists(path):
                    kept.write(path, os.path.relpath(path, folder))


def ask(archive, command, request):
    """Return the worker's reply. Raise ValueError when it gave none."""
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    process = subprocess.Popen(
        [sys.executable, archive, command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    out, err = process.communicate(json.dumps(request).encode("utf-8"))
    if process.returncode != 0 or not out:
        raise ValueError("the worker ended with exit status %d: %s" % (process.returncode, err.decode("utf-8", "replace")))
    return json.loads(out)


def main():
    """Answer with the worker's reply, or ``missing`` when the host does not have the worker yet."""
    module = AnsibleModule(
        argument_spec={
            "command": {
                "type": "str",
                "required": True,
                "choices": ["preflight", "plan", "sets", "standby", "start", "collect"],
            },
            "request": {"type": "dict", "required": True},
            "access_of": {"type": "str"},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "version": {"type": "str"},
            "archive": {"type": "path"},
            "install": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    if sys.version_info < (3, 8):  # noqa: UP036 - the host's Python, not the control node's
        module.fail_json(msg="Backstay needs Python 3.8 or newer on the host, this is %s." % sys.version.split()[0])
    kept = os.path.join(HOME, "%s.pyz" % parameters["version"])
    archive = parameters["archive"]
    if archive and parameters["install"]:
        install(archive, kept)
        archive = kept
    elif not archive:
        if not os.path.exists(kept):
            module.exit_json(changed=False, missing=True)
        archive = kept
    request = dict(parameters["request"], secrets=parameters["secrets"], check_mode=module.check_mode)
    try:
        module.exit_json(changed=False, reply=ask(archive, parameters["command"], request))
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
