# SPDX-License-Identifier: GPL-3.0-or-later
"""Look into a protected host's repository with plain restic, and damage it on the offsite server."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from lab_tools.fleet import OFFSITE, Fleet
from lab_tools.shop import HOST

ACCESS = "/etc/backstay/repositories"
STORE = "/srv/backstay/repositories"


class Blob(NamedTuple):
    """Where a blob lies on the offsite server: file, offset and length in bytes."""

    file: str
    offset: int
    length: int


def restic(fleet: Fleet, *words: str, host: str = HOST, name: str | None = None) -> str:
    """Run restic on ``host`` with the access files of repository ``name`` (quoted; default the host's own)."""
    place = f"{ACCESS}/{name or host}"
    files = ["--repository-file", f"{place}/url", "--password-file", f"{place}/password", "--cacert", f"{place}/ca.pem"]
    return fleet.run(host, "restic", *files, "--no-cache", "--json", *words)


def snapshots(fleet: Fleet, host: str = HOST, name: str | None = None) -> list[dict[str, Any]]:
    """Return every snapshot in the repository, whatever wrote it."""
    return list(json.loads(restic(fleet, "snapshots", "--no-lock", host=host, name=name)) or [])


def receipts(fleet: Fleet, host: str = HOST) -> list[str]:
    """Return the ids of all sets that have a receipt, sorted."""
    found = []
    for snapshot in snapshots(fleet, host):
        tags = dict(tag.split("=", 1) for tag in snapshot.get("tags") or [] if "=" in tag)
        if tags.get("part") == "receipt":
            found.append(tags["set"])
    return sorted(found)


def receipt(fleet: Fleet, wanted: str, host: str = HOST, name: str | None = None) -> dict[str, Any]:
    """Return the receipt of set ``wanted`` as it lies in the repository."""
    for snapshot in snapshots(fleet, host, name):
        if {f"set={wanted}", "part=receipt"} <= set(snapshot.get("tags") or []):
            return dict(json.loads(restic(fleet, "dump", snapshot["id"], snapshot["paths"][0], host=host, name=name)))
    raise AssertionError(f"set {wanted} has no receipt in the repository of {name or host}")


def data_blob(fleet: Fleet, snapshot: str, host: str = HOST) -> Blob:
    """Return where the middle blob of the only file of ``snapshot`` lies on the offsite server."""
    tree = json.loads(restic(fleet, "cat", "snapshot", snapshot, host=host))["tree"]
    content: list[str] = []
    while not content:
        nodes = json.loads(restic(fleet, "cat", "blob", tree, host=host))["nodes"]
        content, tree = nodes[0].get("content") or [], nodes[0].get("subtree")
    wanted = content[len(content) // 2]
    for line in fleet_lines(restic(fleet, "list", "index", host=host)):
        for pack in json.loads(restic(fleet, "cat", "index", line, host=host))["packs"]:
            for blob in pack["blobs"]:
                if blob["id"] == wanted:
                    file = f"{STORE}/{host}/data/{pack['id'][:2]}/{pack['id']}"
                    return Blob(file, blob["offset"], blob["length"])
    raise AssertionError(f"no index names blob {wanted}")


def fleet_lines(text: str) -> list[str]:
    """Return the ids in a plain listing of restic."""
    return [line.strip().strip('"') for line in text.splitlines() if line.strip()]


def flip(fleet: Fleet, blob: Blob) -> None:
    """Invert one byte in the middle of ``blob``; a second call repairs it."""
    program = (
        "import sys\n"
        "path, place = sys.argv[1], int(sys.argv[2])\n"
        "with open(path, 'r+b') as f:\n"
        "    f.seek(place); byte = f.read(1)[0]; f.seek(place); f.write(bytes([byte ^ 255]))\n"
    )
    mode = fleet.run(OFFSITE, "stat", "-c", "%a", blob.file).strip()
    fleet.run(OFFSITE, "chmod", "u+w", blob.file)
    fleet.run(OFFSITE, "python3", "-c", program, blob.file, str(blob.offset + blob.length // 2))
    fleet.run(OFFSITE, "chmod", mode, blob.file)
