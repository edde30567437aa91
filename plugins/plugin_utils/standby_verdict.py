# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of asking for a lease: who keeps it, what may be given back, whether to try again, what to tell. Pure.

``plan`` is the registered answer of the server that is to be stopped; ``settled`` the answers about the leases that it keeps
itself; ``asked`` those of the servers that might stay up. See ``module_utils/standby.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Result = Mapping[str, Any]


def verdict(
    host: str, plan: Result, settled: Iterable[Result] = (), asked: Iterable[Result] = (), forget: str = ""
) -> dict[str, Any]:
    """Return ``{keeper, over, again, sentence}``.

    ``keeper`` stays up (empty: nobody), ``over`` are leases on ``host`` that nobody needs any more, ``again`` says whether
    another try may help, ``sentence`` why the lease was not had. ``forget``: holders, separated by commas, that the operator
    gave up for good.
    """
    mine = plan.get("reply") or {}
    if mine.get("leases"):
        return _counted_on(host, mine["leases"], list(settled), {name.strip() for name in forget.split(",") if name.strip()})
    if not mine.get("granted"):
        reason = mine.get("reason") or plan.get("msg") or "it does not answer"
        return _no(f"{host} is not stopped: {reason}", bool(mine.get("retry")))
    answers = [(item["item"]["host"], item) for item in asked if "item" in item and not item.get("skipped")]
    for other, item in answers:
        if (item.get("reply") or {}).get("granted"):
            return {"keeper": other, "over": [], "again": False, "sentence": ""}
    again = any((item.get("reply") or {}).get("retry") for _other, item in answers)
    reasons = "; ".join(f"{other}: {_reason(item)}" for other, item in answers) or "there is no other"
    return _no(f"{host} is not stopped, because no other server of its system would stay up meanwhile ({reasons})", again)


def _counted_on(host: str, leases: Mapping[str, Any], settled: list[Result], forgotten: set[str]) -> dict[str, Any]:
    """Return the verdict for a server that keeps leases: those whose holder is back, or given up for good, are over."""
    answers = {item["item"]["key"]: item for item in settled if "item" in item}
    over, held, again = [], [], True
    for lease, about in leases.items():
        answer = answers.get(lease, {})
        if about["holder"] in forgotten or (answer.get("reply") or {}).get("granted"):
            over.append(lease)
            continue
        again = again and bool((answer.get("reply") or {}).get("retry"))
        held.append(f"{about['holder']}: {_reason(answer)}")
    if not held:
        return {"keeper": "", "over": over, "again": True, "sentence": ""}
    holders = ",".join(sorted({about["holder"] for lease, about in leases.items() if lease not in over}))
    sentence = (
        f"{host} is not stopped: it must stay up while another server of its system is down ({'; '.join(held)}). When"
        f" that server is"
        f" gone for good: -e run_standby_forget={holders}"
    )
    return {"keeper": "", "over": over, "again": again, "sentence": sentence}


def _reason(item: Result) -> str:
    reply = item.get("reply") or {}
    return str(reply.get("reason") or item.get("msg") or "it cannot be asked")


def _no(sentence: str, again: bool) -> dict[str, Any]:
    return {"keeper": "", "over": [], "again": again, "sentence": sentence}
