# SPDX-License-Identifier: GPL-3.0-or-later
"""Replay landed binary logs into a server on a restored copy, up to a moment or a position.

The server is one of its own: socket only, no events, no replication, no log of its own (``calls.start_side``). Files and
positions are proved first; the vendor's tool is given positions, never times, because it reads times in the zone of its
process, in whole seconds, and does not fail when it never reaches them.
"""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from ...chain import data_sets, log_sets
from ...errors import BadInput, CommandFailed, IntegrityError
from ...moment import format_moment, parse_moment
from ...process import last_line, spawn, spell_status
from .binlog import Stop, scan, state_at, stop_after_gtid, stop_at_position, stop_before_second, stop_of
from .client import Options, await_server, connection_argv, query, value
from .gtids import joined, of_other_servers, same_gtids, unlogged
from .history import following, number_of, order
from .logs import parse_position
from .products import Product, product_named

if TYPE_CHECKING:
    from ...worker.job import Job


def replay(job: Job, arguments: Dict[str, Any]) -> None:
    """Replay the landed log sets of the plan; ``arguments``: logs (folder of a folder for each set), socket,
    defaults_extra_file, account.

    Raise IntegrityError when the logs do not continue the data, BadInput when the goal is no place in them.
    """
    from ...worker.land import planned

    await_server(arguments, 300, job.seen.get("side"))
    plan = planned(job.specification)
    newest = data_sets(plan)[-1]
    product = product_named(plan["receipts"][0]["facts"]["product"])
    data = newest["position"]["not_after"] if newest["position"]["exact"] else started_place(arguments, newest)
    data = dict(data, gtid=held_gtids(product, arguments, data["gtid"]))
    paths = files_in_order([Path(arguments["logs"]) / item["set"] for item in log_sets(plan)])
    paths, before = from_position(paths, data)
    prove_unbroken(paths)
    stop = find_stop(paths, int(data["position"]), plan["stop_at"], plan["position"])
    used = [path for path in paths if number_of(path.name) <= number_of(stop.file)]
    job.begin_step(f"replay {len(used)} binary logs up to {stop.file}:{stop.position}", sum(p.stat().st_size for p in used))
    if not (len(used) == 1 and stop.position == int(data["position"])):
        _pipe(job, product, replay_argv(product, used, int(data["position"]), stop), arguments)
    # A server that has a GTID already skips it without a word; what is not there afterwards was lost.
    demand_gtids(product, arguments, joined(stop.state, before))
    last = format_moment(datetime.fromtimestamp(stop.last_at, timezone.utc)) if stop.last_at else ""
    job.seen["facts"]["reached"] = {"file": stop.file, "position": stop.position, "gtid": stop.state, "last_commit": last}
    until = f", newest transaction of {last}" if last else ""
    detail = f"{len(used)} binary logs up to {stop.file}:{stop.position} (GTID {stop.state or 'none'}{until})"
    job.seen["checks"].append({"name": "replay", "status": "ok", "detail": detail})
    if stop.overtaken:
        detail = f"{stop.overtaken} transactions began before the moment, were committed after it, and are left out"
        job.seen["checks"].append({"name": "overlap", "status": "warning", "detail": detail})


def started_place(options: Options, newest: Dict[str, Any]) -> Dict[str, Any]:
    """Return the exact place of a clone, which only a server that was started on it tells.

    Raise IntegrityError when it does not lie between the places that were noted around the clone.
    """
    rows = query(options, "SELECT binlog_file, binlog_position FROM performance_schema.clone_status")
    if not rows or not rows[0][1].isdigit() or number_of(rows[0][0]) < 0:
        raise IntegrityError("the server on the clone does not tell where it stands in the binary log")
    file, position = rows[0][0].rpartition("/")[2], int(rows[0][1])
    first, last = newest["position"]["not_before"], newest["position"]["not_after"]
    if not order(first["file"], first["position"]) <= order(file, position) <= order(last["file"], last["position"]):
        raise IntegrityError(f"the clone stands at {file}:{position}, outside of what was noted when it was made")
    return {"file": file, "position": position, "gtid": value(options, "@@gtid_executed")}


def held_gtids(product: Product, options: Options, wanted: str) -> str:
    """Return the GTIDs of a server that keeps a set of them: ``wanted``, and those that no log of its source showed.

    Raise IntegrityError when it has not all that are wanted.
    """
    if not product.gtids_demanded:
        return wanted
    found = value(options, product.logged_gtids)
    if unlogged(found, wanted) is None:
        raise IntegrityError(f"before the replay the server has the GTIDs {found or '(none)'} instead of {wanted or '(none)'}")
    return found


