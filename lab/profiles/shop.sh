# SPDX-License-Identifier: GPL-3.0-or-later
# The shop: its schema on this host's MariaDB and the application that keeps committing. Runs after mariadb.sh.
set -eu
printf '[mariadb]\nevent_scheduler = ON\n' > /etc/mysql/mariadb.conf.d/91-shop.cnf
mariadb -e 'SET GLOBAL event_scheduler = ON'
/usr/bin/python3 /opt/shop/writer/shop_setup.py
if ! cmp -s /opt/shop/writer/shop-writer.service /etc/systemd/system/shop-writer.service; then
    cp /opt/shop/writer/shop-writer.service /etc/systemd/system/
    systemctl daemon-reload
fi
systemctl --quiet enable --now shop-writer.service
