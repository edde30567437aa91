# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark leaves behind, and its removal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rig import borg, products
from rig.fleet import DATABASE_HOST, OFFSITE_HOST, Fleet
from rig.lab import inside, tear_down


def remove_traces(fleet: Fleet) -> None:
    """Remove what a benchmark leaves in a lab and on the control node; what other people's work left stays."""
    files = "/var/tmp/bench-scratch /var/backups/mariadb /var/backups/handwritten"
    inside(DATABASE_HOST, f"rm -rf {files}")
    inside(OFFSITE_HOST, "rm -rf /srv/backstay/repositories/bench-* /srv/backstay/ledger/bench-*")
    inside(OFFSITE_HOST, "f=/etc/backstay-offsite/htpasswd; if [ -e $f ]; then sed -i /^bench-/d $f; fi")
    for product in products.PRODUCTS:
        inside(product.host, "rm -rf /etc/backstay/repositories/bench-*")
        product.ask("DROP DATABASE IF EXISTS shop_archive")
    borg.forget()
    for folder in ("secrets", "runs"):
        for path in (fleet.state / folder).glob("bench-*"):
            shutil.rmtree(path)


def clean_up(fleet: Fleet, started_lab: bool) -> None:
    """Leave the lab as it was found; remove it when the benchmark made it."""
    if started_lab:
        tear_down()
        return
    remove_traces(fleet)
    borg.remove()
    products.start_writers()


def state_directory(folder: Path, started_lab: bool) -> Path:
    """Return where Backstay keeps its secrets: a lab that was there before has its own already."""
    if os.environ.get("BACKSTAY_STATE_DIR"):
        return Path(os.environ["BACKSTAY_STATE_DIR"])
    return folder / "state" if started_lab else Path("~/.local/state/backstay").expanduser()