def demand_gtids(product: Product, options: Options, wanted: str) -> None:
    """Raise IntegrityError unless a server that keeps a set of its GTIDs has exactly ``wanted`` after the replay."""
    if not product.gtids_demanded:
        return
    found = value(options, product.logged_gtids)
    if not same_gtids(found, wanted):
        raise IntegrityError(f"after the replay the server has the GTIDs {found or '(none)'} instead of {wanted or '(none)'}")


def files_in_order(folders: List[Path]) -> List[Path]:
    """Return the files in ``folders`` by number, each number once. Raise IntegrityError when one is missing in between."""
    found: Dict[int, Path] = {}
    for folder in folders:
        for path in folder.iterdir():
            if number_of(path.name) < 0 or path.is_symlink() or not path.is_file():
                raise IntegrityError(f"{path} is no binary log", "this set was not made by Backstay")
            found.setdefault(number_of(path.name), path)
    paths = [found[number] for number in sorted(found)]
    for before, after in zip(paths, paths[1:]):
        if following(before.name) != after.name:
            raise IntegrityError(f"binary log {following(before.name)} is missing between the sets")
    return paths


def prove_unbroken(paths: List[Path]) -> None:
    """Raise IntegrityError unless each file begins with the GTIDs with which the one before it ends, on the same server."""
    facts = [scan(path) for path in paths]
    for before, after in zip(facts, facts[1:]):
        if after["begin"] != before["end"] or after["server_id"] != before["server_id"]:
            raise IntegrityError(
                f"binary log {after['name']} begins at GTID {after['begin'] or '(none)'} of server {after['server_id']},"
                f" {before['name']} ended at {before['end'] or '(none)'} of {before['server_id']}",
                "the sets are of different histories",
            )


def from_position(paths: List[Path], data: Dict[str, Any]) -> Tuple[List[Path], str]:
    """Return the files from the one in which the data ends on, and the GTIDs that the data has from before all logs.

    Those are of a server that was restored, which makes its own under another UUID since. Raise IntegrityError when the file
    shows another history there, or any of the files transactions of a server that the data has more of.
    """
    rest = [path for path in paths if number_of(path.name) >= number_of(data["file"])]
    if not rest or rest[0].name != data["file"]:
        raise IntegrityError(f"the logs do not begin at {data['file']}, where the data ends")
    shown = state_at(rest[0], int(data["position"]))
    before = None if shown is None else unlogged(data["gtid"], shown)
    if before is None or not of_other_servers(before, scan(rest[-1])["end"]):
        raise IntegrityError(
            f"{data['file']} shows GTID {shown or '(none)'} at {data['position']}, the data ends at {data['gtid'] or '(none)'}",
            "data and logs are of different histories",
        )
    return rest, before


def find_stop(paths: List[Path], start: int, stop_at: Optional[str], position: Optional[str]) -> Stop:
    """Return where to stop: before the second of the moment ``stop_at``, after ``position``, or at the end of the logs."""
    if position:
        kind, value = parse_position(position)
        found = stop_after_gtid(paths, start, value) if kind == "gtid" else stop_at_position(paths, *value)
        if (number_of(found.file), found.position) < (number_of(paths[0].name), start):
            raise BadInput(f"{position} lies before the data that was restored", "restore an older set")
        return found
    if stop_at:
        return stop_before_second(paths, start, int(parse_moment(stop_at).timestamp()))
    return stop_of(paths)


def replay_argv(product: Product, paths: List[Path], start: int, stop: Stop) -> List[str]:
    """Return the argv that turns logs into statements; the start belongs to the first file, the stop to the last.

    At the very end of a file that a dead server left there is no event behind the stop, and the tool would miss it.
    """
    at_end = stop.position == paths[-1].stat().st_size
    until = [] if at_end else [f"--stop-position={stop.position}"]
    return [
        product.binlog, *product.replay_options,
        f"--start-position={start}", *until, "--", *(str(path) for path in paths),
    ]  # fmt: skip


def client_argv(product: Product, arguments: Dict[str, Any]) -> List[str]:
    """Return the argv of the client: statements only - no commands of its own, no local files, the first error ends it."""
    return [product.client, *connection_argv(arguments), *product.client_options]


def _pipe(job: Job, product: Product, source_argv: List[str], arguments: Dict[str, Any]) -> None:
    """Run the tool into the client; both have to succeed. The tool reads what came from elsewhere, so it runs as account."""
    from ...worker.flow import pipe

    source = spawn(source_argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, account=arguments.get("account"))
    sink = spawn(client_argv(product, arguments), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _flow, said, complaint = pipe(job, source, sink)
    if sink.returncode != 0:
        raise CommandFailed(f"the replay {spell_status(sink.returncode)}: {last_line(complaint)}")
    if source.returncode != 0 or "id not reach" in said:
        raise CommandFailed(f"{product.binlog} {spell_status(source.returncode)}: {last_line(said)}")
