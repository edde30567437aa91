# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions that steps of app_oracle may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict

from .capture import back_up_control_file, back_up_data, back_up_logs, back_up_parameters, begin
from .restore import begin_restore, check, judge_landed, open_restored, recover
from .side import begin_side, keep_side, prove_set, restore_side

if TYPE_CHECKING:
    from ...worker.job import Job

CALLS: Dict[str, Callable[[Job, Dict[str, Any]], Any]] = {
    "back_up_control_file": back_up_control_file,
    "back_up_data": back_up_data,
    "back_up_logs": back_up_logs,
    "back_up_parameters": back_up_parameters,
    "begin": begin,
    "begin_restore": begin_restore,
    "begin_side": begin_side,
    "check": check,
    "judge_landed": judge_landed,
    "keep_side": keep_side,
    "open_restored": open_restored,
    "prove_set": prove_set,
    "recover": recover,
    "restore_side": restore_side,
}
