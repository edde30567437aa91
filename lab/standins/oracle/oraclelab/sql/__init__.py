# SPDX-License-Identifier: GPL-3.0-or-later
"""The sql of the stand-in."""
