# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of docs/benchmarks.md that do not depend on results."""

HEAD = """# Benchmarks

Written by `make bench-mysql`, `make bench-engine` and `make bench-outage`; raw values lie in [benchmarks/](benchmarks/). The
first two bring the rehearsal fleet up (their own lab, removed afterwards, unless `BACKSTAY_LAB` names one that is up), the
third mounts filesystems of its own. All print their verdicts and write this page.

| variable | default | meaning |
|---|---|---|
| `BENCH_MIB` | 1100 | bulk data in MiB; 150 is a rehearsal of a few minutes |
| `BENCH_PRODUCT_MIB` | 300 | the same for the comparison of products and methods |
| `BENCH_ROUNDS` | 3 | first fulls of every contender |
| `BENCH_SLOW_ROUNDS` | 2 | of the contenders that dump logically |
| `BENCH_RESTORES` | 2 | restores in place |
| `BENCH_LOAD_SECONDS` | 240 | the logical load is stopped after this time |
| `BENCH_MINUTES` | 15 | repetitions that would begin late in this time are left out, and listed |
| `BENCH_SIZES` | 1,2,4,8 | GiB of data of the outage |
| `BENCH_OUT` | `docs/benchmarks` | folder of the results; the page lies beside it |

A lab that was there before keeps its name and hosts, loses the schema `shop_archive`, and its spare host holds the restored
data.
"""

WHAT = """Everybody backs the same idle server up after a forced checkpoint, with one copying thread (`app_mysql_parallel: 1`),
into a fresh repository on the same second host: restic over TLS to the same rest-server with restic's automatic
compression (zstd), borg over SSH with `compression: zstd` and `repokey-blake2`. Control node, protected host and
offsite server are containers and processes of one machine and share its cores; data comes out of the page cache. The
physical borgmatic backs up the way its users do: a command writes the backup to a directory, borg stores that.
Backstay's times are those of `ansible-playbook`; the pipe's and borgmatic's are taken on the host and hold no Ansible.
Backstay's data phase begins with the capture step and ends when restic has stored the snapshot and the proof was
checked. CPU of the hosts is that of the whole containers, with MariaDB and the offsite server in them.
"""

LATER = """Stored is what the repository grew by on the offsite server. The changed rows were rewritten in place and a
checkpoint forced before the backup; the scattered change follows the contiguous one, in the same repositories. 1 %
scattered rows touch far more than 1 % of the pages.

The order of the stream decides what restic recognises: it cuts at runs of noughts, which every InnoDB page holds, so
its blocks have nearly one size, and behind a shift none of them is found again. On an unchanged server with a table of
72 MiB a second backup stored 96 % of the first with two copying threads, whose blocks interleave by chance, and 0.2 %
with one.
"""

LOAD = """The load went into a server with the lab's settings (binary log on, every commit synced), as a dump is usually loaded.
"""

NOISE = """The machine is virtual and small, and other work may run on it. Contenders take turns within a round and every
round begins with another one, so slow minutes hit everybody, not one. Medians of so few runs still move by the spread
above: a ratio that passes or misses its bound by less than that decides nothing.
"""

PRODUCTS = """Backstay against itself, once each: a first full backup into a fresh repository, and its restore in place of a
running server on another host of the product. Physical is `mariadb-backup` or CLONE, logical is `mariadb-dump` or `mysqldump`
(`app_mysql_method: logical`). The restore of a dump loads it into a server of its own and dumps that again, to compare the
rows of every table with those of the backup; what a physical set brings is held against the SHA-256 of its stream.
Times are those of `ansible-playbook`.
"""

METER = """The meter runs in Python and hashes with SHA-256 in the same pass; `sha256sum` in the same place shows what the
hash alone costs.
"""

OUTAGE = """The worker's own steps on fresh loop-mounted filesystems: files of 4 MiB, none like another. Copy ahead, then one
file in a hundred is written anew, then stop, picture, start: the worst moment for a change, all of it is left for the stop.
Stopping and starting cost nothing here, so the outage is the product's own part: two native commands with their confirmation,
write-back, the walk through all names, the copies. Against it `cp --archive` of the same folder on the same filesystem, as a
procedure of stop, copy and start has it. Data comes out of the page cache, which helps the plain copy most.
"""
