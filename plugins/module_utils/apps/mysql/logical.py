# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical full backups of both products: one consistent dump, read as it passes; loaded into an empty server, and compared.

What the tool leaves out in silence (no privilege, cut short, refused part) shows in the counts of its objects. What a restore
loses shows when the loaded server is dumped again: every table's rows must hash to what the receipt says.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Set

from ...errors import CaptureFailed, CommandFailed, IntegrityError
from ...files import read_json, write_atomic, write_json
from ...moment import parse_moment
from ...process import acting_as, last_line, run, spawn, spell_status, telling_line
from .client import (
    USER_SCHEMAS,
    Options,
    await_server,
    connection_argv,
    count_differences,
    object_counts,
    options_of,
    query,
    restored_differences,
    value,
    warn_of_events,
)
from .dumping import Reader, differences, passed_on
from .logs import next_stream, warn_of_history
from .objects import loose_tables, object_names
from .products import Product, product_named
from .replay import client_argv
from .server_tables import (
    ACCOUNTS_CHANGED,
    NAMED_ZONES,
    NO_ACCOUNTS,
    accounts_state,
    add_again,
    additions,
    has_named_zones,
)
from .side import configure, option_file, start_side, stop_side

if TYPE_CHECKING:
    from ...worker.job import Job

TRAILER = "-- Dump completed"
_NOTES = "dump.json"
_BEFORE = "dump-before.json"


def schemas(options: Options) -> List[str]:
    """Return the names of the databases that are not the server's own."""
    return [row[0] for row in query(options, USER_SCHEMAS)]


def dump_argv(product: Product, options: Options, databases: List[str], more: Iterable[str]) -> List[str]:
    """Return the command line that dumps ``databases``; ``more``: options of the product for its purpose."""
    tool = [product.dump, *connection_argv(options), *product.dump_options, *more]
    return [*tool, "--max-allowed-packet=1G", "--databases", "--", *databases]


def captured_dump_argv(job: Job, _arguments: Dict[str, Any]) -> List[str]:
    """Return the command line of the capture: the dump tool, read on the way by ``dumping.main``."""
    options, facts = options_of(job), job.specification["facts"]
    product = product_named(facts["product"])
    # Before the list of databases: what comes in between is noticed.
    before = {"options": options, "objects": sorted(object_names(options)), "loose": loose_tables(options)}
    write_json(job.work / _BEFORE, before)
    found = schemas(options)
    if not found:
        raise CaptureFailed("the server has no database beside its own", "use app_mysql_method: physical")
    more = product.dump_gtids if facts["continuable"] else product.dump_part
    history = product.dump_history if facts["history"] else ()
    tool = dump_argv(product, options, found, [*product.dump_place, *more, *history])
    files = [str(job.work / _NOTES), str(job.work / _BEFORE)]
    return [sys.executable, sys.argv[0], "tool", "mysql", "dump", *files, product.coordinates, *tool]


def accounts_argv(job: Job, _arguments: Dict[str, Any]) -> List[str]:
    """Return the command line that dumps the accounts as statements; notes which they are, for the seal to compare."""
    product, options = product_named(job.specification["facts"]["product"]), options_of(job)
    job.seen["accounts"] = accounts_state(product, options)
    return [product.dump, *connection_argv(options), *product.dump_accounts]


def seal(job: Job) -> Dict[str, Any]:
    """Return what the receipt says of the dump. Raise CaptureFailed when it lacks what the server has."""
    options, facts = options_of(job), job.specification["facts"]
    found, after = read_json(job.work / _NOTES) or {}, object_counts(options)
    missing, _more = count_differences(facts["counts"], after, found.get("counts", {}))
    if missing:
        hint = "does the account see everything? Grant it what docs/systems/mysql.md lists"
        raise CaptureFailed("the dump lacks what the server has: " + "; ".join(missing), hint)
    place = dict(found["place"] or {}, server_id=facts["server_id"])
    accounts = any(item["name"] == "accounts" for item in job.seen["artifacts"])
    counted = ", ".join(f"{found['counts'][name]} {name}" for name in sorted(found["counts"]))
    sealed: Dict[str, Any] = {
        "position": {"not_before": place, "not_after": place, "exact": bool(found["place"])},
        "checks": [{"name": "dump", "status": "ok", "detail": f"complete: {counted}"}],
        "tools": {"server": facts["version"], product_named(facts["product"]).dump: facts["tool_version"]},
        "facts": {
            "counts_before": facts["counts"],
            "counts_after": after,
            "tables": found["tables"],
            "accounts": accounts,
            **additions(product_named(facts["product"]), options),
            "history": facts["history"],
            "versioned": facts["versioned"],
        },
    }
    reason, doubts = "", _doubts(job, accounts)
    sealed["checks"] += doubts
    if any(item["name"] == "tables" for item in doubts):
        sealed["position"]["exact"] = False
    if found["place"] and facts["continuable"] and not doubts:
        stream, reason = next_stream(job, place)
        if stream:
            sealed["stream"] = stream
    warn_of_history(facts, sealed, reason)
    return sealed


