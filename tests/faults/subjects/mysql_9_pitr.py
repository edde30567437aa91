# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL 9, for what happens to its logs."""

from __future__ import annotations

from faults.subjects import mysql_9


class Subject(mysql_9.Subject):
    """See ``faults.subjects.Subject``."""

    module = "test_pitr"
    log_status = "SHOW BINARY LOG STATUS"
    statements_tell_the_time = False
