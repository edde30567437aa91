# SPDX-License-Identifier: GPL-3.0-or-later
"""The other product: MySQL 9 with the same shop, backed up by CLONE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults.subjects import mariadb

if TYPE_CHECKING:
    from faults.running import Running
    from faults.scene import Scene


class Subject(mariadb.Subject):
    """See ``faults.subjects.Subject``."""

    more = ("test_dump", "test_clone")
    host = "crm-db1"
    service = "mysql.service"
    broken_settings = ("/etc/mysql/mysql.conf.d/99-fault.cnf", "[mysqld]\nthere_is_no_such_option = 1\n")

    def clone(self, running: Running) -> str:
        """Return what the server writes its clone into during a backup."""
        return f"{self.yard}/clone-{running.run_id}/data"

    def hold_needing_server(self, scene: Scene, running: Running, offset: float) -> int:
        """See ``mariadb``; once the clone is made nothing of it depends on the server."""
        return int(scene.hit(running, exists=self.clone(running), hit=self.main_process(), signal="SIGSTOP")["pid"])
