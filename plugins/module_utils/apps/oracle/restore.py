# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores: control file from its piece, all data files to before a point, OPEN RESETLOGS, proof. Nothing live is overwritten.

Sources: docs/systems/oracle.md. RMAN's repository is the control file, so the restored one decides what RMAN knows; landed
pieces are made known to it, and those that lie where they were written count no more.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple

from ...chain import data_sets, log_sets
from ...errors import BadInput, CommandFailed, IntegrityError, Refused
from ...executors import Command
from ...moment import parse_moment
from . import cmdfile, dictionary, instances, parameters
from .capture import PARAMETERS, PASSWORDS, TRACE, server_of
from .client import Instance, ask, rman, sqlplus, write_for_tools
from .clock import until_time
from .cmdfile import Until
from .dictionary import Rows, listed
from .history import parse_position, unbroken
from .text import identifier, quoted

if TYPE_CHECKING:
    from ...worker.job import Job

_WRITE = "READ WRITE"
_PREFIXES = {"DATAFILE": "{0}", "TEMPFILE": "temp{0}", "LOGFILE": "log{0}_{1}"}  # of names at another place; {1}: the member


def plan_of(job: Job) -> Dict[str, Any]:
    """Return the plan of the job."""
    from ...worker.land import planned

    return planned(job.specification)


def until_of(plan: Dict[str, Any]) -> Until:
    """Return where recovery stops: before the position, before the second of the moment, or at the end of the last set.

    Raise IntegrityError when the log sets do not continue the data.
    """
    line = [item["stream"] for item in [*data_sets(plan)[-1:], *log_sets(plan)]]
    unbroken(line)
    if plan["position"]:
        return Until(scn=parse_position(plan["position"]))
    if plan["stop_at"]:
        # In the clock of the database, wherever it is restored: redo holds its local times.
        return Until(time=until_time(data_sets(plan)[0]["facts"]["zone"], parse_moment(plan["stop_at"])))
    return Until(scn=int(line[-1]["last"]))


def control_set(plan: Dict[str, Any]) -> str:
    """Return the set whose control file is used: the newest one that is not younger than where recovery stops."""
    stops_within = plan["stop_at"] or plan["position"]
    return str(data_sets(plan)[-1]["set"] if stops_within else plan["receipts"][-1]["set"])


def pieces_in(server: Instance, folder: Path) -> List[str]:
    """Return the paths of the backup pieces of a landed set; texts are none."""
    return [str(folder / name) for name in server.executor.names(folder) if name not in (PARAMETERS, PASSWORDS, TRACE)]


def piece(server: Instance, landing: str, set_id: str, prefix: str) -> str:
    """Return the path of the only landed piece of a set whose name begins with ``prefix``."""
    folder = Path(landing) / set_id
    return str(folder / _the_one(set_id, prefix, server.executor.names(folder)))


def _the_one(set_id: str, prefix: str, names: List[str]) -> str:
    found = [name for name in names if name.startswith(prefix + "_")]
    if len(found) != 1:
        raise IntegrityError(f"set {set_id} holds {len(found)} pieces '{prefix}' instead of one", "restore another set")
    return found[0]


def judge(plan: Dict[str, Any]) -> None:
    """Raise what keeps a plan from being followed: a moment that cannot be told to RMAN, logs that do not continue the data, a
    set whose receipt lists no control file. (That of a log set is known when it landed.)"""
    until_of(plan)
    chosen = control_set(plan)
    for item in data_sets(plan):
        if item["set"] == chosen:
            _the_one(chosen, "current", [artifact["name"] for artifact in item["artifacts"]])


def judge_landed(job: Job, arguments: Dict[str, Any]) -> None:
    """Raise while nothing is stopped yet what would keep the restore from going on when live files lie aside already.

    ``arguments`` are those of ``begin_restore``.
    """
    server, plan, landing = server_of(job), plan_of(job), str(arguments["landing"])
    judge(plan)
    cmdfile.control_file_back(_dbid(plan), piece(server, landing, control_set(plan), "current"))
    cmdfile.known_pieces(_landed(server, landing, plan))
    directory = arguments.get("directory") or ""
    if directory and not Path(directory).is_absolute():
        raise BadInput(f"{directory!r} is no directory of the host", "give app_oracle_directory as an absolute path")
    quoted(directory)
    if _brings_parameters(server, arguments):
        _require_usable_parameters(server, data_sets(plan)[-1], landing, directory)


