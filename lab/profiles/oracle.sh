# SPDX-License-Identifier: GPL-3.0-or-later
# The Oracle software as its stand-in, its account, directories and units; no database. Runs inside the host, may run again.
set -eu
base=/u01/app/oracle
home=$base/product/19.0.0/dbhome_1

for group in oinstall dba; do getent group "$group" > /dev/null || groupadd "$group"; done
id oracle > /dev/null 2>&1 || useradd --create-home --gid oinstall --groups dba --shell /bin/bash oracle
for directory in /u01 /u01/app "$base" "$base/product" "$base/product/19.0.0" "$home" "$home/dbs" /u02 /u02/oradata /u03 /u03/fra; do
    install -d -o oracle -g oinstall -m 0755 "$directory"
done

rm -rf "$home/software.new"
mkdir "$home/software.new"
cp -r /opt/oracle/bin /opt/oracle/oraclelab "$home/software.new/"
python3 -m compileall -q "$home/software.new/oraclelab"
rm -rf "$home/software"
mv "$home/software.new" "$home/software"
ln -sfn software/bin "$home/bin"

if [ ! -e /etc/oratab ]; then
    echo '# ORACLE_SID:ORACLE_HOME:Y when dbstart is to start it' > /etc/oratab
    chown oracle:oinstall /etc/oratab
    chmod 0664 /etc/oratab
fi
printf 'export ORACLE_BASE=%s ORACLE_HOME=%s PATH=$PATH:%s/bin\n' "$base" "$home" "$home" > /home/oracle/.bash_profile
cp /opt/oracle/units/oracle@.service /opt/oracle/units/orawriter@.service /etc/systemd/system/
systemctl daemon-reload
