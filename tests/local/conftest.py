# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandboxed worker of the unit tests, for tests that start it as processes of its own."""

from unit.conftest import sandbox, stocked, stocked_repository

__all__ = ["sandbox", "stocked", "stocked_repository"]
