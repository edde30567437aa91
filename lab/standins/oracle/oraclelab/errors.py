# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as lines of a message stack, outermost first."""

from __future__ import annotations

import os


class OracleError(Exception):
    """A refusal with its stack, for example ("ORA-01507: database not mounted",)."""

    def __init__(self, *lines: str, channel: str | None = None) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.channel = channel

    @property
    def code(self) -> int:
        """SQL.SQLCODE without its sign: the number of the first ORA- line."""
        for line in self.lines:
            if line.startswith("ORA-"):
                return int(line[4:9])
        return 1


def operating_system_error(error: OSError) -> str:
    """The line Oracle adds for a system call that failed."""
    number = error.errno or 0
    return f"Linux-x86_64 Error: {number}: {os.strerror(number)}"


def file_lost(error: OSError) -> OracleError:
    """A file of the database that cannot be opened or written any more."""
    lines = (
        "ORA-01116: error in opening database file",
        f"ORA-01110: data file: '{error.filename}'",
        "ORA-27041: unable to open file",
    )
    return OracleError(*lines, operating_system_error(error))


def not_found(path: object) -> tuple[str, ...]:
    """The lines for a file that cannot be looked at."""
    return (
        "ORA-27037: unable to obtain file status",
        "Linux-x86_64 Error: 2: No such file or directory",
        "Additional information: 7",
    )


def cannot_create(path: object, error: OSError) -> OracleError:
    """A file the server could not make: directory missing, not writable, or the file is there already."""
    if isinstance(error, FileExistsError):
        reason = ("ORA-27038: created file already exists", "Additional information: 1")
    else:
        reason = (
            "ORA-27040: file create error, unable to create file",
            operating_system_error(error),
            "Additional information: 1",
        )
    return OracleError(f'ORA-19504: failed to create file "{path}"', *reason)


def cannot_write(path: object, block: int, error: OSError) -> OracleError:
    """A write that failed half-way, most often for want of space."""
    return OracleError(
        f'ORA-19502: write error on file "{path}", block number {block} (block size=8192)',
        "ORA-27072: File I/O error",
        operating_system_error(error),
        "Additional information: 4",
    )
