# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests that need the rehearsal fleet share: the lab, playbooks, the shop, repositories, waiting for a condition."""
