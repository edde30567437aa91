#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Make a database where there is none, list it in oratab and run it with its application: database.sh SID [option of oracle-create ...]
set -eu
sid=$1
shift
export ORACLE_BASE=/u01/app/oracle ORACLE_HOME=/u01/app/oracle/product/19.0.0/dbhome_1

if [ ! -e "/u02/oradata/$sid/control01.ctl" ]; then
    systemctl stop "orawriter@$sid.service"
    # An instance of removed files cannot close them, and may have been started outside its unit.
    if [ -e "$ORACLE_BASE/standin/$sid" ]; then
        echo 'SHUTDOWN ABORT' | runuser -u oracle -- env ORACLE_SID="$sid" "$ORACLE_HOME/bin/sqlplus" -S / as sysdba
    fi
    systemctl stop "oracle@$sid.service"
    rm -rf "/u02/oradata/$sid" "/u03/fra/$sid" "$ORACLE_BASE/standin/$sid" "$ORACLE_BASE/admin/$sid" "/var/lib/orawriter/$sid/committed.log"
    rm -f "$ORACLE_HOME/dbs/"*"$sid"*
    runuser -u oracle -- "$ORACLE_HOME/bin/oracle-create" "$sid" --oradata /u02/oradata --area /u03/fra --log-bytes 1048576 "$@"
fi
grep -q "^$sid:" /etc/oratab || echo "$sid:$ORACLE_HOME:Y" >> /etc/oratab
systemctl --quiet enable "oracle@$sid.service" "orawriter@$sid.service"
systemctl start "oracle@$sid.service" "orawriter@$sid.service"
