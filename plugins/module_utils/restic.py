# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything Backstay knows about restic: command lines, exit status, JSON output, tags.

Sources: restic manual, "Scripting" (exit status, JSON) and "Backing up" (--stdin-from-command). An exit status that is not
in the table is a failure, and on ``backup`` only 0 counts: 3 may leave a snapshot that misses files.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional

from .errors import (
    BackstayError,
    CaptureFailed,
    IntegrityError,
    RepositoryAbsent,
    RepositoryError,
    RepositoryLocked,
    RepositoryPartial,
    RepositoryPassword,
)
from .job import KINDS, SET_PATTERN
from .moment import is_moment
from .names import unquote_name
from .process import spell_status
from .receipt import HASH, MOMENT, POSITION
from .schema import problems

MINIMUM_VERSION = (0, 17)  # the first with --stdin-from-command and the exit status 10, 11, 12
LISTING_BYTES = 1 << 30  # more than the listing of any repository: a log set every five minutes adds 150 MB a year
RECEIPT_PART = "receipt"
DATA_PART = "data"

_EXIT = {
    3: (RepositoryPartial, "some source data could not be read"),
    10: (RepositoryAbsent, "there is no repository"),
    11: (RepositoryLocked, "the repository is locked by somebody else"),
    12: (RepositoryPassword, "the repository password is wrong"),
    130: (RepositoryError, "restic was interrupted"),
}

# restic has no exit status for damage (1 is any failure); these are its words where stored bytes are not what was written.
_DAMAGE = ("ciphertext verification failed", "wrong data returned", "invalid data returned", "does not match")


# What a snapshot must be tagged with to be a set's receipt. A client may write what it likes, so nothing is taken on trust.
_COUNT = {"type": "string", "pattern": r"^[0-9]{1,18}\Z"}
_RECEIPT_TAGS = {
    "type": "object",
    "required": ["part", "set", "app", "kind", "parent", "at", "receipt", "size", "bytes"],
    "properties": {
        "part": {"enum": [RECEIPT_PART]},
        # It names folders where it is landed: a repository may be hostile.
        "set": {"type": "string", "pattern": SET_PATTERN},
        "kind": {"enum": list(KINDS)},
        "stream": POSITION,
        "first": POSITION,
        "last": POSITION,
        "at": MOMENT,
        "receipt": HASH,
        "size": _COUNT,
        "bytes": _COUNT,
        "sha256": HASH,
        "data": HASH,
    },
}


class Access(NamedTuple):
    """Where the files lie that give access to a repository; see roles/repository."""

    program: str
    url_file: str
    password_file: str
    ca_file: Optional[str]
    environment: Dict[str, str]
    cache: Optional[str]  # None: none at all, where nothing on the host may change


def base_argv(access: Access) -> List[str]:
    """Return the beginning of every restic command line: files instead of secrets, JSON, bounded lock wait."""
    argv = [access.program, "--repository-file", access.url_file, "--password-file", access.password_file]
    if access.ca_file:
        argv += ["--cacert", access.ca_file]
    argv += ["--cache-dir", access.cache, "--cleanup-cache"] if access.cache else ["--no-cache"]
    return [*argv, "--retry-lock", "2m", "--json"]


def backup_command_argv(access: Access, host: str, tags: Dict[str, str], path: str, command: List[str]) -> List[str]:
    """Return the argv that stores the standard output of ``command`` as ``path``; the snapshot needs its exit 0."""
    return [
        *base_argv(access), "backup", "--host", host, *tag_argv(tags), "--stdin-filename", path,
        "--stdin-from-command", "--", *command,
    ]  # fmt: skip


def backup_listed_argv(access: Access, host: str, tags: Dict[str, str], listing: str) -> List[str]:
    """Return the argv that stores the paths in the file ``listing`` (``path_listing``): no command line holds very many."""
    return [*base_argv(access), "backup", "--host", host, *tag_argv(tags), "--files-from-raw", listing]


def path_listing(paths: List[str]) -> bytes:
    """Return what ``--files-from-raw`` reads: every path as it is, ended by NUL."""
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def snapshots_argv(access: Access, host: str, *either: Dict[str, str]) -> List[str]:
    """Return the argv that lists the snapshots of ``host`` that have all tags of one of ``either``; all without any."""
    wanted = [",".join(f"{key}={value}" for key, value in tags.items()) for tags in either]
    return [*base_argv(access), "snapshots", "--host", host, *(word for tags in wanted for word in ("--tag", tags))]


def dump_argv(access: Access, snapshot: str, path: str) -> List[str]:
    """Return the argv that writes the file ``path`` of ``snapshot`` to standard output."""
    return [*base_argv(access), "dump", "--", snapshot, path]  # both come from a receipt: words, never options


def tag_argv(tags: Dict[str, str]) -> List[str]:
    """Return ``--tag key=value`` for every tag. Raise ValueError for a comma, which restic would split at."""
    argv = []
    for key, value in tags.items():
        if "," in key + value:
            raise ValueError(f"the tag {key}={value} holds a comma")
        argv += ["--tag", f"{key}={value}"]
    return argv


