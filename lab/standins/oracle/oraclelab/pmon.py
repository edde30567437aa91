# SPDX-License-Identifier: GPL-3.0-or-later
"""The background process whose life is the life of the instance. SIGTERM and SIGKILL end it, which is a crash."""

import signal

signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    signal.pause()
