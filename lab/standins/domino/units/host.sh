# SPDX-License-Identifier: GPL-3.0-or-later
# The Domino software as its stand-in, its account, one server and the mail that reaches it: host.sh [option of lab-create ...]
# NEVER_STARTED in the environment: the server is set up and left alone, for restores.
set -eu
software=/opt/hcl/domino
id notes > /dev/null 2>&1 || useradd --create-home --shell /bin/bash notes

mkdir -p "$software"
rm -rf "$software/software.new"
mkdir "$software/software.new"
cp -r /opt/domino/bin /opt/domino/dominolab "$software/software.new/"
python3 -m compileall -q "$software/software.new/dominolab"
rm -rf "$software/software"
mv "$software/software.new" "$software/software"
ln -sfn software/bin "$software/bin"
printf '#!/bin/sh\nexec %s/bin/domino "$@"\n' "$software" > /usr/bin/domino.new
chmod 0755 /usr/bin/domino.new
mv /usr/bin/domino.new /usr/bin/domino

cp /opt/domino/units/domino.service /opt/domino/units/mailwriter.service /etc/systemd/system/
systemctl daemon-reload
if [ ! -e "$software/standin.json" ] || [ ! -e /local/notesdata ]; then
    systemctl stop mailwriter.service domino.service
    rm -rf /local/* /var/lib/domino-standin /var/lib/mailwriter "$software/standin.json" /etc/domino
    mkdir -p /local/translog
    "$software/bin/lab-create" / --name "$(hostname)" --unit domino.service "$@"
    chown -R notes:notes /local /var/lib/domino-standin
    [ ! -d /etc/domino ] || chown -R notes:notes /etc/domino
fi
[ -z "${NEVER_STARTED:-}" ] || exit 0
systemctl --quiet enable domino.service mailwriter.service
systemctl start domino.service mailwriter.service
