# SPDX-License-Identifier: GPL-3.0-or-later
# The shop: its schema on this host's server and the application that keeps committing. Runs after mariadb.sh or mysql.sh.
set -eu
if [ -d /etc/mysql/mariadb.conf.d ]; then
    printf '[mariadb]\nevent_scheduler = ON\n' > /etc/mysql/mariadb.conf.d/91-shop.cnf
else
    printf '[mysqld]\nevent_scheduler = ON\n' > /etc/mysql/mysql.conf.d/91-shop.cnf
fi
mysql -e 'SET GLOBAL event_scheduler = ON'
/usr/bin/python3 /opt/shop/writer/shop_setup.py
if ! cmp -s /opt/shop/writer/shop-writer.service /etc/systemd/system/shop-writer.service; then
    cp /opt/shop/writer/shop-writer.service /etc/systemd/system/
    systemctl daemon-reload
fi
systemctl --quiet enable --now shop-writer.service
