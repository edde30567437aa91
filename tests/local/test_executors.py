# SPDX-License-Identifier: GPL-3.0-or-later
"""Executors: ``local`` and ``ssh`` behave the same; what only ``ssh`` has to survive (ORA-9)."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.errors import (
    Busy,
    CommandFailed,
    ConnectionLost,
    Refused,
)
from ansible_collections.backstay.fleet.plugins.module_utils.executors import (
    Command,
    Executor,
    LocalExecutor,
    guard,
    local,
    ssh,
)
from ansible_collections.backstay.fleet.plugins.module_utils.process import TookTooLong
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.support.sandbox import wait_until
from unit.support.sshd import HOLDER, ME, Files, Server, far


@pytest.fixture(params=["local", "ssh"])
def executor(request: pytest.FixtureRequest, server: Server, access: Path, place: Path) -> Iterator[Executor]:
    made = LocalExecutor() if request.param == "local" else far(server, access, place)
    yield made
    made.end()


# The same for all


def test_commands_get_their_words_variables_and_input(executor: Executor) -> None:
    argv = ["sh", "-c", 'printf "%s|" "$0" "$WISH"; cat; echo wrong >&2; exit 3', "it's a $HOME & \\ \n'x'"]
    done = executor.run(argv, 30, environment={"WISH": "a b;c"}, feed=b"fed")
    assert (done.status, done.stdout, done.stderr) == (3, "it's a $HOME & \\ \n'x'|a b;c|fed", "wrong\n")


def test_language_and_zone_are_fixed(executor: Executor) -> None:
    assert executor.require(["sh", "-c", "echo $TZ $LC_ALL"]) == "UTC C.UTF-8\n"


def test_a_command_that_fails_is_an_error_with_its_words(executor: Executor) -> None:
    with pytest.raises(CommandFailed, match="ended with exit status 2: no such thing"):
        executor.require(["sh", "-c", "echo no such thing >&2; exit 2"])


def test_a_command_that_takes_too_long_is_told_as_that(executor: Executor) -> None:
    with pytest.raises(TookTooLong, match="sleep did not end within 1 s"):
        executor.run(["sleep", "30"], 1)


def test_as_much_of_the_errors_is_kept_as_is_wanted(executor: Executor) -> None:
    done = executor.run(["sh", "-c", "echo ORA-1 >&2; seq 1 20000 >&2"], 30, stderr_limit=1 << 20)
    assert done.stderr.startswith("ORA-1")
    assert "ORA-1" not in executor.run(["sh", "-c", "echo ORA-1 >&2; seq 1 20000 >&2"], 30).stderr


def test_a_started_process_is_read_while_it_runs_and_killed_with_its_children(executor: Executor) -> None:
    executor.hold("oracle:X", None, HOLDER)
    process = executor.start(["sh", "-c", "sleep 300 & echo $!; echo oops >&2; wait"], {}, ME)
    child = int(os.read(process.stdout.fileno(), 100).split()[0])
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    from ansible_collections.backstay.fleet.plugins.module_utils.process import kill_group

    kill_group(process)
    assert process.wait(30) == -9, "the connection was not lost, we killed it"
    wait_until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text(), 20, "its end")


def test_a_signal_is_told_as_one(executor: Executor) -> None:
    executor.hold("oracle:X", None, HOLDER)
    process = executor.start(["sh", "-c", "kill -KILL $$"], {}, ME)
    assert process.wait(30) == -9


def test_small_files(executor: Executor, place: Path) -> None:
    executor.write(place / "a", b"one", ME)
    executor.write(place / "a", b"\0two", ME)
    assert executor.read(place / "a") == b"\0two"
    assert (place / "a").stat().st_mode & 0o777 == 0o600
    assert executor.size(place / "a") == 4
    assert executor.names(place) == ["a"]
    with pytest.raises(FileNotFoundError):
        executor.read(place / "b")
    with pytest.raises(FileNotFoundError):
        executor.size(place / "b")


def test_big_files_go_both_ways(executor: Executor, place: Path) -> None:
    content = os.urandom(3 << 20)
    with executor.create(place / "big", ME) as target:
        for begin in range(0, len(content), 1 << 20):
            target.write(content[begin : begin + (1 << 20)])
    with executor.fetch(place / "big") as source:
        assert b"".join(iter(lambda: source.read(1 << 20), b"")) == content
    assert executor.used(place) >= len(content)
    with pytest.raises(FileExistsError):
        executor.create(place / "big", ME)


def test_what_is_no_regular_file_has_no_size(executor: Executor, place: Path) -> None:
    (place / "link").symlink_to(place / "nowhere")
    assert executor.exists(place / "link")
    assert executor.size(place / "link") == -1
    assert executor.size(place) == -1


def test_folders(executor: Executor, place: Path) -> None:
    executor.open_folder(place / "own" / "one", ME)
    executor.give_directory(place / "deep" / "er", ME)
    executor.give_directory(place / "deep" / "er", ME)
    assert (place / "own" / "one").stat().st_mode & 0o777 == 0o700
    assert executor.names(place) == ["deep", "own"] and executor.names(place / "none") == []
    executor.remove(place / "deep")
    executor.remove(place / "deep")
    executor.remove_empty(place / "own" / "one", None)
    executor.remove_empty(place, None)
    assert executor.names(place / "own") == []
    (place / "file").write_text("x")
    with pytest.raises(OSError, match=r"."):
        executor.give_directory(place / "file" / "below", ME)


def test_numbers_of_the_host(executor: Executor, place: Path) -> None:
    assert executor.ids(ME) == (os.getuid(), os.getgid())
    assert executor.free(place / "not" / "there") > 0
    assert abs(executor.clock() - time.time()) < 60
    assert (executor.runs(Path("/bin/sh")) and not executor.runs(place)) or not executor.remote


def test_files_go_aside_by_a_rename_and_nothing_is_overwritten(executor: Executor, place: Path) -> None:
    (place / "system.dbf").write_bytes(b"live")
    aside = executor.place_aside(place / "system.dbf", "aside-run", None)
    executor.make_room(place / "system.dbf", aside, None)
    executor.rename(place / "system.dbf", aside, None)
    assert aside.read_bytes() == b"live" and not (place / "system.dbf").exists()
    with pytest.raises(Refused, match="in the way"):
        executor.make_room(place / "system.dbf", aside, None)


def test_a_resource_is_held_once_on_its_host_by_whichever_executor(
    executor: Executor, server: Server, access: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two backup machines, or one and the database host itself, must not back up a database at once."""
    monkeypatch.setattr(guard, "WAIT_SECONDS", 1)
    monkeypatch.setattr(local, "_WAIT_SECONDS", 1)
    executor.hold("oracle:ORCL", ME, HOLDER)
    others: list[Callable[[], Executor]] = [LocalExecutor, lambda: far(server, access, place, directory=str(place / "other"))]
    for make in others:
        other = make()
        with pytest.raises(Busy, match=r"by run run-1 \(backup\) of the worker here"):
            other.hold("oracle:ORCL", ME, dict(HOLDER, run="run-2"))
        other.end()
    executor.end()
    for make in others:
        other = make()
        other.hold("oracle:ORCL", ME, dict(HOLDER, run="run-3"))
        other.end()


