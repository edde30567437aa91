# SPDX-License-Identifier: GPL-3.0-or-later
"""The Domino stand-in: README.md says what it imitates and what not."""
