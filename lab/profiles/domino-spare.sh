# SPDX-License-Identifier: GPL-3.0-or-later
# A recovery server: Domino 14, set up and never started, its log directory empty. Runs inside the host, may run again.
set -eu
[ -e /local/notesdata ] || fresh=yes
NEVER_STARTED=yes /bin/sh /opt/domino/units/host.sh --version 14.0 --style archive --max-size 16384
[ -z "${fresh:-}" ] || echo TRANSLOG_MEDIAONLY=1 >> /local/notesdata/notes.ini
