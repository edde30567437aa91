# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.unit_file import systemd_word


@pytest.mark.parametrize(
    ("text", "path", "argument"),
    [
        ("/srv/backstay", '"/srv/backstay"', '"/srv/backstay"'),
        ("/srv/my backups", '"/srv/my backups"', '"/srv/my backups"'),
        ("/srv/100% $HOME", '"/srv/100%% $HOME"', '"/srv/100%% $$HOME"'),
        ("""/srv/Süd "d'Or" a\\b""", """"/srv/Süd \\"d'Or\\" a\\\\b\"""", """"/srv/Süd \\"d'Or\\" a\\\\b\""""),
    ],
)
def test_a_word_is_one_word_again_when_systemd_reads_it(text: str, path: str, argument: str) -> None:
    assert (systemd_word(text), systemd_word(text, command=True)) == (path, argument)


@pytest.mark.parametrize("text", ["/srv/a\nExecStartPre=/bin/evil", "/srv/\t", "\x7f"])
def test_a_control_character_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="control character"):
        systemd_word(text)
