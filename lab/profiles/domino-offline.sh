# SPDX-License-Identifier: GPL-3.0-or-later
# Domino 9 without transaction logging and without DAOS: it can only be backed up while it is down.
set -eu
/bin/sh /opt/domino/units/host.sh --version 9.0 --style none --no-daos
