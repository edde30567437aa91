#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs once while the image is built, after the packages and the files of rootfs/ are there.
set -eu
useradd --create-home --gid operator --shell /bin/bash operator
useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin shop
chmod 0440 /etc/sudoers.d/operator
install -d -m 0755 /etc/ssh/authorized_keys
rm -f /etc/ssh/ssh_host_*

# Servers run only where a profile enables them.
for unit in mariadb.service mysql.service restic-rest-server.service rest-server.service; do
    if [ -e "/usr/lib/systemd/system/$unit" ]; then systemctl disable "$unit"; fi
done
systemctl enable ssh.service ssh-host-key.service
systemctl disable ssh.socket 2>/dev/null || true
# A container has no consoles, and its packages stay as built. What watches paths takes inotify instances, of which a machine
# gives all containers together 128.
systemctl mask getty.target console-getty.service systemd-ask-password-console.path systemd-ask-password-wall.path \
    apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer systemd-firstboot.service
systemctl set-default multi-user.target

# Every host makes its own identity and its own data directory.
: > /etc/machine-id
rm -rf /var/lib/mysql/* /var/lib/dbus/machine-id
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log
