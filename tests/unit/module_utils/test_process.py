# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import process
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CommandFailed
from unit.support.sandbox import wait_until


def _gone(pid: int) -> bool:
    """Return whether process ``pid`` has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_how_a_process_ended_is_told() -> None:
    done = process.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert done == (3, "out\n", "err\n")


def test_a_killed_process_tells_its_signal() -> None:
    assert process.run(["sh", "-c", "kill -9 $$"]).status == -signal.SIGKILL


def test_the_environment_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("SECRET", "hunter2")
    lines = process.require(["env"], extra_environment={"RESTIC_PROGRESS_FPS": "1"}).splitlines()
    seen = dict(line.split("=", 1) for line in lines)
    assert "SECRET" not in seen
    assert (seen["LANG"], seen["LC_ALL"], seen["TZ"], seen["RESTIC_PROGRESS_FPS"]) == ("C.UTF-8", "C.UTF-8", "UTC", "1")


def test_a_worker_with_a_root_of_its_own_hands_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "BACKSTAY_ROOT" not in process.environment()
    monkeypatch.setenv("BACKSTAY_ROOT", "/srv/backstay")
    assert process.environment()["BACKSTAY_ROOT"] == "/srv/backstay"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(CommandFailed, match="cannot start no-such-tool: No such file"):
        process.run(["no-such-tool"])


def test_standard_input_is_fed_or_empty() -> None:
    assert process.run(["cat"], feed=b"x" * 300_000).stdout == "x" * 300_000
    assert process.run(["cat"]).stdout == ""


def test_a_process_that_does_not_read_is_no_error() -> None:
    assert process.run(["true"], feed=b"x" * 300_000).status == 0


def test_a_slow_process_is_killed_with_its_children(tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; wait"
    began = time.monotonic()
    with pytest.raises(CommandFailed, match=r"sh did not end within 0\.5 s and was killed"):
        process.run(["sh", "-c", script], timeout=0.5)
    assert time.monotonic() - began < 10
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: _gone(child), what="the end of the child")


def test_a_daemon_left_behind_does_not_hold_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service started by hand inherits the pipes and keeps them open for as long as it lives."""
    monkeypatch.setattr(process, "_LEFT_BEHIND_SECONDS", 0.3)
    began = time.monotonic()
    done = process.run(["sh", "-c", "echo started; sleep 30 & exit 0"])
    assert done == (0, "started\n", "")
    assert time.monotonic() - began < 10


def test_only_the_end_of_errors_is_kept_and_secrets_are_masked() -> None:
    script = "import sys; sys.stderr.write('x' * 100000 + ' password=hunter2 the end')"
    done = process.run([sys.executable, "-c", script])
    assert len(done.stderr) < process.TAIL_BYTES + 10
    assert done.stderr.endswith("password=******** the end")


def test_a_limited_output_keeps_its_end() -> None:
    done = process.run(["sh", "-c", "seq 1 100000"], stdout_limit=1000)
    assert done.stdout.endswith("99999\n100000\n")
    assert len(done.stdout) == 1000


def test_much_on_both_outputs_does_not_block() -> None:
    script = "import sys\nfor _ in range(200):\n  sys.stderr.write('e' * 10000); sys.stdout.write('o' * 10000)"
    done = process.run([sys.executable, "-c", script])
    assert len(done.stdout) == 2_000_000


def test_require_demands_success_and_repeats_the_last_words() -> None:
    assert process.require(["echo", "hello"]) == "hello\n"
    with pytest.raises(CommandFailed, match="sh ended with exit status 4: the reason"):
        process.require(["sh", "-c", "echo first >&2; echo the reason >&2; echo >&2; exit 4"])
    with pytest.raises(CommandFailed, match="sh ended with exit status 1: only here"):
        process.require(["sh", "-c", "echo only here; exit 1"])


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with exit status 0"), (-9, "was killed by SIGKILL"), (-250, "was killed by signal 250")],
)
def test_status_in_words(status: int, words: str) -> None:
    assert process.spell_status(status) == words


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    script = (
        "import sys; from ansible_collections.backstay.fleet.plugins.module_utils.process import spawn\n"
        "child = spawn(['sleep', '60']); print(child.pid, flush=True); child.wait()"
    )
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).resolve().parents[3] / "collections"))
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not _gone(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: _gone(child), what="the end of the child")


def test_the_start_of_a_process_can_be_watched() -> None:
    seen: list[int] = []
    process.run(["true"], started=lambda started: seen.append(started.pid))
    assert len(seen) == 1
