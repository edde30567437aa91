# SPDX-License-Identifier: GPL-3.0-or-later
"""One database of a restored copy goes into the running server, by the product's own dump tool and client.

So any set will do, of any method, up to any moment. A GTID of the copy never reaches the server: it would be skipped there
in silence, or refused (3546).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from ...errors import BadInput, CommandFailed, Refused
from ...files import private_directory
from ...process import Tail, last_line, spawn, spell_status
from .client import Options, await_server
from .dumping import differences
from .logical import dump_argv, ends_whole, feed, read_again, schemas
from .products import Product, product_named
from .versioned import history_options, lost_history

if TYPE_CHECKING:
    from ...worker.job import Job

# With --force the tool also goes on when the server is gone, and ends a file that holds next to nothing.
_SERVER_GONE = re.compile(r"\b(2006|2013)\b")


def copy_database(job: Job, arguments: Dict[str, Any]) -> None:
    """Replace one database of the live server by that of a copy.

    ``arguments``: database, socket and defaults_extra_file (of the copy), live_socket, yard (gets a dump of what is replaced in
    ``former-databases``; nobody but root writes there), keep_aside.

    Raise BadInput when the copy has no such database, Refused when history of its tables would be lost, CommandFailed when
    the present one cannot be kept, all before anything is touched; CommandFailed names the dump of the former
    database when loading fails.
    """
    from ...worker.land import planned

    name, copy = arguments["database"], {key: arguments.get(key) for key in ("socket", "defaults_extra_file")}
    live = dict(copy, socket=arguments["live_socket"])
    product = product_named(planned(job.specification)["receipts"][0]["facts"]["product"])
    await_server(copy, 300, job.seen.get("side"))
    found = schemas(copy)
    if name not in found:
        raise BadInput(f"the restored copy has no database '{name}'", "it has " + (", ".join(found) or "none"))
    _demand_history(product, [copy, live], name)
    history = history_options(product)
    run, yard, former = job.specification["run"], Path(arguments["yard"]), None
    passing = yard / f"copy-{run}"
    job.folder.note_made("directory", str(passing))
    job.cleanups.append(lambda: shutil.rmtree(str(passing), ignore_errors=True))
    fresh = dump_to(job, product, copy, name, passing / "database.sql")
    if name in schemas(live):
        former = _keep(job, product, live, name, yard / "former-databases" / f"{run}.sql")
    try:
        feed(job, product, live, fresh)
    except CommandFailed as error:
        where = f"; the former content lies in {former}" if former else ""
        raise CommandFailed(f"{error.message}; database {name} is incomplete now{where}", "load it with the client") from error
    other = differences(
        read_again(product, copy, [name], history)["tables"], read_again(product, live, [name], history)["tables"]
    )
    status, detail = ("warning", "; ".join(other[:5]) + " (is somebody writing already?)") if other else ("ok", name)
    job.seen["checks"].append({"name": "database", "status": status, "detail": detail})
    if former and (other or arguments.get("keep_aside", True)):  # until the new content is proved, it is the only good one
        job.seen["facts"]["former"] = str(former)
    elif former:
        former.unlink()


def _demand_history(product: Product, servers: List[Options], database: str) -> None:
    """Raise Refused when the database has system-versioned tables whose history the dump tool would leave out."""
    for options in servers:
        lost = lost_history(product, options, database)
        if lost:
            raise Refused(
                f"{product.dump} of this host leaves out the history of system-versioned tables: {', '.join(lost[:5])}",
                "restore the whole server, or to a directory of its own",
            )


def _keep(job: Job, product: Product, options: Options, database: str, path: Path) -> Path:
    """Dump what is replaced, as far as it goes: it may be damaged, which is why it is replaced. Then the result warns.

    Raise CommandFailed when the tool did not get to its end: no room, killed, no server. It ends a file behind damage, too.
    """
    try:
        return dump_to(job, product, options, database, path, "--force")
    except CommandFailed as error:
        if not ends_whole(path) or _SERVER_GONE.search(error.message):
            raise CommandFailed(
                f"the present database {database} cannot be kept, so nothing was changed: {error.message}",
                f"see that {path.parent} has room and the server stays up, or drop the database yourself first",
            ) from error
        job.seen["checks"].append({"name": "former database", "status": "warning", "detail": f"kept in part: {error.message}"})
        return path


def dump_to(job: Job, product: Product, options: Options, database: str, path: Path, *more: str) -> Path:
    """Dump one database into the file ``path``, replacing what has its name where it is loaded; return it."""
    private_directory(path.parent)
    argv = dump_argv(
        product, options, [database], [*product.dump_part, "--add-drop-database", *history_options(product), *more]
    )
    job.begin_step(f"dump {database}")
    with path.open("wb") as stream:
        process = spawn(argv, stdout=stream, stderr=subprocess.PIPE)
        assert process.stderr is not None
        said = Tail(process.stderr)
        job.watch([process], lambda: path.stat().st_size)
        os.fsync(stream.fileno())
    if process.returncode != 0 or not ends_whole(path):
        raise CommandFailed(f"{product.dump} of {database} {spell_status(process.returncode)}: {last_line(said.text())}")
    return path