def loose_detail(tables: List[str]) -> str:
    """Return the sentence about tables that make a dump one without a moment."""
    listed = ", ".join(tables[:5]) + (" ..." if len(tables) > 5 else "")
    return (
        f"{len(tables)} tables are not of InnoDB, their rows are of no one moment, so no logs can continue the dump: {listed}"
    )


def _doubts(job: Job, accounts: bool) -> List[Dict[str, str]]:
    """Return warnings about what the dump lacks of one place in the binary log, so that no logs may continue it."""
    options, before = options_of(job), read_json(job.work / _BEFORE) or {}
    loose = sorted({*before.get("loose", []), *loose_tables(options)})
    found = {"tables": loose_detail(loose)} if loose else {}
    if not accounts:
        found["accounts"] = NO_ACCOUNTS
    # A change between their dump and that of the data is in neither of them and not in the logs behind the data.
    elif job.seen["accounts"] != accounts_state(product_named(job.specification["facts"]["product"]), options):
        found["accounts"] = ACCOUNTS_CHANGED
    if has_named_zones(options):
        found["named time zones"] = NAMED_ZONES
    return [{"name": name, "status": "warning", "detail": detail} for name, detail in found.items()]


def load(job: Job, arguments: Dict[str, Any]) -> None:
    """Make a data directory of a landed dump: an empty server, the dump into it, the accounts, and the proof.

    ``arguments``: directory (gets ``data``; ``dump`` and ``accounts`` hold what landed), user. Raise IntegrityError when the
    loaded server does not hold what the receipt says.
    """
    from ...worker.land import planned

    directory, user = Path(arguments["directory"]), arguments["user"]
    receipt = planned(job.specification)["receipts"][0]
    product = product_named(receipt["facts"]["product"])
    dump, accounts = directory / "dump" / "data.sql", directory / "accounts" / "data.sql"
    with acting_as(user):  # the landed files lie in folders of the account, which could lead root elsewhere
        whole = ends_whole(dump)
    if not whole:
        raise IntegrityError("the dump does not end as its tool ends one")
    configure(job, directory, user)
    _initialise(job, product, directory, user)
    start_side(job, dict(arguments, detached=False))
    options = {"socket": f"{directory}/server.sock", "no_defaults": True}
    await_server(options, 300, job.seen["side"])
    plugins = dict(receipt["facts"].get("plugins") or {}, **({} if accounts.exists() else product.root_plugin))
    _add_again(job, product, options, dict(receipt["facts"], plugins=plugins))
    _forget_own_gtids(product, options)
    job.begin_step("load the dump", dump.stat().st_size)
    feed(job, product, options, dump, f"--init-command=SET timestamp={_began(receipt)}", account=user)
    _prove(job, product, options, receipt)
    if accounts.exists():
        fitted = job.work / "accounts.sql"  # not where the server's account could lead it elsewhere
        present = {row[0].encode() for row in query(options, _ACCOUNTS)}
        with acting_as(user):
            lines = accounts.read_bytes().splitlines(True)
        write_atomic(fitted, b"".join(fitting_accounts(lines, present)))
        feed(job, product, options, fitted)
    elif product.lock_root:
        query(options, product.lock_root)
    stop_side(job, {})


def _add_again(job: Job, product: Product, options: Options, wanted: Dict[str, Any]) -> None:
    problems = add_again(product, options, wanted)
    if problems:
        what = "the source has plugins, components or functions that this host cannot load; what needs one does not work"
        job.seen["checks"].append({"name": "plugins", "status": "warning", "detail": f"{what}: {'; '.join(problems)}"})