def _require_usable_parameters(server: Instance, data: Dict[str, Any], landing: str, directory: str) -> None:
    """Raise unless an instance can be started from the parameter file of a landed set, and its control files be set aside."""
    controls = listed(parameters.read(_parameters_of(server, data, landing, directory)).get("control_files"))
    nowhere = [name for name in controls if not name.startswith("/")]
    if nowhere:
        raise Refused(f"{nowhere[0]} is no file of this host and cannot be moved aside", "restore to app_oracle_directory")
    if data["facts"]["server_parameter_file"] and not directory:
        piece(server, landing, data["set"], "spfile")


def begin_restore(job: Job, arguments: Dict[str, Any]) -> None:
    """Start the instance without a database, from its own parameter file or the set's.

    ``arguments``: landing, directory (empty: the original places), parameters (``missing``, ``always``). From here on live
    files move aside.
    """
    from ...worker import exchange

    server = server_of(job)
    instances.abort(server)  # its service is stopped; somebody may have started it by hand
    if arguments.get("directory"):
        instances.give_directory(server, Path(arguments["directory"]))
    exchange.begin(job)
    job.cleanups.append(lambda: _end(job, server))
    _when_lost(job, server, untouched=True)
    if _brings_parameters(server, arguments):
        _bring_parameters(job, server, str(arguments["landing"]), arguments.get("directory") or "")
    else:
        instances.start(server)
    values = dictionary.parameters(ask(server, {"values": dictionary.PARAMETERS})["values"])
    controls = listed(values.get("control_files"))
    if not controls:
        raise CommandFailed(f"the parameter file of {server.sid} names no control files", "set control_files in it")
    _make_way(job, server, controls)
    restore_control_file(job, server, str(arguments["landing"]))


def _end(job: Job, server: Instance) -> None:
    """End the instance of a restore that failed: nobody may use half a database, and put-back needs its files closed."""
    if not job.seen.get("opened"):
        instances.abort(server)
        server.executor.on_loss([])  # what is started now, if anything, is not the job's


def _when_lost(job: Job, server: Instance, untouched: bool) -> None:
    """Have the host end the instance by itself when the worker is lost; while no file has moved, its service starts again.

    The service is stopped before: over the instance of the job somebody may have started it in vain meanwhile.
    """
    controls = [entry["control"] for entry in job.folder.undo_entries() if "control" in entry] if untouched else []
    again = [Command(control[verb]) for control in reversed(controls) for verb in ("stop", "start")]
    server.executor.on_loss([instances.abort_by_host(server), *again])


def restore_control_file(job: Job, server: Instance, landing: str) -> None:
    """Bring the control file back, mount it, and make every landed piece known to it."""
    plan = plan_of(job)
    chosen = control_set(plan)
    dbid = _dbid(plan)
    commands = cmdfile.control_file_back(dbid, piece(server, landing, chosen, "current"))
    rman(job, server, "control-file", [*commands, *cmdfile.known_pieces(_landed(server, landing, plan))])
    row = dictionary.database_row(ask(server, {"database": dictionary.DATABASE})["database"])
    if row["dbid"] != dbid:
        raise IntegrityError(f"the control file of set {chosen} is of DBID {row['dbid']}, not {dbid}")


def _dbid(plan: Dict[str, Any]) -> int:
    return int(data_sets(plan)[0]["facts"]["dbid"])


def _landed(server: Instance, landing: str, plan: Dict[str, Any]) -> List[str]:
    return [path for item in plan["receipts"] for path in pieces_in(server, Path(landing) / item["set"])]


def _parameter_files(server: Instance) -> List[Path]:
    folder = Path(server.home) / "dbs"
    return [folder / f"spfile{server.sid}.ora", folder / f"init{server.sid}.ora"]


def _brings_parameters(server: Instance, arguments: Dict[str, Any]) -> bool:
    """Return whether the instance gets the parameter file of the set: it has none, or ``parameters`` says always."""
    own = [path for path in _parameter_files(server) if server.executor.exists(path)]
    return not own or arguments.get("parameters") == "always"


def _parameters_of(server: Instance, data: Dict[str, Any], landing: str, directory: str) -> str:
    """Return the text of the parameter file of a landed data set, for ``directory`` if there is one."""
    text = server.executor.read(Path(landing) / data["set"] / PARAMETERS).decode("utf-8", "replace")
    return parameters.write(parameters.moved(parameters.read(text), directory)) if directory else text


