# SPDX-License-Identifier: GPL-3.0-or-later
"""Runbooks: which hosts are restored where, as of when, in which order. Pure functions.

A runbook's *entry* is what a person writes. It stands for one or several *units*: one app of one source host that is
restored to one target. Entries form *waves*: all of a wave may run at the same time, each after every entry it names. A
target restores one unit at a time, so a wave takes as many *steps* as its busiest target has units in it.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import Any, NamedTuple

import yaml
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.moment import parse_moment
from ansible_collections.backstay.fleet.plugins.module_utils.schema import problems
from ansible_collections.backstay.fleet.plugins.plugin_utils.inventory_apps import apps_in, groups_of

SCHEMA_NAME = "backstay.runbook/1"
Entry = dict[str, Any]
Unit = dict[str, Any]

_TEXT = {"type": "string", "minLength": 1}
RUNBOOK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["restore"],
    "additionalProperties": False,
    "properties": {
        "schema": {"type": "string", "enum": [SCHEMA_NAME]},
        "moment": _TEXT,
        "restore": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {
                    "name": {**_TEXT, "pattern": "^[^,/]+$"},  # names stand in lists, and units add to them after a slash
                    "source": _TEXT,
                    "group": _TEXT,
                    "app": _TEXT,
                    "target": _TEXT,
                    "directory": _TEXT,
                    "moment": _TEXT,
                    "set": _TEXT,
                    "after": {"type": "array", "items": _TEXT},
                },
            },
        },
    },
}


class Inventory(NamedTuple):
    """What a runbook is held against: hosts by group, the apps there are, and the machine behind an inventory name."""

    groups: Mapping[str, Sequence[str]]
    apps: frozenset[str]
    machine: Callable[[str], str]

    def apps_of(self, host: str) -> list[str]:
        """Return the apps of ``host``: its groups ``app_*``."""
        return [app for app in apps_in(groups_of(host, self.groups)) if app in self.apps]


class _Loader(yaml.SafeLoader):
    """YAML in which a moment stays the text that was written, and a key that stands twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping. Raise ConstructorError for a key that was there before: only one of both would count."""
        names = [key.value for key, _value in node.value if isinstance(key, yaml.ScalarNode)]
        for name, count in Counter(names).items():
            if count > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{name}' stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_runbook(text: str) -> dict[str, Any]:
    """Return the runbook in ``text``. Raise BadInput when it is no YAML or breaks the schema, with every mistake."""
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise BadInput(f"it is not YAML{where}: {getattr(error, 'problem', None) or error}") from error
    _demand(list(problems(RUNBOOK_SCHEMA, document)))
    return dict(document)


def resolve(document: dict[str, Any], inventory: Inventory) -> dict[str, Any]:
    """Return ``{units, targets, steps, busiest}`` of a runbook: what is to be done, the hosts that receive it, the steps it
    takes and the most units of one target.

    Raise BadInput with one sentence for each mistake.
    """
    entries: list[Entry] = document["restore"]
    _demand([*_name_mistakes(entries), *_order_mistakes(entries)])
    _demand([sentence for entry in entries for sentence in _entry_mistakes(entry, inventory)])
    _demand(_moment_mistakes(document.get("moment"), "the runbook"))
    units = [unit for entry in entries for unit in _units(entry, document.get("moment", ""), inventory)]
    _demand([*_same_target(units), *_same_directory(units, inventory.machine)])
    _order(units, waves({entry["name"]: entry.get("after", []) for entry in entries}))
    targets = list(dict.fromkeys(unit["target"] for unit in units))
    busiest = max(Counter(unit["target"] for unit in units).values())
    return {"units": units, "targets": targets, "steps": 1 + max(unit["step"] for unit in units), "busiest": busiest}


def waves(after: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the names in waves: each name stands in the first wave that is later than all it comes after.

    Raise BadInput, naming the circle, when there is no such order.
    """
    sorter = TopologicalSorter(after)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " after ".join(f"'{name}'" for name in reversed(error.args[1]))
        raise BadInput(f"the order runs in a circle ({circle})", "remove one 'after' of it") from error
    position = {name: number for number, name in enumerate(after)}
    found = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda name: position[name])
        found.append(ready)
        sorter.done(*ready)
    return found


