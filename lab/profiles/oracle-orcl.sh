# SPDX-License-Identifier: GPL-3.0-or-later
# ORCL: a container database with an spfile and an open keystore, on a host at UTC+3:30. Runs after oracle.sh.
set -eu
/usr/bin/python3 -B /opt/oracle/units/local_time.py +0330 /etc/localtime
/bin/sh /opt/oracle/units/database.sh ORCL --keystore lab-keystore --autologin
