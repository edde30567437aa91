# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a procedure that are repeated for each of several things, such as folders. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_OF_STEPS = ("set", "into")  # what steps replace themselves
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def steps_for(items: Iterable[Mapping[str, Any]], templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps ``templates`` once for each of ``items``, placeholders such as ``{folder}`` replaced by its values.

    A value that is nothing but a placeholder keeps the type of what stands for it; its key is left out when nothing does.
    What a step replaces itself, ``{set}`` and ``{into}`` of ``land``, is left as it is.
    """
    return [_filled(template, item) for item in items for template in templates]


def _filled(template: Any, item: Mapping[str, Any]) -> Any:
    if isinstance(template, Mapping):
        filled = {key: _filled(value, item) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(template, list):
        return [_filled(value, item) for value in template]
    if not isinstance(template, str):
        return template
    whole = _PLACEHOLDER.fullmatch(template)
    if whole and whole[1] not in _OF_STEPS:
        return item.get(whole[1])
    return _PLACEHOLDER.sub(lambda found: str(item[found[1]]) if found[1] in item else found[0], template)
