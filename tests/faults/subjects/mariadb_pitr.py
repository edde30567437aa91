# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB, for what happens to its logs: one module of tests is that of both products' logs."""

from __future__ import annotations

from faults.subjects import mariadb


class Subject(mariadb.Subject):
    """See ``faults.subjects.Subject``."""

    module = "test_pitr"
    log_status = "SHOW MASTER STATUS"
    statements_tell_the_time = True  # the log knows when a statement began, by its session's clock, and no other time