def read_tags(snapshot: Dict[str, Any]) -> Dict[str, str]:
    """Return the ``key=value`` tags of a listed snapshot."""
    return dict(tag.split("=", 1) for tag in snapshot.get("tags") or [] if "=" in tag)


def error_for(status: int, stderr: str) -> BackstayError:
    """Return the error that exit ``status`` means, with restic's own last sentence (secrets are redacted by callers)."""
    kind, meaning = _EXIT.get(status, (RepositoryError, f"restic {spell_status(status)}"))
    said = last_message(stderr)
    if status == 1 and any(words in said for words in _DAMAGE):
        return IntegrityError(f"stored data is damaged: {said}", "restore another set")
    hint = "is the offsite server full: does its disk or quota have room?" if _NO_ROOM in said else _HINTS.get(status, "")
    return kind(f"{meaning}{': ' + said if said else ''}", hint)


_NO_ROOM = "507 Insufficient Storage"  # of rest-server; restic 0.18 tries for a long time, 0.19 gives up at once
_HINTS = {
    3: "nothing of this run is offered for restore; mend the source and run again",
    10: "run playbooks/offsite.yml",
    11: "a maintenance run may be under way on the keeper; try again later",
    12: "the password file on this host differs from the one the repository was made with",
}


def last_message(stderr: str) -> str:
    """Return the last meaningful sentence restic printed, from its JSON error objects or plain text."""
    said = ""
    for line in stderr.splitlines():
        text = line.strip()
        if text.startswith("{"):
            try:
                item = json.loads(text)
            except ValueError:
                item = {}
            error = item.get("error")
            text = item.get("message") if isinstance(item.get("message"), str) else ""
            if isinstance(error, dict):
                text = error.get("message", "")
        if text and not text.startswith("Is there a repository"):
            said = text
    return " ".join(said.split())


def command_failed(stderr: str) -> bool:
    """Return whether restic gave up because the command whose output it stores failed or was killed.

    When that ends while packs are uploaded, what restic ends with may be its own way of stopping them.
    """
    said = last_message(stderr)
    return "command failed: " in said or said.endswith("context canceled")


def summary_of(stdout: str) -> Dict[str, Any]:
    """Return the summary of a ``backup --json``. Raise CaptureFailed when there is none: then nothing was saved."""
    for line in reversed(stdout.splitlines()):
        if line.startswith("{") and '"summary"' in line:
            item: Dict[str, Any] = json.loads(line)
            if item.get("message_type") == "summary" and item.get("snapshot_id"):
                return item
    raise CaptureFailed("restic ended without naming a snapshot")


def parse_version(text: str) -> tuple:
    """Return the version in ``restic version`` output as numbers, ``(0, 18, 0)``; empty when there is none."""
    words = text.split()
    if len(words) < 2 or words[0] != "restic":
        return ()
    return tuple(int(part) for part in words[1].split("-")[0].split(".") if part.isdigit())


def _stretch(tags: Dict[str, str]) -> Dict[str, Any]:
    """Return what the tags of a receipt say about its stretch of the server's history, and where a log set's data lies."""
    found: Dict[str, Any] = {key: tags[key] for key in ("stream", "first", "last", "sha256", "data") if key in tags}
    found.update({key: unquote_name(tags[key]) for key in ("mark", "from") if key in tags})
    return found


def committed_sets(snapshots: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return a summary for every receipt snapshot in a listing, oldest first, each set once.

    Given the decoded ``snapshots --json``. A snapshot counts when it is tagged as a receipt, names everything a summary
    needs and holds exactly the one file of the promised size; all else in the repository is never offered. Where others claim
    the same set and say something else, ``rivals`` holds their snapshots: each client says itself how old they are.
    """
    found: Dict[str, Dict[str, Any]] = {}
    for snapshot in snapshots:
        tags = read_tags(snapshot)
        if any(problems(_RECEIPT_TAGS, tags)) or len(snapshot["paths"]) != 1:
            continue
        summary = snapshot.get("summary") or {}
        if summary.get("total_files_processed") != 1 or str(summary.get("total_bytes_processed")) != tags["size"]:
            continue
        if not is_moment(tags["at"]):
            continue
        said = {
            **_stretch(tags),
            "set": tags["set"],
            "host": snapshot.get("hostname"),
            "app": tags["app"],
            "kind": tags["kind"],
            "parent": tags["parent"] or None,
            "consistent_at": tags["at"],
            "receipt_sha256": tags["receipt"],
            "snapshot": snapshot["id"],
            "path": snapshot["paths"][0],
            "stored": int(tags["bytes"]),
        }
        first = found.setdefault(tags["set"], said)
        if any(first[key] != said.get(key) for key in first if key not in ("snapshot", "path", "rivals")):
            first.setdefault("rivals", []).append(said["snapshot"])
    return sorted(found.values(), key=lambda item: (item["consistent_at"], item["set"]))
