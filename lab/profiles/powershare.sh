# SPDX-License-Identifier: GPL-3.0-or-later
# The PowerShare application of this host, by lab/standins/powershare/system.json. Runs inside the host, may run again.
set -eu
/usr/bin/python3 -B /opt/powershare/ps_setup.py
