# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run of a playbook went, for programs: one case for each host and app, as JSON and as JUnit XML. Pure functions."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional
from xml.etree import ElementTree as Tree

from .errors import IntegrityError
from .redact import redact
from .schema import problems

SCHEMA_NAME = "backstay.results/1"
STATUSES = ("ok", "failed", "unreachable", "not-run", "skipped")
# What ansible-playbook ends with for a host in each state.
EXIT = {"ok": 0, "failed": 2, "unreachable": 4, "not-run": 2, "skipped": 0}
NO_HOSTS_EXIT = 4

_TEXT = {"type": "string", "minLength": 1}
_MAYBE = {"type": ["string", "null"]}
_MOMENT = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z"}
_COUNT = {"type": ["integer", "null"], "minimum": 0}
CASE_FIELDS = ("run", "set", "kind", "bytes", "consistent_at")
RESULTS_SCHEMA: Dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "playbook", "check_mode", "started_at", "ended_at", "complete", "exit", "cases"],
    "properties": {
        "schema": {"type": "string", "enum": [SCHEMA_NAME]},
        "playbook": _TEXT,
        "check_mode": {"type": "boolean"},
        "started_at": _MOMENT,
        # Null while the run is at work, and for ever when it was killed.
        "ended_at": {"type": ["string", "null"], "pattern": _MOMENT["pattern"]},
        "complete": {"type": "boolean"},
        # The exit status that ansible-playbook ends with, null unless complete.
        "exit": {"type": ["integer", "null"]},
        "cases": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["host", "app", "status", "exit", "seconds", *CASE_FIELDS, "error"],
                "properties": {
                    "host": _TEXT,
                    # Null for a host that failed before its apps were known.
                    "app": _MAYBE,
                    "action": _MAYBE,
                    "status": {"type": "string", "enum": list(STATUSES)},
                    "exit": {"type": "integer", "minimum": 0},
                    "seconds": {"type": "number", "minimum": 0},
                    "run": _MAYBE,
                    "set": _MAYBE,
                    "kind": _MAYBE,
                    "bytes": _COUNT,
                    "consistent_at": _MAYBE,
                    "error": {
                        "type": ["object", "null"],
                        "additionalProperties": False,
                        "required": ["code", "message"],
                        "properties": {"code": _TEXT, "message": _TEXT},
                    },
                },
            },
        },
    },
}

Case = Dict[str, Any]
# What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def case(
    host: str,
    app: Optional[str],
    status: str,
    seconds: float,
    result: Dict[str, Any],
    *,
    error: Optional[Dict[str, str]] = None,
) -> Case:
    """Return the case of an app on a host. ``result`` is the job's, empty when there was none; secrets in errors are masked."""
    made: Case = {"host": host, "app": app, "status": status, "exit": EXIT[status], "seconds": round(max(seconds, 0.0), 3)}
    made.update({field: result.get(field) for field in CASE_FIELDS}, action=result.get("action"))
    made["error"] = error and {"code": error["code"], "message": redact(error["message"]).strip() or "no message"}
    return made


def document(
    playbook: str, check_mode: bool, started_at: str, cases: List[Case], ended_at: Optional[str] = None
) -> Dict[str, Any]:
    """Return the results of a run, without ``ended_at`` of one that is not over.

    Raise IntegrityError when they break the schema.
    """
    status = max((item["exit"] for item in cases), default=NO_HOSTS_EXIT)
    made = {
        "schema": SCHEMA_NAME,
        "playbook": playbook,
        "check_mode": check_mode,
        "started_at": started_at,
        "ended_at": ended_at,
        "complete": ended_at is not None,
        "exit": status if ended_at is not None else None,
        "cases": cases,
    }
    found = list(problems(RESULTS_SCHEMA, made, "results"))
    if found:
        raise IntegrityError("the results of this run are not valid: " + "; ".join(found))
    return made


def junit(results: Dict[str, Any]) -> bytes:
    """Return ``results`` as JUnit XML: a failed job is a failure; what could not run, or did not end, is an error."""
    name = f"backstay {results['playbook']}"
    cases = [_test_case(name, item) for item in results["cases"]]
    if not results["complete"]:
        cases.append(_whole_run("the run was ended before it was over", name))
    elif not cases:
        cases.append(_whole_run("no host was reached", name))
    counts = {
        "tests": str(len(cases)),
        "failures": str(_with(cases, "failure")),
        "errors": str(_with(cases, "error")),
        "skipped": str(_with(cases, "skipped")),
        "time": f"{sum(item['seconds'] for item in results['cases']):.3f}",
    }
    suite = Tree.Element("testsuite", {"name": name, "timestamp": results["started_at"][:19], **counts})
    suite.extend(cases)
    root = Tree.Element("testsuites", {key: value for key, value in counts.items() if key != "skipped"})
    root.append(suite)
    return bytes(Tree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _with(cases: List[Tree.Element], tag: str) -> int:
    return sum(1 for item in cases if item.find(tag) is not None)


def _test_case(suite: str, item: Case) -> Tree.Element:
    made = Tree.Element(
        "testcase",
        {"classname": _xml(f"{suite}.{item['host']}"), "name": _xml(item["app"] or "host"), "time": f"{item['seconds']:.3f}"},
    )
    if item["status"] == "skipped":
        Tree.SubElement(made, "skipped", {"message": "check mode: nothing was done"})
    elif item["status"] != "ok":
        error = item["error"] or {"code": item["status"], "message": item["status"]}
        tag = "failure" if item["status"] == "failed" else "error"
        text = _xml(error["message"])
        Tree.SubElement(made, tag, {"type": _xml(error["code"]), "message": text}).text = text
    said = [f"{field}: {item[field]}" for field in CASE_FIELDS if item[field] is not None]
    if said:
        Tree.SubElement(made, "system-out").text = _xml("\n".join(said))
    return made


def _whole_run(message: str, suite: str) -> Tree.Element:
    made = Tree.Element("testcase", {"classname": suite, "name": "run", "time": "0.000"})
    Tree.SubElement(made, "error", {"type": "interrupted", "message": message}).text = message
    return made


def _xml(text: str) -> str:
    """Return ``text`` without the characters that no XML document may hold."""
    return _NOT_XML.sub("\ufffd", text)
