# SPDX-License-Identifier: GPL-3.0-or-later
# MySQL with an empty, fresh data directory, as mariadb.sh makes it for the other product. Runs inside the host, may run again.
set -eu
settings=/etc/mysql/mysql.conf.d/90-server.cnf

write_settings() {
    cat <<SETTINGS
[mysqld]
server_id = $(($(hostname | cksum | cut -d' ' -f1) % 1000000 + 1))
log_bin = mysqld-bin
gtid_mode = ON
enforce_gtid_consistency = ON
sync_binlog = 1
innodb_flush_log_at_trx_commit = 1
# 100 MiB of redo log instead of one file for every GiB of memory: every clone copies it.
innodb_redo_log_capacity = 104857600
local_infile = ON
mysqlx = OFF
SETTINGS
}

restart=no
if ! write_settings | cmp -s - "$settings"; then
    write_settings > "$settings"
    restart=yes
fi
if [ ! -d /var/lib/mysql/mysql ]; then
    systemctl stop mysql.service
    install -d -o mysql -g mysql -m 0700 /var/lib/mysql
    find /var/lib/mysql -mindepth 1 -delete # a server that was started without its data left some
    mysqld --initialize-insecure --user=mysql
    if systemctl --quiet is-failed mysql.service; then systemctl reset-failed mysql.service; fi
fi
systemctl --quiet enable mysql.service
if [ "$restart" = yes ]; then systemctl restart mysql.service; else systemctl start mysql.service; fi
if ! mysql -e "SHOW PLUGINS" | grep -q ^clone; then
    mysql -e "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'; INSTALL PLUGIN clone SONAME 'mysql_clone.so';
        ALTER USER root@localhost IDENTIFIED WITH auth_socket"
fi
