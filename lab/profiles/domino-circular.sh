# SPDX-License-Identifier: GPL-3.0-or-later
# Domino 12 with circular logging, NOTES.INI outside the data directory, console times of another locale.
set -eu
/bin/sh /opt/domino/units/host.sh --version 12.0 --style circular --ini etc/domino/notes.ini --dates de
