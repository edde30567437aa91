# SPDX-License-Identifier: GPL-3.0-or-later
"""What a catalog server gets back by replication, instead of a set (PS-9, PS-12). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils.apps.powershare.catalog import GOOD, parse_system, replicated_back
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput


def replication(system: Mapping[str, Any], answer: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return ``{folder, from, to}`` for every folder that ``system.own`` should hold, has no good copy of, and lives elsewhere.

    ``system`` is of ``catalog_system``, ``answer`` the registered result of the system's query command. Raise BadInput when the
    server does not run, or when all that it still lacks lives nowhere else: then a set has to be restored.
    """
    own = system["own"]
    if not own or not system["others"]:
        raise BadInput("this host is no server of a catalog system with several servers", "see app_powershare_system")
    if answer.get("rc") != 0:
        said = str(answer.get("stderr") or answer.get("msg") or "it said nothing").strip()
        raise BadInput(f"the catalog system cannot be asked: {said}", "check app_powershare_system_query")
    servers = parse_system(str(answer["stdout"]))
    mine = servers.get(own["name"])
    if mine is None or not mine.running:
        raise BadInput(
            f"the catalog server of {own['host']} does not run, so nothing can be replicated onto it",
            "when its data is damaged: quit it, move everything out of its data folder, start it, run again",
        )
    wanted = sorted({*own["folders"], *mine.folders})
    missing = [name for name in wanted if name not in mine.folders or mine.folders[name].state != GOOD]
    back = replicated_back(own["name"], servers, missing)
    if missing and not back:
        raise BadInput(
            f"{', '.join(missing)}: no good copy on any other running server",
            "restore a set that holds it: playbooks/restore.yml",
        )
    return back
