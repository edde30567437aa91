# SPDX-License-Identifier: GPL-3.0-or-later
# A server with nothing on it.
set -eu
