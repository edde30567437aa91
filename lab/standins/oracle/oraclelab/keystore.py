# SPDX-License-Identifier: GPL-3.0-or-later
"""The TDE keystore: a file beside the database that no backup piece contains."""

from __future__ import annotations

import json

from oraclelab.errors import OracleError
from oraclelab.instance import Instance


def status(db: Instance) -> tuple[str, str]:
    """(status, wallet type) as v$encryption_wallet shows them."""
    if db.wallet("cwallet.sso").exists():
        return db.sga()["keystore"], "AUTOLOGIN"
    if db.wallet("ewallet.p12").exists():
        return db.sga()["keystore"], "PASSWORD"
    return "NOT_AVAILABLE", "UNKNOWN"


def key(db: Instance) -> bytes:
    """The master key; ORA-28365 unless the keystore is there and open."""
    state, kind = status(db)
    if state != "OPEN":
        raise OracleError("ORA-28365: wallet is not open")
    name = "cwallet.sso" if kind == "AUTOLOGIN" else "ewallet.p12"
    return bytes.fromhex(json.loads(db.wallet(name).read_text())["key"])


def set_open(db: Instance, *, opened: bool, password: str) -> None:
    """Open or close the keystore; ORA-28367 when there is none, ORA-28353 for a wrong password."""
    wallet = db.wallet("ewallet.p12")
    if not wallet.exists():
        raise OracleError("ORA-28367: wallet does not exist")
    if json.loads(wallet.read_text())["password"] != password:
        raise OracleError("ORA-28353: failed to open wallet")
    if opened and db.sga()["keystore"] == "OPEN":
        raise OracleError("ORA-28354: Encryption wallet, auto login wallet, or HSM is already open")
    db.update_sga(keystore="OPEN" if opened else "CLOSED")
