#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: missed_runs
short_description: Say which scheduled backups should have run and did not
version_added: 0.1.0
description:
  - Compares the due times of schedule entries with the sets that lie in the repositories. Nothing is executed on any host;
    the due times are computed on the control node by C(systemd-analyze calendar).
  - A due time is met by a set of the entry's kind, or a stronger one, that holds data of that time or later and was begun
    within C(jitter) and C(grace) seconds. A schedule counts from the first such set of a host and app on.
author: Backstay contributors
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
options:
  entries:
    description: The entries, as in C(schedule_entries) of the role P(backstay.fleet.schedule#role).
    type: list
    elements: dict
    required: true
  sets:
    description: For each inventory name the C(sets) that M(backstay.fleet.worker) listed.
    type: dict
    required: true
  days:
    description: How many days to look back.
    type: int
    default: 7
requirements:
  - systemd-analyze on the control node; systemd need not run there
"""

EXAMPLES = r"""
- name: Hold the sets against the schedule
  backstay.fleet.missed_runs:
    entries:
      - name: nightly
        calendar: "*-*-* 02:00:00 UTC"
    sets:
      shop-db1: "{{ shop_sets.reply.sets }}"
  register: shop_missed
"""

RETURN = r"""
lines:
  description: One sentence for each row of missed due times and each run that was caught up late.
  type: list
  elements: str
  returned: success
missed:
  description: C(entry), C(host), C(app) and C(due) of each missed due time.
  type: list
  elements: dict
  returned: success
"""