# What only a way over the network has to survive


@pytest.fixture
def over_ssh(server: Server, access: Path, place: Path) -> Iterator[Executor]:
    made = far(server, access, place)
    yield made
    made.end()


def test_a_host_key_that_is_not_the_known_one_is_refused(server: Server, access: Path, place: Path) -> None:
    other = paramiko.RSAKey.generate(2048).get_base64()
    (access / "known_hosts").write_text(" ".join([*server.known_hosts.split()[:2], other]) + "\n")
    with pytest.raises(ConnectionLost, match="is not the known one"):
        far(server, access, place).clock()
    (access / "known_hosts").write_text("")
    with pytest.raises(ConnectionLost, match="not found in known_hosts"):
        far(server, access, place).clock()


def test_a_key_that_others_may_read_is_not_used(server: Server, access: Path, place: Path) -> None:
    (access / "key").chmod(0o644)
    with pytest.raises(Refused, match="others may read"):
        far(server, access, place).clock()
    (access / "key").chmod(0o600)


def test_a_worker_without_a_key_is_told_what_to_do(server: Server, tmp_path: Path, place: Path) -> None:
    with pytest.raises(Refused, match="key is missing") as caught:
        far(server, tmp_path, place).clock()
    assert "offsite.yml" in caught.value.hint