_OWN_ACCOUNTS = re.compile(rb"(CREATE USER|GRANT .*? TO) [`'](mysql\.(sys|session|infoschema)|mariadb\.sys)[`']@")
_CREATED = re.compile(rb"CREATE USER (?:/\*M?!\d+ IF NOT EXISTS \*/ )?(`(?:[^`]|``)*`@`(?:[^`]|``)*`)")
_ACCOUNTS = "SELECT CONCAT('`', REPLACE(user, '`', '``'), '`@`', REPLACE(host, '`', '``'), '`') FROM mysql.user"


def fitting_accounts(lines: List[bytes], present: Set[bytes]) -> Iterator[bytes]:
    """Yield the statements of an account dump that fit a fresh server: what is ``present`` there is altered, its own stay."""
    for line in lines:
        created = _CREATED.match(line)
        if _OWN_ACCOUNTS.match(line):
            continue
        there = created and created.group(1) in present
        yield b"ALTER USER " + created.group(1) + line[created.end() :] if created and there else line


def _forget_own_gtids(product: Product, options: Options) -> None:
    """Empty the GTIDs of a fresh server: a dump that brings its own is refused (3546) where they overlap."""
    if product.dump_gtids and value(options, product.logged_gtids):
        query(options, "RESET BINARY LOGS AND GTIDS")


def _initialise(job: Job, product: Product, directory: Path, user: str) -> None:
    """Make the empty data directory of a server whose configuration is written. Raise CommandFailed with its last complaint."""
    places = {"options": option_file(job), "data": directory / "data", "account": user}
    done = run([word.format(**places) for word in product.initialise], 600, account=user)
    if done.status != 0:
        log = directory / "error.log"
        with acting_as(user):
            said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else done.stderr
        raise CommandFailed(f"{product.initialise[0]} {spell_status(done.status)}: {telling_line(said)}")


def ends_whole(dump: Path) -> bool:
    """Return whether its tool ended the dump; one that was cut between two lines loads without an error."""
    with dump.open("rb") as stream:
        stream.seek(max(dump.stat().st_size - 256, 0))
        return TRAILER in last_line(stream.read().decode("utf-8", "replace"))


def _began(receipt: Dict[str, Any]) -> int:
    """Return the second in which the backup began, as the time of the session that loads its dump.

    A server creates no event whose time is over. All that were dumped lay ahead when the backup began, and the rows that are
    loaded say their own times.
    """
    return int(parse_moment(receipt["started_at"]).timestamp())


def feed(job: Job, product: Product, options: Options, dump: Path, *more: str, account: Optional[str] = None) -> None:
    """Feed a file of statements, which ``account`` may read, to the server by the client with options ``more``.

    The first error ends it.

    Raise CommandFailed with the client's words.
    """
    from ...worker.flow import pipe

    source = spawn(["cat", "--", str(dump)], account=account, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    sink = spawn(
        [*client_argv(product, options), *more], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _flow, said, complaint = pipe(job, source, sink)
    if sink.returncode != 0:
        raise CommandFailed(f"loading the dump {spell_status(sink.returncode)}: {last_line(complaint)}")
    if source.returncode != 0:
        raise CommandFailed(f"the dump cannot be read: {last_line(said)}")


def read_again(product: Product, options: Options, databases: List[str], history: Iterable[str]) -> Dict[str, Any]:
    """Return what a dump of ``databases`` holds now, with the same ``history`` options as the one that it is compared with.

    See ``dumping.Reader.found``.
    """
    reader = Reader(product.coordinates)
    status = passed_on(dump_argv(product, options, databases, [*product.dump_part, *history]), reader, None)
    if status != 0:
        raise CommandFailed(f"{product.dump} of the restored server {spell_status(status)}")
    return reader.found()


def _prove(job: Job, product: Product, options: Options, receipt: Dict[str, Any]) -> None:
    facts = receipt["facts"]
    missing, expired, _more = restored_differences(facts, object_counts(options))
    history = product.dump_history if facts.get("history") else ()
    other = differences(facts["tables"], read_again(product, options, schemas(options), history)["tables"])
    if missing or other:
        raise IntegrityError("the loaded server differs from the dump: " + "; ".join([*missing, *other][:5]))
    warn_of_events(job, expired)
    detail = f"{len(facts['tables'])} tables hold the rows that were dumped"
    job.seen["checks"].append({"name": "content", "status": "ok", "detail": detail})
