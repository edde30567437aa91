# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove the application's data: chain, balances, counter, and known transactions."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from oraclelab import ledger
from oraclelab.blocks import CorruptBlockError
from oraclelab.errors import OracleError
from oraclelab.instance import Instance


def _chain_problems(rows: dict[int, list[Any]]) -> list[str]:
    problems = []
    if sorted(rows) != list(range(1, len(rows) + 1)):
        problems.append(f"ledger ids have holes: {len(rows)} rows, highest id {max(rows)}")
    previous, scn = ledger.GENESIS, 0
    for number in sorted(rows):
        row = rows[number]
        if row[6] != previous or row[7] != ledger.row_hash(previous, number, row):
            problems.append(f"ledger row {number} is not chained to the one before it")
            break
        if row[5] <= scn:
            problems.append(f"ledger row {number} has SCN {row[5]}, not above the one before it")
        previous, scn = row[7], row[5]
    return problems


def _balance_problems(rows: dict[int, list[Any]], balances: dict[int, int]) -> list[str]:
    expected = dict.fromkeys(range(ledger.ACCOUNTS), ledger.OPENING_BALANCE)
    for row in rows.values():
        expected[row[0]] -= row[2]
        expected[row[1]] += row[2]
    wrong = [str(account) for account in expected if expected[account] != balances.get(account)]
    return [f"balances disagree with the ledger: accounts {', '.join(wrong[:5])}"] if wrong else []


def _position_problems(rows: dict[int, list[Any]], at_id: str, below_scn: int) -> list[str]:
    problems = []
    if at_id:
        number, _, digest = at_id.partition(":")
        if rows.get(int(number), [""] * 8)[7] != digest:
            problems.append(f"ledger row {number} with the hash {digest[:12]} is not there")
    if below_scn:
        newer = [number for number in rows if rows[number][5] >= below_scn]
        if newer:
            problems.append(f"{len(newer)} ledger rows are not below SCN {below_scn}, first {min(newer)}")
    return problems


def report(db: Instance, at_id: str = "", below_scn: int = 0) -> dict[str, Any]:
    """What the open database holds and what is wrong with it; OracleError or CorruptBlockError when it cannot be read."""
    with db.locked():
        db.require("OPEN")
        content = db.control()
        ledger.require_open(db, content, write=False)
        rows, balances, counter = ledger.read_rows(content)
        scn = db.sga()["scn"]
    last = max(rows, default=0)
    row = rows.get(last, [None] * 4 + [None, 0, "", ledger.GENESIS])
    problems = [*_chain_problems(rows), *_balance_problems(rows, balances), *_position_problems(rows, at_id, below_scn)]
    if counter != [last, row[7]]:
        problems.append(f"the counter says {counter[0]}, the ledger ends with {last}")
    stable = json.dumps([sorted(rows.items()), sorted(balances.items())])
    return {
        "ok": not problems,
        "problems": problems,
        "last_id": last,
        "last_hash": row[7],
        "last_scn": row[5],
        "last_written_at": row[4],
        "current_scn": scn,
        "balance_sum": sum(balances.values()),
        "rows": len(rows),
        "content_sha256": hashlib.sha256(stable.encode()).hexdigest(),
    }


def main(db: Instance, at_id: str, below_scn: int) -> int:
    """Print the report; 0, 1 when an invariant is broken, 2 when the data cannot be read."""
    try:
        found = report(db, at_id, below_scn)
    except (OracleError, CorruptBlockError, OSError) as error:
        print(json.dumps({"ok": False, "problems": [f"cannot be read: {error}"]}))
        return 2
    print(json.dumps(found))
    return 0 if found["ok"] else 1
