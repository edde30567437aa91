#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: job
short_description: Run a Backstay job on a host and follow it to its end
version_added: 0.1.0
description:
  - Validates the job, starts it detached on the host, shows its progress, collects its result and keeps a record of it on the
    control node. The job does not depend on the connection, and its host releases the application whatever happens.
  - When the connection is lost the action tries again until O(reconnect_timeout); the job goes on meanwhile.
  - A job that is already running under O(run) is attached to. Another job of the same host and app is refused, naming it.
author: Backstay contributors
attributes:
  check_mode:
    support: full
    description: Shows the steps that would be done; the host is not touched.
options:
  action:
    description: What the job does.
    type: str
    required: true
    choices: [backup, restore, verify]
  app:
    description: The app, such as C(mysql).
    type: str
    required: true
  host:
    description: The inventory name of the protected host.
    type: str
    required: true
  source:
    description: The inventory name of the host whose sets are used.
    type: str
    required: true
  job:
    description: What the app role declares. C(resource) names what no two jobs may touch at once; C(steps) are listed in
      C(docs/contract.md).
    type: dict
    required: true
  facts:
    description: What preflight found; kept with the job.
    type: dict
    default: {}
  executor:
    description: How the worker, which runs the task, touches the protected host where that is another machine; see
      C(roles/executor). Without it the worker is the protected host.
    type: dict
    default: {}
  kind:
    description: Kind of backup.
    type: str
    choices: [full, differential, incremental, log]
  transport:
    description: Whether captured data is streamed to the repository or staged first.
    type: str
    choices: [stream, stage]
  plan:
    description: Hash of the plan to follow.
    type: str
  in_place:
    description: Whether a restore replaces live data. None is begun over data that a failed one left unproved.
    type: bool
    default: false
  repository:
    description: C(name) and C(directory) of the repository's access files on the host; an empty C(directory) means that they
      come with O(access_of).
    type: dict
    required: true
  access_of:
    description: Inventory name of the host whose repository access the control node sends along. On the host it exists
      only while the job runs, mode 0600.
    type: str
  stall_timeout:
    description: Seconds without a single byte after which the job is ended.
    type: int
    default: 900
  reconnect_timeout:
    description: Seconds for which a lost connection is tried again.
    type: int
    default: 900
  run:
    description: Run to attach to; a new run gets a new id.
    type: str
  records:
    description: Directory on the control node that keeps a record of each run.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Back up
  backstay.fleet.job:
    action: backup
    app: mysql
    host: shop-db1
    source: shop-db1
    kind: full
    transport: stream
    repository:
      name: shop-db1
      directory: /etc/backstay/repositories/shop-db1
    job:
      resource: mysql:/var/lib/mysql
      steps:
        - name: Stream the data files
          capture:
            artifact: data
            argv: [mariadb-backup, --backup, --stream=mbstream, --target-dir=/var/tmp]
            proof:
              stderr_end: completed OK!
    records: ~/.local/state/backstay/runs
  register: shop_backup
"""

RETURN = r"""
result:
  description: How the job ended, at most 4 KB. C(status) is C(ok) or C(failed).
  type: dict
  returned: when a job ran
record:
  description: File on the control node with the same content.
  type: path
  returned: when a job ran
steps:
  description: The steps, in check mode.
  type: list
  elements: str
  returned: check mode
"""
