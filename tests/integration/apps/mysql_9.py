# SPDX-License-Identifier: GPL-3.0-or-later
"""The same app on the other product: MySQL 9 with the same shop, backed up by CLONE."""

from __future__ import annotations

from integration.apps import mysql

# MariaDB takes these in the short form; test_mysql_9 has the round trip of MySQL there, across its logs.
LONG = (
    "test_moving_data_comes_back_after_a_total_loss[stream]",
    "test_moving_data_comes_back_after_a_total_loss[stage]",
    "test_restore_to_another_host",
    "test_one_damaged_blob_is_noticed_and_live_data_stays",
    "test_the_sets_are_listed",
    "test_quiesced_data_comes_back_with_equal_hashes",
)


class Adapter(mysql.Adapter):
    """See ``integration.apps.App``."""

    host = "crm-db1"
    spare = "mysql-spare1"
    transports = ("stream",)
