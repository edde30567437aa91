# SPDX-License-Identifier: GPL-3.0-or-later
# SALES and STOCK: two databases on one host, without containers, with pfiles. Runs after oracle.sh.
set -eu
for sid in SALES STOCK; do /bin/sh /opt/oracle/units/database.sh "$sid" --no-cdb --pfile; done
