#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# One backup from CI: the same steps for every CI server. Secrets come as files, whose names are in the environment:
#   BACKSTAY_SSH_KEY_FILE         SSH private key of the control node
#   BACKSTAY_KNOWN_HOSTS_FILE     host keys of the fleet, in the format of known_hosts
#   BACKSTAY_VAULT_PASSWORD_FILE  optional: password of the vault
# Further: BACKSTAY_INVENTORY, BACKSTAY_LIMIT (default all), BACKSTAY_KIND (default full). Results lie in results/.
set -euo pipefail
umask 077
: "${BACKSTAY_INVENTORY:?name the inventory}" "${BACKSTAY_SSH_KEY_FILE:?name the file of the SSH key}"
: "${BACKSTAY_KNOWN_HOSTS_FILE:?name the file of the known host keys}"

rm -rf results # of the run before: a run that does not even begin must not leave them
private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
trap 'exit 143' TERM
# ssh refuses a key that others may read, and one without a newline at its end; CI servers hand out both.
{ cat "$BACKSTAY_SSH_KEY_FILE"; echo; } > "$private/key"
cat "$BACKSTAY_KNOWN_HOSTS_FILE" > "$private/known_hosts"

options=(--inventory "$BACKSTAY_INVENTORY" --limit "${BACKSTAY_LIMIT:-all}" --private-key "$private/key")
if [ -n "${BACKSTAY_VAULT_PASSWORD_FILE:-}" ]; then
    cat "$BACKSTAY_VAULT_PASSWORD_FILE" > "$private/vault" # without an executable bit, else Ansible would run it
    options+=(--vault-password-file "$private/vault")
fi

export BACKSTAY_JUNIT=results/junit.xml BACKSTAY_RESULTS=results/results.json
export ANSIBLE_SSH_EXTRA_ARGS="-o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$private/known_hosts"
ansible-playbook playbooks/backup.yml "${options[@]}" --extra-vars "backstay_kind=${BACKSTAY_KIND:-full}" < /dev/null
