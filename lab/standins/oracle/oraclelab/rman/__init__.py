# SPDX-License-Identifier: GPL-3.0-or-later
"""The rman of the stand-in."""