def _make_way(job: Job, server: Instance, paths: List[str]) -> None:
    """Move the files that lie at ``paths`` aside and make the directories for those that will come."""
    from ...worker import exchange

    instances.give_directories(server, [str(Path(path).parent) for path in paths])
    _when_lost(job, server, untouched=False)
    exchange.set_aside(job, f"the database {server.sid}", paths, server.account)


def _bring_parameters(job: Job, server: Instance, landing: str, directory: str) -> None:
    """Give the instance the parameter file of the set, in the form that the source had, and start it."""
    data = data_sets(plan_of(job))[-1]
    source, brought = data["facts"], Path(landing) / data["set"]
    reach = server.executor
    text = _parameters_of(server, data, landing, directory)
    instances.give_directories(server, parameters.places_in(parameters.read(text)))
    spfile, init = _parameter_files(server)
    passwords = init.with_name(f"orapw{server.sid}")
    lacks_passwords = reach.exists(brought / PASSWORDS) and not reach.exists(passwords)
    _make_way(job, server, [str(spfile), str(init), *([str(passwords)] if lacks_passwords else [])])
    if lacks_passwords:
        instances.give_file(server, passwords, reach.read(brought / PASSWORDS))
    if not source["server_parameter_file"]:
        instances.give_file(server, init, text.encode())
        instances.start(server)
        return
    beginning = write_for_tools(job, server, "start.ora", text)
    instances.start(server, str(beginning))
    if directory:
        sqlplus(server, f"CREATE SPFILE = {quoted(str(spfile))} FROM PFILE = {quoted(str(beginning))};")
    else:
        commands = cmdfile.server_parameters_back(
            int(source["dbid"]), piece(server, landing, data["set"], "spfile"), str(spfile)
        )
        rman(job, server, "parameters", commands)
    instances.abort(server)
    instances.start(server)


def recover(job: Job, arguments: Dict[str, Any]) -> None:
    """Restore all data files and recover them. ``arguments``: landing, directory, channels."""
    server = server_of(job)
    found = moves(known_files(server), arguments.get("directory") or "")
    _make_way(job, server, [file.new for files in found.values() for file in files])
    recover_files(job, server, found, int(arguments.get("channels", 1)))


def known_files(server: Instance) -> Dict[str, Rows]:
    """Return number and name of every file that the mounted control file knows; of online logs, every member of every group."""
    questions = {"DATAFILE": dictionary.DATA_FILES, "TEMPFILE": dictionary.TEMP_FILES, "LOGFILE": dictionary.ONLINE_LOGS}
    return ask(server, questions)


class Move(NamedTuple):
    """A file of the database, by the number of its kind (of an online log: its group), where it was and where it comes."""

    number: str
    old: str
    new: str


def moves(found: Dict[str, Rows], directory: str) -> Dict[str, List[Move]]:
    """Return where every file of ``found`` comes: below ``directory`` (empty: where it was). The only place that names them.

    With its number: in a container database every container has a system01.dbf, and members of a log group are often called
    alike. Raise Refused when two files would share a name all the same.
    """
    result: Dict[str, List[Move]] = {kind: [] for kind in found}
    for kind, rows in found.items():
        members: Dict[str, int] = {}
        for number, old in (row[:2] for row in rows):
            members[number] = members.get(number, 0) + 1
            name = f"{_PREFIXES[kind].format(number, members[number])}_{Path(old).name}"
            result[kind].append(Move(number, old, f"{directory}/{name}" if directory else old))
    places = Counter(file.new for files in result.values() for file in files)
    twice = sorted(place for place, count in places.items() if count > 1)
    if twice:
        raise Refused(f"two files of the database would come to {twice[0]}", "restore to the original paths")
    return result


def recover_files(job: Job, server: Instance, found: Dict[str, List[Move]], channels: int) -> None:
    """Restore and recover; every file of ``found`` comes to its place, the online logs included."""
    changed = {kind: [file for file in files if file.new != file.old] for kind, files in found.items()}
    places = {kind: {file.number: file.new for file in changed[kind]} for kind in ("DATAFILE", "TEMPFILE")}
    rman(job, server, "data", cmdfile.data_back(until_of(plan_of(job)), channels, places))
    renames = [f"ALTER DATABASE RENAME FILE {quoted(file.old)} TO {quoted(file.new)};" for file in changed["LOGFILE"]]
    if renames:
        sqlplus(server, "\n".join(renames))


def resetlogs_due(control_file: str, stopped_early: bool) -> bool:
    """Return whether the database has to be opened with RESETLOGS: after a restored control file or incomplete recovery.

    ``control_file``: CURRENT, BACKUP or CREATED, as v$database says. Where it is not due the server refuses it (ORA-01139).
    """
    return stopped_early or control_file != "CURRENT"


