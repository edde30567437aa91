# SPDX-License-Identifier: GPL-3.0-or-later
"""What RMAN and the server say: their codes become our errors. Pure functions.

Success is exit status 0 and what the dictionary shows afterwards; "Recovery Manager complete." stands at the end of failures,
too, and a code is no failure by itself.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Tuple, Type

from ...errors import BackstayError, CaptureFailed, CommandFailed, IntegrityError, NoSpace, Refused

_CODE = re.compile(r"^((?:RMAN|ORA|SP2)-\d{4,5}): ?(.*)$")
# What only wraps the cause: rulers, "failure of ... command", "aborting restore", where in the file.
_WRAPPERS = {"RMAN-00571", "RMAN-00569", "RMAN-00567", "RMAN-03002", "RMAN-03009", "RMAN-03015", "RMAN-06026", "RMAN-01007"}

# Said by runs that are good.
HARMLESS = {
    "RMAN-06497": "the control file is not cataloged",
    "RMAN-06820": "the primary did not archive its current log",
    "RMAN-07517": "a file in the folder is no backup piece",
    "RMAN-08120": "a log is kept because a standby has not applied it",
    "RMAN-08137": "a log is kept because a standby or capture process needs it",
    "RMAN-08138": "a log is kept because it is not backed up often enough",
}


class Meaning(NamedTuple):
    """What a code means to an operator."""

    kind: Type[BackstayError]
    sentence: str
    hint: str


_LOST_LOG = Meaning(
    CaptureFailed,
    "an archived log is gone from the disk although the database believes it is there",
    "the next backup is a full one; find out who removes logs, and after it run CROSSCHECK ARCHIVELOG ALL",
)
_BAD_PIECE = Meaning(IntegrityError, "a backup piece is missing, truncated or damaged", "restore another set")
_NO_BACKUP = Meaning(IntegrityError, "the sets hold no usable backup of a file that is needed", "restore another set")
_FULL = Meaning(NoSpace, "the disk is full", "make room, then run again")
_NOT_UP = Meaning(CommandFailed, "the instance is not started", "start it, then run again")
_NOT_MINE = Meaning(
    CommandFailed,
    "the account may not administer the database",
    "app_oracle_account has to be in the group that may connect as SYSDBA (dba)",
)
_RECOVERY_AREA = Meaning(NoSpace, "the recovery area is full", "make room in it, or raise db_recovery_file_dest_size")
_NOT_WRITABLE = Meaning(
    CaptureFailed,
    "the server cannot write into staging",
    "the account of the server needs a way to /var/lib/backstay/staging on this host",
)
# In the order in which a cause is looked for: what says most comes first.
MEANINGS: Dict[str, Meaning] = {
    "ORA-28365": Meaning(Refused, "the keystore is closed", "open it: ADMINISTER KEY MANAGEMENT SET KEYSTORE OPEN"),
    "ORA-19913": Meaning(
        Refused, "the pieces cannot be decrypted", "bring the keystore of the source to this host and open it"
    ),
    "ORA-27072": _FULL,
    "ORA-19809": _RECOVERY_AREA,
    "ORA-19804": _RECOVERY_AREA,
    "ORA-00257": _RECOVERY_AREA,
    "ORA-16038": _RECOVERY_AREA,
    "RMAN-06059": _LOST_LOG,
    "ORA-19625": _LOST_LOG,
    "RMAN-06149": Meaning(
        Refused, "the database runs in NOARCHIVELOG mode", "put it into ARCHIVELOG mode; that needs a restart"
    ),
    "RMAN-06817": Meaning(
        Refused, "the database runs in NOARCHIVELOG mode", "put it into ARCHIVELOG mode; that needs a restart"
    ),
    "ORA-19602": Meaning(
        Refused, "the database runs in NOARCHIVELOG mode", "put it into ARCHIVELOG mode; that needs a restart"
    ),
    "ORA-19598": Meaning(CommandFailed, "the instance has no server parameter file", "it was started from a text file"),
    "ORA-19608": _BAD_PIECE,
    "ORA-19587": _BAD_PIECE,
    "ORA-19505": _BAD_PIECE,
    "ORA-19870": _BAD_PIECE,
    "ORA-19504": _NOT_WRITABLE,
    "ORA-27040": _NOT_WRITABLE,
    "RMAN-06054": Meaning(
        IntegrityError, "recovery needs an archived log that no set holds", "restore to an earlier moment, or another set"
    ),
    "RMAN-06025": _NO_BACKUP,
    "RMAN-06024": _NO_BACKUP,
    "RMAN-06023": _NO_BACKUP,
    "RMAN-06172": Meaning(IntegrityError, "no automatic backup of the control file was found", ""),
    "RMAN-06189": Meaning(Refused, "the control file is of another database", "end RMAN and begin again"),
    "RMAN-06555": Meaning(Refused, "a data file is newer than the moment", "restore to a later moment"),
    "RMAN-06556": Meaning(Refused, "a data file needs an older backup", "restore to a later moment"),
    "RMAN-20207": Meaning(Refused, "the moment lies before the last OPEN RESETLOGS", "choose a later moment"),
    "RMAN-20208": Meaning(Refused, "the SCN lies before the last OPEN RESETLOGS", "choose a later one"),
    "ORA-01190": Meaning(IntegrityError, "a file is from before the last OPEN RESETLOGS", ""),
    "ORA-19909": Meaning(IntegrityError, "a file belongs to another incarnation of the database", ""),
    "ORA-01194": Meaning(IntegrityError, "a data file needs more recovery", "restore to a later moment"),
    "ORA-01152": Meaning(IntegrityError, "a data file is younger than the control file", "restore to a later moment"),
    "ORA-01034": _NOT_UP,
    "ORA-27101": _NOT_UP,
    "ORA-01017": _NOT_MINE,
    "ORA-01031": _NOT_MINE,
    "ORA-12514": Meaning(CommandFailed, "the listener does not know the service", "check app_oracle_connect and the listener"),
    "ORA-00245": Meaning(
        CommandFailed, "the snapshot control file is not on shared storage", "see SHOW SNAPSHOT CONTROLFILE NAME"
    ),
    "RMAN-00558": Meaning(CommandFailed, "RMAN does not understand the command file", ""),
}


def codes(text: str) -> List[Tuple[str, str]]:
    """Return ``(code, words)`` of every message in ``text``, in their order; echoed commands do not count."""
    found = []
    for line in text.splitlines():
        match = _CODE.match(line.strip())
        if match:
            found.append((match.group(1), match.group(2).strip()))
    return found


def warnings(text: str) -> List[str]:
    """Return one sentence for every harmless code that a good run said, each once."""
    return list(dict.fromkeys(f"{code}: {HARMLESS[code]}" for code, _words in codes(text) if code in HARMLESS))


def error_of(tool: str, text: str, status: str) -> BackstayError:
    """Return the error that the output of a failed ``tool`` means. ``status`` says how it ended."""
    said = [(code, words) for code, words in codes(text) if code not in HARMLESS]
    present = dict(reversed(said))
    for code, meaning in MEANINGS.items():
        if code in present:
            return meaning.kind(f"{tool}: {meaning.sentence} ({code}: {present[code]})", meaning.hint)
    causes = [(code, words) for code, words in said if code not in _WRAPPERS] or said
    if causes:
        return CommandFailed(f"{tool} {status}: {causes[0][0]}: {causes[0][1]}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return CommandFailed(f"{tool} {status}: {lines[-1] if lines else 'it said nothing'}")
