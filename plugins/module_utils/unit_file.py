# SPDX-License-Identifier: GPL-3.0-or-later
"""How a word is spelled in a unit file of systemd: systemd.syntax(7) and "Command lines" of systemd.service(5). Pure."""

from __future__ import annotations

from .errors import BadInput


def systemd_word(text: str, command: bool = False) -> str:
    """Return ``text`` as one word of a list of paths, or of a ``command`` line, where a dollar sign has a meaning, too.

    Raise BadInput for a control character: a line of a unit file ends where the text has a newline.
    """
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in text):
        raise BadInput(f"{text!r} has a control character, which no unit file can hold", "choose another name")
    spelled = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{spelled.replace("$", "$$") if command else spelled}"'