def overlaps(places: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield ``(first, second, sentence)`` for every one of ``places`` ``(unit, machine, directory)`` that shares data with an
    earlier one; the first such is named.
    """
    told = set()
    for (one, machine, path), (two, other_machine, other) in combinations(places, 2):
        if one == two or machine != other_machine or two in told or not _inside(path, other):
            continue
        told.add(two)
        both = f"'{one}' and '{two}' both write to {path}"
        within = f"{path} of '{one}' and {other} of '{two}' lie inside each other"
        yield one, two, f"{both if path == other else within} on one machine: give each a place of its own"


def _inside(path: str, other: str) -> bool:
    """Return whether one of two directories is, or holds, the other."""
    one, two = f"{path.rstrip('/')}/", f"{other.rstrip('/')}/"
    return one.startswith(two) or two.startswith(one)


def _demand(mistakes: Sequence[str]) -> None:
    """Raise BadInput with all ``mistakes``, each a sentence, unless there are none."""
    if mistakes:
        raise BadInput("; ".join(mistakes))


def _name_mistakes(entries: list[Entry]) -> Iterator[str]:
    for name, count in Counter(entry["name"] for entry in entries).items():
        if count > 1:
            yield f"{count} entries are named '{name}': give each a name of its own"


def _order_mistakes(entries: list[Entry]) -> Iterator[str]:
    names = {entry["name"] for entry in entries}
    unknown = [(entry["name"], name) for entry in entries for name in entry.get("after", []) if name not in names]
    for entry, name in unknown:
        yield f"entry '{entry}' is after '{name}', and no entry has that name"
    if not unknown:
        try:
            waves({entry["name"]: entry.get("after", []) for entry in entries})
        except BadInput as error:
            yield f"{error.message}: {error.hint}"


def _entry_mistakes(entry: Entry, inventory: Inventory) -> Iterator[str]:
    """Yield a sentence for everything that is wrong with ``entry`` alone."""
    where = f"entry '{entry['name']}'"
    known = inventory.groups.get("all", ())
    if ("source" in entry) == ("group" in entry):
        yield f"{where} needs either source (one host) or group (each of its hosts)"
        return
    if "group" in entry and not inventory.groups.get(entry["group"]):
        yield f"{where}: the inventory has no hosts in a group '{entry['group']}'"
    for key in ("source", "target"):
        if key in entry and entry[key] not in known:
            yield f"{where}: the inventory has no host '{entry[key]}' ({key})"
    for host in _sources(entry, inventory):
        if host in known:
            yield from _app_mistakes(where, host, entry.get("app"), inventory)
    directory = entry.get("directory", "/")
    if not posixpath.isabs(directory):
        yield f"{where}: the directory '{directory}' is relative: write it whole, beginning with /"
    if "moment" in entry and "set" in entry:
        yield f"{where} has both a moment and a set: keep one of them"
    yield from _moment_mistakes(entry.get("moment"), where)


def _app_mistakes(where: str, host: str, app: str | None, inventory: Inventory) -> Iterator[str]:
    found = inventory.apps_of(host)
    if not found:
        yield f"{where}: {host} has no app: put it into a group app_<app> of the inventory"
    elif app and app not in found:
        yield f"{where}: {host} has no app '{app}' (it has: {', '.join(found)})"


def _moment_mistakes(moment: str | None, where: str) -> list[str]:
    if moment is None:
        return []
    try:
        parse_moment(moment)
    except BadInput as error:
        return [f"{where}: {error.message}" + (f": {error.hint}" if error.hint else "")]
    return []


def _sources(entry: Entry, inventory: Inventory) -> list[str]:
    return list(inventory.groups.get(entry["group"], ())) if "group" in entry else [entry["source"]]


def _units(entry: Entry, moment: str, inventory: Inventory) -> Iterator[Unit]:
    """Yield the units of ``entry``; ``moment`` is the runbook's own, for entries that name neither moment nor set."""
    for source in _sources(entry, inventory):
        apps = [entry["app"]] if "app" in entry else inventory.apps_of(source)
        for app in apps:
            parts = [entry["name"], *([source] if "group" in entry else []), *([app] if len(apps) > 1 else [])]
            yield {
                "name": "/".join(parts),
                "entry": entry["name"],
                "source": source,
                "app": app,
                "target": entry.get("target", source),
                "directory": posixpath.normpath(entry["directory"]) if "directory" in entry else "",
                "moment": entry.get("moment", "" if "set" in entry else moment),
                "set": entry.get("set", ""),
                "after": list(entry.get("after", [])),
            }


def _same_target(units: list[Unit]) -> Iterator[str]:
    replacing: dict[tuple[str, str], list[str]] = {}
    for unit in units:
        if not unit["directory"]:
            replacing.setdefault((unit["app"], unit["target"]), []).append(f"'{unit['name']}'")
    for (app, target), found in replacing.items():
        if len(found) > 1:
            yield f"{' and '.join(found)} replace the same target, {app} on {target}: keep one of them"


def _same_directory(units: list[Unit], machine: Callable[[str], str]) -> Iterator[str]:
    places = [(unit["name"], machine(unit["target"]), unit["directory"]) for unit in units if unit["directory"]]
    for _one, _two, sentence in overlaps(places):
        yield sentence


def _order(units: list[Unit], found: list[list[str]]) -> None:
    """Give each unit its ``wave``, its ``step`` and, in ``after``, the units instead of the entries that it follows."""
    of_entry: dict[str, list[str]] = {}
    for unit in units:
        of_entry.setdefault(unit["entry"], []).append(unit["name"])
    step = 0
    for number, names in enumerate(found):
        taken: Counter[str] = Counter()
        for unit in units:
            if unit["entry"] in names:
                unit.update(wave=number, step=step + taken[unit["target"]])
                unit["after"] = [name for entry in unit["after"] for name in of_entry[entry]]
                taken[unit["target"]] += 1
        step += max(taken.values())