def open_database(job: Job, server: Instance) -> None:
    """Open the recovered database and remember which SCN it was recovered to."""
    row = dictionary.database_row(ask(server, {"database": dictionary.DATABASE})["database"])
    tracking = "SELECT status FROM v$block_change_tracking"
    more = ask(server, {"tracking": tracking, "flashback": "SELECT flashback_on FROM v$database"})
    off = []
    if more["tracking"] and more["tracking"][0][0] == "ENABLED":
        off.append(("ALTER DATABASE DISABLE BLOCK CHANGE TRACKING", "block change tracking"))
    if more["flashback"] and more["flashback"][0][0] == "YES":
        off.append(("ALTER DATABASE FLASHBACK OFF", "flashback"))
    form = "RESETLOGS" if resetlogs_due(str(row["control_file"]), stopped_early=True) else "NORESETLOGS"
    sqlplus(server, "".join(f"{statement};\n" for statement, _what in off) + f"ALTER DATABASE OPEN {form};", 3600)
    opened = dictionary.database_row(ask(server, {"database": dictionary.DATABASE})["database"])
    job.seen["facts"]["reached"] = {"scn": opened["resetlogs"]}
    for _statement, what in off:
        detail = f"{what} belonged to the former files and is off now; switch it on again"
        job.seen["checks"].append({"name": what, "status": "warning", "detail": detail})


def open_restored(job: Job, arguments: Dict[str, Any]) -> None:
    """Open the restored database, shut it down in order, and leave it to its service; ``arguments``: keep_aside."""
    from ...worker import exchange

    server = server_of(job)
    open_database(job, server)
    instances.stop(server)
    job.seen["opened"] = True  # and closed again, in order; from here on it is its service's
    left_to_do = instances.enter_into_oratab(server)
    if left_to_do:
        job.seen["checks"].append({"name": "oratab", "status": "warning", "detail": left_to_do})
    exchange.finish(job, bool(arguments.get("keep_aside", True)))


def check(job: Job, arguments: Dict[str, Any]) -> None:
    """Prove a restored database: open, its pluggable databases too, every block read, no file in need of recovery."""
    prove_open(job, server_of(job))


def prove_open(job: Job, server: Instance) -> None:
    """Open what was open in the source, then prove the database behind ``server``. Raise IntegrityError naming what fails."""
    source = data_sets(plan_of(job))[-1]["facts"]
    wanted = [name for name, mode in source["pluggable"].items() if mode == _WRITE]
    present = dict(row[:2] for row in ask(server, {"pluggable": dictionary.PLUGGABLE})["pluggable"])
    closed = [name for name in wanted if name in present and present[name] != _WRITE]
    if closed:
        sqlplus(server, "\n".join(f"ALTER PLUGGABLE DATABASE {identifier(name)} OPEN;" for name in closed), 3600)
    rman(job, server, "validate", cmdfile.proof_of_database())
    found = ask(
        server,
        {
            "database": dictionary.DATABASE,
            "pluggable": dictionary.PLUGGABLE,
            "damaged": "SELECT file#, block#, blocks FROM v$database_block_corruption",
            "recover": "SELECT file#, error FROM v$recover_file",
        },
    )
    row = dictionary.database_row(found["database"])
    modes = dict(item[:2] for item in found["pluggable"])
    problems = [f"{row['name']} is {row['open_mode']}"] if row["open_mode"] != _WRITE else []
    problems += [f"pluggable database {name} is {modes.get(name, 'missing')}" for name in wanted if modes.get(name) != _WRITE]
    problems += [f"file {item[0]} has {item[2]} damaged blocks at {item[1]}" for item in found["damaged"]]
    problems += [f"file {item[0]} needs recovery {item[1]}".strip() for item in found["recover"]]
    if row["dbid"] != source["dbid"]:
        problems.append(f"it has DBID {row['dbid']} instead of {source['dbid']}")
    if problems:
        raise IntegrityError(f"the restored database has {len(problems)} faults: " + "; ".join(problems[:5]))
    detail = f"{row['name']} open, recovered to before SCN {job.seen['facts']['reached']['scn']}"
    job.seen["checks"].append({"name": "open", "status": "ok", "detail": detail})
    detail = f"every block of the data files read; {len(wanted)} pluggable databases open"
    job.seen["checks"].append({"name": "VALIDATE DATABASE", "status": "ok", "detail": detail})
