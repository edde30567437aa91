# SPDX-License-Identifier: GPL-3.0-or-later
# MariaDB with an empty, fresh data directory: where databases are restored to. Runs inside the host, may run again.
set -eu
settings=/etc/mysql/mariadb.conf.d/90-server.cnf

write_settings() {
    cat <<SETTINGS
[mariadb]
server_id = $(($(hostname | cksum | cut -d' ' -f1) % 1000000 + 1))
log_bin = mysqld-bin
binlog_format = ROW
binlog_expire_logs_seconds = 864000
sync_binlog = 1
innodb_flush_log_at_trx_commit = 1
gtid_strict_mode = ON
SETTINGS
}

restart=no
if ! write_settings | cmp -s - "$settings"; then
    write_settings > "$settings"
    restart=yes
fi
if [ ! -d /var/lib/mysql/mysql ]; then
    systemctl stop mariadb.service
    install -d -o mysql -g mysql -m 0700 /var/lib/mysql
    mariadb-install-db --user=mysql --skip-test-db --skip-name-resolve > /dev/null
fi
systemctl --quiet enable mariadb.service
if [ "$restart" = yes ]; then systemctl restart mariadb.service; else systemctl start mariadb.service; fi
