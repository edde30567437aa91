# SPDX-License-Identifier: GPL-3.0-or-later
"""Command files of RMAN as data: pure functions that return commands; ``render`` makes the file.

RMAN parses a whole file, runs it, and stops at the first error (docs/systems/oracle.md). Settings are made for the run only
(SET, ALLOCATE), because CONFIGURE is permanent and belongs to the administrator.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from .text import file_format, number, quoted, size

_NAMES_A_COMMAND = 50


class Until(NamedTuple):
    """Where recovery stops: before an SCN, or before a second of the server's own clock (``2026-11-21 12:00:00``)."""

    scn: Optional[int] = None
    time: str = ""

    def words(self) -> str:
        """Return the words after UNTIL."""
        if self.scn is not None:
            return f"SCN {number(self.scn)}"
        return f"TIME \"TO_DATE({quoted(self.time)},'YYYY-MM-DD HH24:MI:SS')\""


def render(commands: Sequence[str]) -> str:
    """Return the text of a command file."""
    return "".join(f"{command};\n" if not command.endswith("}") else f"{command}\n" for command in commands) + "EXIT;\n"


def block(commands: Sequence[str]) -> str:
    """Return a RUN block: what is SET or ALLOCATEd in it ends with it."""
    return "RUN {\n" + "".join(f"  {command};\n" for command in commands) + "}"


def channels(count: int) -> List[str]:
    """Return the allocation of ``count`` disk channels."""
    if count < 1:
        raise ValueError("a run needs a channel")
    return [f"ALLOCATE CHANNEL c{index} DEVICE TYPE DISK" for index in range(1, int(count) + 1)]


def _backup(folder: str, count: int, commands: Sequence[str]) -> List[str]:
    """Return a block that keeps the control file's automatic backups in ``folder``, too; its format needs %F."""
    autobackup = f"SET CONTROLFILE AUTOBACKUP FORMAT FOR DEVICE TYPE DISK TO {file_format(folder, 'auto_%F')}"
    return [block([autobackup, *channels(count), *commands])]


def data_files(folder: str, tag: str, options: Dict[str, Any]) -> List[str]:
    """Return the backup of all data files. ``options``: level (0, 1), cumulative, channels, section_size, check_logical.

    Level 0 and not a plain full backup, which can never be the parent of a level 1. One set for each file, so that a channel
    never waits for another file; a section size splits big ones instead.
    """
    level = int(options["level"])
    words = ["BACKUP"]
    words += ["CHECK LOGICAL"] if options.get("check_logical") else []
    words.append(f"INCREMENTAL LEVEL {number(level)}")
    words += ["CUMULATIVE"] if level and options.get("cumulative") else []
    words += [f"SECTION SIZE {size(options['section_size'])}"] if options.get("section_size") else []
    words += ["FILESPERSET 1", f"FORMAT {file_format(folder, 'data_%U')}", f"TAG {quoted(tag)}", "DATABASE"]
    return _backup(folder, int(options.get("channels", 1)), [" ".join(words)])


def control_file(folder: str, tag: str, name: str) -> List[str]:
    """Return the backup of the control file as ``name``: ``control`` in between, ``current`` for the last one."""
    return _backup(folder, 1, [f"BACKUP CURRENT CONTROLFILE FORMAT {file_format(folder, name + '_%U')} TAG {quoted(tag)}"])


def archived_logs(folder: str, tag: str, first: Dict[str, int], count: int) -> List[str]:
    """Return the backup of the archived logs from sequence ``first[thread]`` on, thread by thread.

    Chosen by sequence, never by what RMAN's repository remembers to have written once; and nothing is deleted.
    """
    return _backup(
        folder,
        count,
        [
            f"BACKUP FILESPERSET 20 FORMAT {file_format(folder, 'logs_%U')} TAG {quoted(tag)}"
            f" ARCHIVELOG FROM SEQUENCE {number(first[thread])} THREAD {number(thread)}"
            for thread in sorted(first)
        ],
    )


def server_parameters(folder: str, tag: str) -> List[str]:
    """Return the backup of the server parameter file."""
    return _backup(folder, 1, [f"BACKUP FORMAT {file_format(folder, 'spfile_%U')} TAG {quoted(tag)} SPFILE"])


def control_file_back(dbid: int, piece: str) -> List[str]:
    """Return what brings the control file back from its piece into an instance that is started and not mounted."""
    return [f"SET DBID {number(dbid)}", f"RESTORE CONTROLFILE FROM {quoted(piece)}", "ALTER DATABASE MOUNT"]


def server_parameters_back(dbid: int, piece: str, target: str) -> List[str]:
    """Return what writes the server parameter file of a piece to ``target``."""
    return [f"SET DBID {number(dbid)}", f"RESTORE SPFILE TO {quoted(target)} FROM {quoted(piece)}"]


def known_pieces(pieces: Sequence[str]) -> List[str]:
    """Return what makes the landed ``pieces`` known, and those unusable that are no more where they were written.

    By their names, not CATALOG START WITH: beside them lie texts that are no pieces, and the account may not list all folders.
    """
    turns = [pieces[index : index + _NAMES_A_COMMAND] for index in range(0, len(pieces), _NAMES_A_COMMAND)]
    return [*(f"CATALOG BACKUPPIECE {', '.join(map(quoted, turn))}" for turn in turns), "CROSSCHECK BACKUP"]


def data_back(until: Until, count: int, new_names: Dict[str, Dict[str, str]]) -> List[str]:
    """Return restore and recovery of all data files; both obey the same UNTIL, so they share a block.

    ``new_names``: ``{DATAFILE: {number: path}, TEMPFILE: {...}}`` for files that come to another place.
    """
    commands = [*channels(count), f"SET UNTIL {until.words()}"]
    for kind in ("DATAFILE", "TEMPFILE"):
        for file in sorted(new_names.get(kind, {}), key=int):
            commands.append(f"SET NEWNAME FOR {kind} {number(file)} TO {quoted(new_names[kind][file])}")
    commands.append("RESTORE DATABASE")
    commands += ["SWITCH DATAFILE ALL"] if new_names.get("DATAFILE") else []
    commands += ["SWITCH TEMPFILE ALL"] if new_names.get("TEMPFILE") else []
    return [block([*commands, "RECOVER DATABASE"])]


def proof_of_set(until: Until, count: int) -> List[str]:
    """Return the reading of everything that a restore of the data files would use; nothing is written."""
    return [block([*channels(count), f"SET UNTIL {until.words()}", "RESTORE DATABASE VALIDATE"])]


def proof_of_logs(first: int, last: int, count: int) -> List[str]:
    """Return the reading of the redo from SCN ``first`` to before ``last``."""
    words = f"RESTORE ARCHIVELOG FROM SCN {number(first)} UNTIL SCN {number(last)} VALIDATE"
    return [block([*channels(count), words])]


def proof_of_pieces(keys: Sequence[int]) -> List[str]:
    """Return the full reading of backup sets, by their keys."""
    return [f"VALIDATE BACKUPSET {', '.join(number(key) for key in keys)}"]


def proof_of_database() -> List[str]:
    """Return the reading of every block of the open database."""
    return ["VALIDATE CHECK LOGICAL DATABASE"]
