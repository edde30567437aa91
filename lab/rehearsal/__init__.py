# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal fleet: real systemd hosts in containers on one machine."""
