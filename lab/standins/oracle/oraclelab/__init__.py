# SPDX-License-Identifier: GPL-3.0-or-later
"""A strict stand-in for an Oracle database server and its tools; ../README.md says what it imitates."""
