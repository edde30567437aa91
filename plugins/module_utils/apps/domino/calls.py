# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions that steps of app_domino may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict

from .assembling import assemble
from .capture import (
    archive_argv,
    arrange_logs,
    back_up_changed,
    back_up_databases,
    back_up_logs,
    begin,
    gather_configuration,
)
from .exchange import check_restored, exchange_files, mark_console
from .offline import confirm_down, confirm_quit
from .single import restore_database
from .verifying import check_duplicates

if TYPE_CHECKING:
    from ...worker.job import Job

CALLS: Dict[str, Callable[[Job, Dict[str, Any]], Any]] = {
    "archive_argv": archive_argv,
    "arrange_logs": arrange_logs,
    "assemble": assemble,
    "back_up_changed": back_up_changed,
    "back_up_databases": back_up_databases,
    "back_up_logs": back_up_logs,
    "begin": begin,
    "check_duplicates": check_duplicates,
    "check_restored": check_restored,
    "confirm_down": confirm_down,
    "confirm_quit": confirm_quit,
    "exchange_files": exchange_files,
    "gather_configuration": gather_configuration,
    "mark_console": mark_console,
    "restore_database": restore_database,
}