def test_another_account_than_that_of_the_login_is_refused(over_ssh: Executor) -> None:
    with pytest.raises(Refused, match="cannot act as somebody"):
        over_ssh.run(["true"], account="somebody")


def test_jobs_of_two_workers_never_share_the_folder_whatever_they_lock(
    over_ssh: Executor, server: Server, access: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verification locks its scratch instance, a backup the database: both work in the folder of the same host."""
    monkeypatch.setattr(guard, "WAIT_SECONDS", 1)
    over_ssh.hold("oracle:ORCL", ME, HOLDER)
    piece = over_ssh.work(layout.work("erp", "oracle")) / "piece"
    over_ssh.open_folder(piece.parent, ME)
    over_ssh.write(piece, b"of the backup", ME)
    other = far(server, access, place)
    with pytest.raises(Busy, match=r"erp\+oracle is in use on its host by run run-1 \(backup\) of the worker here"):
        other.hold("oracle:/var/lib/backstay/work/erp+oracle/instance", ME, dict(HOLDER, run="run-2", action="verify"))
    assert over_ssh.read(piece) == b"of the backup"
    over_ssh.end()
    other.hold("oracle:/var/lib/backstay/work/erp+oracle/instance", ME, dict(HOLDER, run="run-3", action="verify"))
    other.end()


def test_when_the_connection_dies_the_host_ends_what_was_running(over_ssh: Executor, server: Server, place: Path) -> None:
    over_ssh.hold("oracle:ORCL", ME, HOLDER)
    told = ["sh", "-c", f'cat > {place}/released; echo "$WISH" >> {place}/released; exit 1']
    over_ssh.on_loss([Command(told, {"WISH": "up"}, "it's over\n"), Command(["touch", str(place / "after it")])])
    process = over_ssh.start(["sh", "-c", "echo $$; exec sleep 300"], {}, ME)
    pid = int(os.read(process.stdout.fileno(), 100))
    server.cut()
    with pytest.raises(ConnectionLost, match="sh was running"):
        process.wait(30)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text(), 30, "RMAN is killed")
    wait_until((place / "after it").exists, 30, "the host releases itself, whatever fails of it")
    wait_until(lambda: not (place.parent / "ours" / "erp+oracle").exists(), 30, "nothing is left")
    assert (place / "released").read_text() == "it's over\nup\n"
    with pytest.raises(ConnectionLost):
        over_ssh.read(place / "released")
    LocalExecutor().hold("oracle:ORCL", ME, HOLDER)


def test_what_was_killed_is_not_noted_any_more(over_ssh: Executor, place: Path) -> None:
    """Its number may belong to something else when the guard ends what is noted."""
    over_ssh.hold("oracle:ORCL", ME, HOLDER)
    process = over_ssh.start(["sh", "-c", "echo running; sleep 300"], {}, ME)
    assert os.read(process.stdout.fileno(), 100) == b"running\n"
    notes = place.parent / "ours" / "erp+oracle" / "run" / "pids"
    assert len(list(notes.iterdir())) == 1
    process.end_group()
    assert list(notes.iterdir()) == []


def test_a_kill_that_the_connection_does_not_survive_is_no_kill(over_ssh: Executor, server: Server) -> None:
    over_ssh.hold("oracle:ORCL", ME, HOLDER)
    process = over_ssh.start(["sleep", "300"], {}, ME)
    server.cut()
    with pytest.raises(ConnectionLost):
        process.end_group()
    assert process.returncode is None


def test_a_worker_that_falls_silent_is_given_up(
    server: Server, access: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine lost its power: no end of the connection arrives, nothing beats any more."""
    monkeypatch.setattr(guard, "SILENCE_SECONDS", 2)
    monkeypatch.setattr(guard, "BEAT_SECONDS", 3600)
    made = far(server, access, place)
    made.hold("oracle:ORCL", ME, HOLDER)
    wait_until(lambda: not (place.parent / "ours" / "erp+oracle").exists(), 30, "the guard gives the worker up")
    LocalExecutor().hold("oracle:ORCL", ME, HOLDER)
    made.end()


def test_the_end_of_a_connection_that_was_given_up_does_not_end_the_next_job(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sshd may keep the channel of a dead machine open for hours; when it closes it, another job works in the folder."""
    monkeypatch.setattr(guard, "SILENCE_SECONDS", 2)
    folder = place / "erp+oracle"

    def guarded() -> subprocess.Popen[bytes]:
        line = guard.guard_line(str(place / "lock"), str(folder), "{}")
        pipe = subprocess.PIPE
        made = subprocess.Popen(["/bin/sh", "-c", line], stdin=pipe, stdout=pipe, start_new_session=True)
        assert made.stdout and made.stdout.readline() == b"ready\n"
        return made

    given_up = guarded()
    given_up.wait(30)
    with pytest.raises(ProcessLookupError):
        os.killpg(given_up.pid, 0)
    monkeypatch.setattr(guard, "SILENCE_SECONDS", 3600)
    following = guarded()
    assert given_up.stdin and following.stdin
    given_up.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        following.wait(3)
    following.stdin.close()
    assert following.wait(30) == 0 and not folder.exists()


def test_a_host_that_stops_answering_is_a_lost_connection(
    server: Server, access: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with a network that drops everything: the transport still counts as alive then."""
    silence = threading.Event()
    monkeypatch.setattr(Files, "list_folder", lambda _self, _path: silence.wait(60) and [])
    monkeypatch.setattr(ssh, "_ASK_SECONDS", 1)
    made = far(server, access, place)
    try:
        with pytest.raises(ConnectionLost, match="looking into"):
            made.names(place)
        with pytest.raises(ConnectionLost, match="nothing more can be done there"):
            made.exists(place)
    finally:
        silence.set()
        made.end()


def test_an_orderly_end_runs_no_release_and_leaves_nothing(over_ssh: Executor, place: Path) -> None:
    over_ssh.hold("oracle:ORCL", ME, HOLDER)
    over_ssh.on_loss([Command(["touch", str(place / "released")])])
    over_ssh.open_folder(over_ssh.work(layout.work("erp", "oracle")) / "rman", ME)
    over_ssh.end()
    assert not (place / "released").exists()
    assert [(item.name, item.read_text()) for item in (place.parent / "ours").iterdir()] == [("erp+oracle.lock", "")]


def test_staging_is_pulled_or_shared(server: Server, access: Path, place: Path) -> None:
    folder = layout.staging("erp", "oracle") / "20261121T090000Z-aaaaaa01" / "pieces"
    pulled, shared = far(server, access, place), far(server, access, place, staging="share")
    assert pulled.staging(folder) == place.parent / "ours/erp+oracle/staging/20261121T090000Z-aaaaaa01/pieces"
    assert shared.staging(folder) == folder
    assert (pulled.pulls, shared.pulls, LocalExecutor.pulls) == (True, False, False)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), min_size=1, max_size=4))
def test_every_word_arrives_as_it_is(words: list[str]) -> None:
    line = guard.spell(["printf", "%s\\0", *words])
    done = subprocess.run(["/bin/sh", "-c", line], check=True, capture_output=True)
    assert done.stdout.decode().split("\0")[:-1] == words
