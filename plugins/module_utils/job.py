# SPDX-License-Identifier: GPL-3.0-or-later
"""The job specification: what a role declares and a worker executes.

A role declares steps (see ``STEP_ARGUMENTS``); ``roles/run`` and the ``job`` action add identity, repository and limits.
Everything is validated on the control node before a host is touched, and again by the worker.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from .errors import BadInput
from .executors import SETTINGS as EXECUTOR
from .schema import problems

SCHEMA_NAME = "backstay.job/1"
ACTIONS = ("backup", "restore", "verify")
KINDS = ("full", "differential", "incremental", "log")
TRANSPORTS = ("stream", "stage")

SET_PATTERN = r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6,}\Z"

_TEXT = {"type": "string", "minLength": 1}
_ARGV = {"type": "array", "minItems": 1, "items": {"type": "string"}}
# Variables of a child process; anybody on the host may read them in /proc, so never a secret.
_ENVIRONMENT = {"type": "object", "additionalProperties": {"type": "string"}}
_PLACE_IN_STAGING = {"type": "string", "pattern": r"^[a-z][a-z0-9-]*\Z"}
_PATH = {"type": "string", "pattern": r"^/[^\x00]*\Z"}
_PROOF = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "exit": {"type": "integer"},
        "stdout_end": _TEXT,
        "stderr_end": _TEXT,
        "stderr_refuse": {"type": "array", "items": _TEXT},
    },
}
_ARTIFACT = {"type": "string", "pattern": r"^[a-z][a-z0-9-]*\Z"}
_EXCLUDE = {"type": "array", "items": _TEXT}
_METHOD = {"type": "string", "enum": ["auto", "snapshot", "clone", "copy"]}


def _arguments(required: List[str], **properties: Any) -> Dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


_CONTROL = _arguments(["start", "stop", "status"], start=_ARGV, stop=_ARGV, status=_ARGV, listed=_TEXT)
# What preflight found: the app's own, but for the services that have to be stopped while its data is exchanged, and what a
# restore in place replaces.
_FACTS = {
    "type": "object",
    "properties": {
        "services": {"type": "array", "items": _arguments(["service"], service=_TEXT, control=_CONTROL)},
        "replaces": {"type": "array", "items": _TEXT},
    },
}


# The typed steps of a procedure. One entry, one function of the same name in ``worker/steps.py``; a test compares them.
STEP_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    # Run a native command and require its proof; as ``account`` (default: root), with more variables. ``undo`` is remembered
    # before and run by the release when the job dies, until a later command step with exactly that argv succeeded.
    "command": _arguments(
        ["argv"],
        argv=_ARGV,
        proof=_PROOF,
        timeout={"type": "number", "minimum": 1},
        account=_TEXT,
        environment=_ENVIRONMENT,
        undo=_ARGV,
    ),
    # Bring a service of the host into a state; a stop is undone by the release when the job dies. ``resumed`` starts what
    # this job stopped, and leaves down what was down. ``control``: native commands instead of the service manager. Of a
    # service that its manager killed nothing is backed up, unless it ``may_be_killed``.
    "service": _arguments(
        ["name", "state"],
        name=_TEXT,
        state={"type": "string", "enum": ["started", "stopped", "resumed"]},
        timeout={"type": "number", "minimum": 1},
        control=_CONTROL,
        may_be_killed={"type": "boolean"},
    ),
    # While the application runs: prepare the picture of a folder, so that the picture itself is short.
    "copy_ahead": _arguments(["folder"], folder=_PATH, exclude=_EXCLUDE, method=_METHOD),
    # The application is stopped: complete the picture of the folder at this moment.
    "picture": _arguments(["folder"], folder=_PATH, exclude=_EXCLUDE, method=_METHOD),
    # After the start: take the picture as one artifact, a pax archive with its manifest as the last member.
    "archive": _arguments(
        ["artifact", "folder"], artifact=_ARTIFACT, folder=_PATH, estimate_bytes={"type": "integer", "minimum": 0}
    ),
    # Run the server's own tool and take its standard output as an artifact of the set. Where only the host can tell the
    # arguments, ``argv_from`` names the function of the app's CALLS that returns them. A failure that says one of ``again_on``
    # makes it run again, as a whole.
    "capture": _arguments(
        ["artifact", "proof"],
        artifact=_ARTIFACT,
        argv=_ARGV,
        argv_from=_TEXT,
        proof=_PROOF,
        again_on={"type": "array", "items": _TEXT},
        estimate_bytes={"type": "integer", "minimum": 0},
    ),
    # Make every file that a server's tool wrote into a folder of the set's staging an artifact; nobody writes there any more.
    "collect": _arguments(
        ["directory"],
        directory=_PLACE_IN_STAGING,
        estimate_bytes={"type": "integer", "minimum": 0},
    ),
    # Bring the artifacts of the planned sets back, hash-checked, through the tool that unpacks standard input (default: the one
    # for what ``archive`` made).
    "land": _arguments(
        ["artifact", "kinds", "into"],
        artifact=_TEXT,
        kinds={"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(KINDS)}},
        into=_PATH,
        unpack=_ARGV,
        account=_TEXT,  # runs the unpacking tool and owns what it writes; the data may come from a hostile host
    ),
    # Bring the collected files of every planned set of these kinds back under their names, hash-checked.
    "land_files": _arguments(
        ["kinds", "into"],
        kinds={"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(KINDS)}},
        into=_PATH,
        account=_TEXT,  # owns what comes back
    ),
    # Hold an unpacked folder against the manifest that came with it, and remove the manifest.
    "prove": _arguments(["directory"], directory=_PATH, artifact=_TEXT),
    # Exchange the content of a directory: live data aside, landed data in; undone by ``put-back``. ``with_root``: the directory
    # itself takes owner, mode, times and attributes of the landing, too.
    "swap": _arguments(
        ["target", "landing"],
        target=_PATH,
        landing=_PATH,
        leave_out={"type": "array", "items": _TEXT},
        owner=_TEXT,
        group=_TEXT,
        keep_aside={"type": "boolean"},
        with_root={"type": "boolean"},
    ),
    # Remove a directory that this job made (scratch, landing), or what it landed in one that was there before.
    "discard": _arguments(["path"], path=_PATH),
    # Call a function of module_utils/apps/<app> (its CALLS table) with plain data.
    "app": _arguments(["call"], call=_TEXT, arguments={"type": "object"}),
}

JOB_SCHEMA: Dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "schema",
        "run",
        "action",
        "app",
        "host",
        "source",
        "resource",
        "repository",
        "steps",
        "stall_timeout",
    ],
    "properties": {
        "schema": {"type": "string", "enum": [SCHEMA_NAME]},
        "run": {"type": "string", "pattern": r"^[0-9A-Za-z][0-9A-Za-z._-]{5,80}\Z"},
        "action": {"type": "string", "enum": list(ACTIONS)},
        "app": {"type": "string", "pattern": r"^[a-z][a-z0-9_]*\Z"},
        "host": _TEXT,  # the protected host, by its inventory name
        "source": _TEXT,  # whose sets: differs from host in a restore to another host
        "kind": {"type": "string", "enum": list(KINDS)},
        "set": {"type": "string", "pattern": SET_PATTERN},
        "transport": {"type": "string", "enum": list(TRANSPORTS)},
        "resource": _TEXT,  # what no two jobs may touch at once, e.g. mysql:/var/lib/mysql
        "account": _TEXT,  # of the server; in its home lies the lock of the resource that every worker takes
        "executor": EXECUTOR,  # how the worker touches the protected host; local without it
        "repository": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {
                "name": _TEXT,
                "directory": {"type": "string"},  # empty: the files come with the job's secrets
            },
        },
        "stall_timeout": {"type": "number", "minimum": 1},
        "plan": {"type": "string", "pattern": r"^[0-9a-f]{64}\Z"},
        "in_place": {"type": "boolean"},  # a restore that replaces live data, by whatever steps; without it: beside it
        "facts": _FACTS,
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": dict({"name": _TEXT}, **STEP_ARGUMENTS),
            },
        },
    },
}


def step_type(step: Dict[str, Any]) -> str:
    """Return the type of a step: its one key beside ``name``. Raise BadInput when there is none or more than one."""
    types = [key for key in step if key != "name"]
    if len(types) != 1:
        raise BadInput(
            f"step '{step.get('name', '?')}' must have exactly one type, has: {', '.join(types) or 'none'}",
            "types: " + ", ".join(sorted(STEP_ARGUMENTS)),
        )
    return types[0]


def validate_job(specification: Dict[str, Any]) -> None:
    """Raise BadInput with every problem of ``specification``; return nothing when it may run."""
    found = list(problems(JOB_SCHEMA, specification, "job"))
    if found:
        raise BadInput("the job is not valid: " + "; ".join(found), "see docs/contract.md for the steps")
    for step in specification["steps"]:
        step_type(step)
    _require_reachable(specification)
    needed = {"backup": ["set", "kind", "transport"], "restore": ["plan"], "verify": ["plan"]}[specification["action"]]
    missing = [name for name in needed if name not in specification]
    if missing:
        raise BadInput(f"a {specification['action']} job needs {', '.join(missing)}")
    if specification["action"] == "backup":
        _require_artifacts(specification["steps"])
        _require_staged_collection(specification)
        _require_landable_logs(specification)


def replaces_live_data(specification: Dict[str, Any]) -> bool:
    """Return whether a job is a restore in place: it says so, or it exchanges a directory."""
    exchanges = any("swap" in step for step in specification["steps"])
    return bool(specification["action"] == "restore" and (specification.get("in_place") or exchanges))


# The steps that work through an executor; the others touch the worker itself.
_BY_EXECUTOR = ("app", "collect", "command", "discard", "land_files", "service")


def _require_reachable(specification: Dict[str, Any]) -> None:
    """Raise BadInput for a step that would touch the worker although the protected host is another machine."""
    executor = specification.get("executor", {"name": "local"})
    if executor["name"] == "local":
        return
    for step in specification["steps"]:
        kind = step_type(step)
        if kind not in _BY_EXECUTOR or (kind == "service" and "control" not in step[kind]):
            what = "a service without control commands" if kind == "service" else f"a {kind} step"
            raise BadInput(
                f"step '{step['name']}': {what} works only on the protected host itself",
                f"leave backstay_worker out for {specification['host']}",
            )
        # Seen here, because an undo that nobody may run would be remembered for ever.
        if kind == "command" and step[kind].get("account", executor.get("account")) != executor.get("account"):
            raise BadInput(
                f"step '{step['name']}' runs as {step[kind]['account']}, the worker logs in as {executor.get('account')}",
                "executor_account has to be the account of the server",
            )


def _require_staged_collection(specification: Dict[str, Any]) -> None:
    collections = [step for step in specification["steps"] if "collect" in step]
    if not collections:
        return
    taking = [step for step in specification["steps"] if taken_artifact(step)]
    if len(taking) > 1:
        raise BadInput("a collect step is the only source of a set", "let the tool write everything into one folder")
    if specification["transport"] != "stage":
        raise BadInput("a server's tool writes files, so the set has to be staged", "set backstay_transport: stage")


def _require_landable_logs(specification: Dict[str, Any]) -> None:
    """Raise BadInput for a log set that a restore could not land: its tags name one artifact, and plans know no other."""
    names = [taken.get("artifact", "logs") for taken in map(taken_artifact, specification["steps"]) if taken]
    if specification["kind"] == "log" and names != ["logs"]:
        raise BadInput(
            f"a log set has one artifact, 'logs', and this one would have: {', '.join(names)}",
            "bring everything into one archive or folder",
        )


# The steps that take artifacts of the set.
TAKING = ("capture", "archive", "collect")


def taken_artifact(step: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Return the arguments of a step that takes artifacts, None for any other step."""
    return next((step[name] for name in TAKING if name in step), None)


def _require_artifacts(steps: List[Dict[str, Any]]) -> None:
    for step in steps:
        if "capture" in step and ("argv" in step["capture"]) == ("argv_from" in step["capture"]):
            raise BadInput(f"step '{step['name']}' must have either argv or argv_from")
    taking = [taken for taken in map(taken_artifact, steps) if taken]
    names = [taken["artifact"] for taken in taking if "artifact" in taken]
    if not taking:
        raise BadInput("a backup job must capture something", "add a capture, a collect or an archive step")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"two steps take the same artifact: {', '.join(twice)}")
    _require_pictures(steps)


def _require_pictures(steps: List[Dict[str, Any]]) -> None:
    """Every picture is archived once, after it was taken."""
    waiting: List[str] = []
    for step in steps:
        if "picture" in step:
            waiting.append(step["picture"]["folder"])
        if "archive" in step and step["archive"]["folder"] not in waiting:
            raise BadInput(f"step '{step['name']}' archives {step['archive']['folder']} without a picture of it before")
        if "archive" in step:
            waiting.remove(step["archive"]["folder"])
    if waiting:
        raise BadInput(f"there is a picture of {', '.join(waiting)} that no step archives", "add an archive step")
