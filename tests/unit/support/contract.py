# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract variables, said once: what every role that declares one must say of it."""

from __future__ import annotations

# name: (type, description)
VARIABLES: dict[str, tuple[str, str]] = {
    "backstay_action": ("str", "What the run does."),
    "backstay_facts": ("dict", "What preflight found on the host; see the app's C(preflight) function."),
    "backstay_work": ("path", "Scratch folder on the host for the job; emptied before and after it."),
    "backstay_plan": (
        "dict",
        "The plan of a restore or verification. Holds C(target), C(stop_at), C(position), C(sets), C(kinds), C(bytes),"
        " C(facts) and C(hash).",
    ),
    "backstay_restore_to": ("path", "Directory on the host for a restore beside the live server. Empty means in place."),
    "backstay_keep_aside": ("bool", "Keep the replaced data after a restore that passed its checks."),
    "backstay_result": ("dict", "How the job ended; empty when it never ran."),
    "backstay_only_app": ("str", "The only app to work on. Empty means every app of the host."),
    "backstay_kind": ("str", "Kind of backup."),
    "backstay_transport": (
        "str",
        "Whether captured data is streamed to the repository, or staged on the host's disk and uploaded when all is captured.",
    ),
    "backstay_source": ("str", "Inventory name of the host whose sets are used. Empty means this host."),
    "backstay_moment": (
        "str",
        "Moment to restore to, with a time zone, such as C(2026-11-21T09:39:29Z). Empty means the latest.",
    ),
    "backstay_set": ("str", "Id of the set to use. Empty means that the planner chooses."),
    "backstay_position": (
        "str",
        "Position of the engine to restore to, instead of a moment or a set. For MariaDB V(gtid:0-7-26) ends with that"
        " transaction, V(mysqld-bin.000007:1234) before that place of a binary log; for Oracle V(scn:12345) before that SCN.",
    ),
    "backstay_confirm": ("str", "Inventory names of the hosts whose data may be replaced, separated by commas."),
    "backstay_runbook": ("path", "Path of the runbook file on the control node."),
    "backstay_fleet_partial": (
        "bool",
        "Restore what can be restored although the plan is refused for a part of the runbook.",
    ),
    "backstay_fleet_done": ("str", "Names of the runbook's entries that an earlier run restored, separated by commas."),
    "backstay_worker": ("str", "Inventory name of the machine that works for this host. Empty means the host itself."),
    "backstay_run": ("str", "Id of a run to attach to. Empty means a new run."),
    "backstay_stall_timeout": (
        "int",
        "Seconds without a single byte after which a job is ended. The default is O(run_stall_timeout).",
    ),
    "backstay_state_dir": (
        "path",
        "Directory of the control node that keeps secrets and records. The default is C($BACKSTAY_STATE_DIR), else"
        " C(~/.local/state/backstay).",
    ),
}

# For each entry point of an app role: the contract variables that it must declare as required, and those that it may.
APP_ENTRY_POINTS: dict[str, tuple[set[str], set[str]]] = {
    "main": (set(), set()),
    "preflight": ({"backstay_action"}, {"backstay_plan", "backstay_restore_to", "backstay_kind"}),
    "prepare": ({"backstay_facts", "backstay_work"}, {"backstay_kind", "backstay_transport"}),
    "finish": ({"backstay_result"}, set()),
    "restore": ({"backstay_facts", "backstay_work", "backstay_plan"}, {"backstay_restore_to", "backstay_keep_aside"}),
    "verify": ({"backstay_facts", "backstay_work", "backstay_plan"}, set()),
}
