# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on a protected host for the life of a job: its lock, and its end when the worker is lost. Plain sh, no Python.

The guard holds the locks of the resource and of the job's folder, counts the beats that the worker sends, and when they stop,
for whatever reason - the job ended, the worker died, the network broke - it kills what the job still runs there, runs what the
worker left for this case, and removes the job's folder. So nothing depends on the worker, or on sshd noticing that a machine is
gone.
"""

from __future__ import annotations

import shlex
from typing import Dict, List, Optional

from .base import Command

READY = "ready"
TAKEN = "taken by "
FOLDER_TAKEN = "folder taken by "
BEAT_SECONDS = 5.0
SILENCE_SECONDS = 60  # longer than a worker under load, or a network that is mended by itself, stays silent
WAIT_SECONDS = 15  # for the guard of a job before this one, which still cleans up

# Arguments: lock file, folder, holder, seconds of silence, seconds to wait for a lock. The loop polls, because sh knows no read
# with a time limit. The folder has a lock of its own, since jobs of other resources may use it (a verification and a backup of
# one host); it is taken last by all of them. What outlives the guard must hold neither lock: ``apart`` runs it without them.
# The reader of the beats does not outlive it: sshd may close its channel much later, and its last word would end the next job.
SCRIPT = f"""umask 077
lock=$1 folder=$2 holder=$3 silence=$4 wait=$5
trap '' HUP INT TERM PIPE
apart() {{ "$@" 8>&- 9>&-; }}
mkdir -p "${{lock%/*}}" "${{folder%/*}}" || exit 1
exec 9>>"$lock" 8>>"$folder.lock" || exit 1
flock -w "$wait" 9 || {{ echo "{TAKEN}$(cat "$lock")"; exit 0; }}
printf '%s' "$holder" > "$lock"
flock -w "$wait" 8 || {{ echo "{FOLDER_TAKEN}$(cat "$folder.lock")"; : > "$lock"; exit 0; }}
printf '%s' "$holder" > "$folder.lock"
rm -rf "$folder" && mkdir -p "$folder/run/pids" || exit 1
beats=$folder/run/beats
echo 0 > "$beats"
exec 3<&0
(i=0; while IFS= read -r _; do i=$((i+1)); echo "$i" > "$beats"; done; echo gone > "$beats") <&3 8>&- 9>&- > /dev/null 2>&1 &
reader=$!
echo {READY}
exec 1> /dev/null 2>&1 3<&- 0< /dev/null
old='' quiet=0
while [ "$quiet" -lt "$silence" ]; do
  apart sleep 1
  new=$(apart cat "$beats") || break
  [ "$new" = gone ] && break
  if [ "$new" = "$old" ]; then quiet=$((quiet+1)); else quiet=0 old=$new; fi
done
[ "$new" = gone ] || kill -s KILL "$reader"
wait "$reader"
for file in "$folder"/run/pids/*; do
  [ -e "$file" ] && read -r pid < "$file" && kill -s KILL -- "-$pid"
done
[ -e "$folder/run/loss" ] && apart sh "$folder/run/loss"
rm -rf "$folder"
: > "$folder.lock"
: > "$lock"
"""
# A command of the job: its process group is known while it runs, so that it can be ended from elsewhere.
_WRAPPER = '[ -z "$0" ] || echo $$ > "$0" || exit 126; "$@"{0}; status=$?; [ -z "$0" ] || rm -f "$0"; exit $status'


def guard_line(lock: str, folder: str, holder: str) -> str:
    """Return the command line, for the login shell of the account, that runs the guard."""
    return spell(["exec", "sh", "-c", SCRIPT, "guard", lock, folder, holder, str(SILENCE_SECONDS), str(WAIT_SECONDS)])


def command_line(argv: List[str], environment: Optional[Dict[str, str]], note: str, merged: bool) -> str:
    """Return the command line that runs ``argv`` while the file ``note`` (empty: none) holds the number of its process group.

    ``merged``: its errors come with its output, in their order.
    """
    script = _WRAPPER.format(" 2>&1" if merged else "")
    return spell(["exec", "sh", "-c", script, note, *with_environment(argv, environment)])


def end_line(note: str) -> str:
    """Return the command line that kills the process group in ``note`` and removes the note: its number may be used again."""
    return spell(["sh", "-c", 'read -r pid < "$0" && kill -s KILL -- "-$pid"; rm -f -- "$0"', note])


def loss_script(commands: List[Command]) -> str:
    """Return what the guard runs when the worker is lost; a command that fails keeps none after it from running."""
    return "".join(map(_loss_line, commands))


def _loss_line(command: Command) -> str:
    fed = f"printf '%s' {shlex.quote(command.feed)} | " if command.feed else ""
    return f"{fed}{spell(with_environment(command.argv, command.environment))}\n"


def with_environment(argv: List[str], environment: Optional[Dict[str, str]]) -> List[str]:
    """Return ``argv`` in front of which the variables are set; those that fix language and time zone are always there."""
    fixed = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return ["env", *(f"{name}={value}" for name, value in {**fixed, **(environment or {})}.items()), *argv]


def spell(argv: List[str]) -> str:
    """Return ``argv`` as one line of sh; the only place where words are quoted for it."""
    return " ".join(word if word == "exec" else shlex.quote(word) for word in argv)
