#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run a command with the tests' own lab up: started once, removed at the end in any case unless it was up before.
# LAB_ONLY names the hosts or groups to begin with; tests bring up what else they need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export BACKSTAY_LAB="${BACKSTAY_LAB:-backstay-test}" BACKSTAY_LAB_PORT="${BACKSTAY_LAB_PORT:-42400}"
unset BACKSTAY_STATE_DIR # secrets and records of test runs lie beside the lab and go with it
lab=(/usr/bin/python3 lab/lab.py)

take_down() {
    status=$?
    trap - EXIT INT TERM
    # The last line belongs to the tests; what goes wrong here still is told, and counts.
    "${lab[@]}" down > /dev/null || status=1
    # Tests that run side by side bring further labs up and remove them, unless they are interrupted.
    for key in .lab/"$BACKSTAY_LAB"-[2-9]/id_ed25519; do
        [ -e "$key" ] || continue
        BACKSTAY_LAB="$(basename "$(dirname "$key")")" "${lab[@]}" down > /dev/null || status=1
    done
    exit "$status"
}

# The key is the first thing a lab gets and the last it loses.
if [ ! -e ".lab/$BACKSTAY_LAB/id_ed25519" ]; then
    trap take_down EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
fi
"${lab[@]}" up --only "${LAB_ONLY:-offsite1,shop-db1,spare1}"
"$@"
