# SPDX-License-Identifier: GPL-3.0-or-later
"""Initialisation parameters: text pfiles and binary spfiles."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from oraclelab.errors import OracleError, not_found

MAGIC = b"ORSPFIL1"
DEFAULTS = {
    "control_file_record_keep_time": "7",
    "log_archive_format": "%t_%s_%r.arc",
    "compatible": "19.0.0",
    "enable_pluggable_database": "FALSE",
    "nls_date_format": "",
    "remote_login_passwordfile": "EXCLUSIVE",
}
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse(text: str) -> dict[str, str]:
    """Read a pfile: *.name='value' lines; a list keeps its commas without quotes. ORA-01078 for a line that cannot be read."""
    found = {}
    for written in text.splitlines():
        line = written.strip() if re.search(r"'[^']*#", written) else written.split("#")[0].strip()
        if not line:
            continue
        match = re.fullmatch(r"(?:[\w*]+\.)?([\w$]+)\s*=\s*(.*)", line)
        if not match:
            raise OracleError("ORA-01078: failure in processing system parameters", f"LRM-00110: syntax error at '{line}'")
        found[match[1].lower()] = ",".join(word.strip().strip("'\"") for word in re.findall(r"'[^']*'|[^,]+", match[2]))
    return found


def as_text(values: dict[str, str]) -> str:
    """A pfile."""
    lines = []
    for name, value in sorted(values.items()):
        words = value.split(",") if name == "control_files" else [value]
        lines.append(f"*.{name}=" + ",".join(f"'{word}'" for word in words))
    return "\n".join(lines) + "\n"


def as_spfile(values: dict[str, str]) -> bytes:
    """An spfile: the same, behind a header with a checksum."""
    text = as_text(values).encode()
    return (MAGIC + b"%08x" % zlib.crc32(text) + bytes(1)).ljust(512, b"\0") + text


def from_spfile(data: bytes) -> dict[str, str]:
    """Read an spfile; ORA-01565 when it is damaged."""
    text = data[512:]
    if not data.startswith(MAGIC) or data[8:16] != b"%08x" % zlib.crc32(text):
        raise OracleError("ORA-01078: failure in processing system parameters", "ORA-01565: error in identifying file")
    return parse(text.decode())


def read_pfile(path: str) -> dict[str, str]:
    """Parameters of a pfile; it may name an spfile. ORA-01078 and LRM-00109 when it is not there."""
    try:
        values = parse(Path(path).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise OracleError(
            "ORA-01078: failure in processing system parameters", f"LRM-00109: could not open parameter file '{path}'"
        ) from error
    return values


def read_spfile(path: str) -> dict[str, str]:
    """Parameters of an spfile."""
    try:
        return from_spfile(Path(path).read_bytes())
    except OSError as error:
        raise OracleError(f"ORA-01565: error in identifying file '{path}'", *not_found(path)) from error


def size(text: str) -> int:
    """Bytes that '4G' means; ORA-02017 when it is no number."""
    match = re.fullmatch(r"(\d+)([KMGT]?)", text.strip().upper())
    if not match:
        raise OracleError("ORA-02017: integer value required")
    return int(match[1]) * SIZES[match[2]]
