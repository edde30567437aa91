# SPDX-License-Identifier: GPL-3.0-or-later
"""What test_declared_jobs tells the roles of each app: one module for each, named as the app.

``FACTS`` is what preflight of the app finds. A module may say more:
``OWN_WAYS``: ways in which only this app's procedure is declared, each an entry point and variables beside the contract's.
``LIVE``: where live data lies, when FACTS name no ``datadir``.
``FROM_AFAR``: the ways whose job is accepted for another machine than the worker's own.
"""
