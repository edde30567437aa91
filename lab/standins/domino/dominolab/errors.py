# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in refuses, and how it ends. The words are ours: the sources show none."""


class DominoError(Exception):
    """Something was refused; the message is what the console says."""


class PanicError(Exception):
    """The server ends at once, as Domino does when its transaction log cannot go on."""
