# SPDX-License-Identifier: GPL-3.0-or-later
# Domino 14 with transaction logging of archive style and DAOS. Runs inside the host, may run again.
set -eu
/bin/sh /opt/domino/units/host.sh --version 14.0 --style archive --max-size 16384
