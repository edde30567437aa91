# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import process
from ansible_collections.backstay.fleet.plugins.module_utils.files import read_json, write_json
from ansible_collections.backstay.fleet.plugins.module_utils.worker.flow import FlowThread
from ansible_collections.backstay.fleet.plugins.module_utils.worker.meter import Flow, metered, proof_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.support.sandbox import Sandbox, wait_until


@pytest.mark.parametrize("proof", [{}, {"stderr_refuse": ["[ERROR]"]}])
def test_a_tool_whose_words_cannot_be_kept_has_proved_nothing(tmp_path: Path, proof: dict[str, Any]) -> None:
    """A refused text may stand in what was lost. And who says much must not wait for somebody to listen."""
    (tmp_path / "stderr-data.log").symlink_to("/dev/full")
    result, passed = run_meter(tmp_path, "echo payload; echo '[ERROR] torn' >&2; head -c 300000 /dev/zero >&2", proof)
    assert "what it said could not be kept: No space left on device" in result["problem"]
    assert passed == b"payload\n"


def run_meter(folder: Path, script: str, proof: dict[str, Any], argv: list[str] | None = None) -> tuple[dict[str, Any], bytes]:
    """Meter a shell script into a file; return the result and what was passed on."""
    configuration = {"artifact": "data", "argv": argv or ["sh", "-c", script], "proof": proof}
    with (folder / "out").open("wb") as target:
        result = metered(configuration, target.fileno(), folder)
    return result, (folder / "out").read_bytes()


@settings(max_examples=15)
@given(content=st.binary(min_size=1, max_size=3_000_000) | st.integers(1, 5_000_000).map(os.urandom))
def test_what_is_passed_on_is_counted_and_hashed(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "metered"
    folder.mkdir(exist_ok=True)
    (folder / "in").write_bytes(content)
    result, passed = run_meter(folder, "", {}, ["cat", str(folder / "in")])
    assert passed == content
    assert result["problem"] is None
    assert (result["bytes"], result["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert int((folder / "count-data").read_bytes()) == len(content)


GOOD = "echo payload; echo working >&2; echo 'completed OK!' >&2"


@pytest.mark.parametrize(
    ("script", "proof"),
    [
        (GOOD, {}),
        (GOOD, {"exit": 0, "stderr_end": "completed OK!"}),
        ("echo payload; exit 4", {"exit": 4}),
        ("echo payload; echo -- end of dump", {"stdout_end": "-- end of dump"}),
        (GOOD + "; echo >&2; echo >&2", {"stderr_end": "completed OK!"}),
        (GOOD, {"stderr_refuse": ["[ERROR]"]}),
    ],
)
def test_a_tool_that_gives_its_proof_succeeds(tmp_path: Path, script: str, proof: dict[str, Any]) -> None:
    assert run_meter(tmp_path, script, proof)[0]["problem"] is None


@pytest.mark.parametrize(
    ("script", "proof", "problem"),
    [
        ("echo payload; echo the reason >&2; exit 3", {}, "sh ended with exit status 3: the reason"),
        (GOOD, {"exit": 4}, "sh ended with exit status 0: completed OK!"),
        ("echo payload; exit 3", {"stderr_end": "completed OK!"}, "sh ended with exit status 3: it said nothing"),
        ("echo payload; echo almost >&2", {"stderr_end": "completed OK!"}, "'completed OK!' at the end of its stderr: almost"),
        ("echo payload", {"stderr_end": "completed OK!"}, "without 'completed OK!' at the end of its stderr: it said nothing"),
        (GOOD + "; echo 'but then' >&2", {"stderr_end": "completed OK!"}, "at the end of its stderr: but then"),
        ("echo '-- end'; echo half a row", {"stdout_end": "-- end"}, "without '-- end' at the end of its stdout: half a row"),
        ("echo '[ERROR] table lost' >&2; " + GOOD, {"stderr_refuse": ["[ERROR]"]}, "exited 0 but said: [ERROR] table lost"),
        ("exit 0", {}, "sh produced no data"),
        ("kill -9 $$", {}, "sh was killed by SIGKILL: it said nothing"),
        ("echo payload; kill -15 $$", {}, "sh was killed by SIGTERM"),
        ("echo payload; echo password=hunter2 >&2; exit 1", {}, "password=********"),
    ],
)  # fmt: skip
def test_a_tool_without_its_proof_fails(tmp_path: Path, script: str, proof: dict[str, Any], problem: str) -> None:
    result, _passed = run_meter(tmp_path, script, proof)
    assert result["problem"] is not None
    assert problem in result["problem"]
    assert "hunter2" not in result["problem"]


def test_a_refused_text_is_noticed_however_much_is_said_after_it(tmp_path: Path) -> None:
    script = "echo payload; echo '[ERROR] table lost' >&2; seq 1 20000 >&2"
    result, _passed = run_meter(tmp_path, script, {"stderr_refuse": ["[ERROR]"], "stderr_end": "20000"})
    assert result["problem"] == "sh exited 0 but said: [ERROR] table lost"


def test_a_missing_tool_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(process.CommandFailed, match="cannot start no-such-tool"):
        run_meter(tmp_path, "", {}, ["no-such-tool"])


def test_more_errors_than_a_pipe_holds_do_not_block(tmp_path: Path) -> None:
    script = "import sys\nfor _ in range(300):\n  sys.stderr.write('e' * 10000); sys.stdout.write('o' * 10000)"
    result, passed = run_meter(tmp_path, "", {}, [sys.executable, "-c", script])
    assert result["problem"] is None
    assert len(passed) == 3_000_000
    assert (tmp_path / "stderr-data.log").stat().st_size == 3_000_000


def working_in(folder: Path) -> list[str]:
    """Return the processes whose working directory is ``folder``."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += [link.parent.name] if link.readlink() == folder else []
    return found


@pytest.mark.parametrize("script", ["yes", "yes | cat | cat", "trap '' TERM; yes & yes"])
def test_a_reader_that_goes_away_ends_the_tool_and_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(process, "_LEFT_BEHIND_SECONDS", 60)  # the children end by themselves, not by patience
    reader, writer = os.pipe()
    configuration = {"artifact": "data", "argv": ["sh", "-c", f"cd {tmp_path}; {script}"], "proof": {}}
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(metered(configuration, writer, tmp_path)), daemon=True)
    thread.start()
    os.read(reader, 100)
    os.close(reader)
    thread.join(15)
    os.close(writer)
    assert not thread.is_alive(), "the meter hangs"
    assert "could not be passed on: Broken pipe" in str(found[0]["problem"])
    wait_until(lambda: not working_in(tmp_path), what="the end of the tool's children")


def test_a_child_that_keeps_standard_error_open_does_not_hold_the_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_LEFT_BEHIND_SECONDS", 0.3)
    began = time.monotonic()
    result, passed = run_meter(tmp_path, "sleep 30 >/dev/null & echo payload; echo done >&2", {"stderr_end": "done"})
    assert time.monotonic() - began < 10
    assert (result["problem"], passed) == (None, b"payload\n")


def test_a_marker_cut_by_the_end_of_a_block_is_seen() -> None:
    flow = Flow()
    reader, writer = os.pipe()
    with Path(os.devnull).open("wb") as target:
        thread = threading.Thread(target=flow.copy, args=(reader, target.fileno()))
        thread.start()
        for part in (b"x" * 5000, b"-- en", b"d\n"):
            os.write(writer, part)
            wait_until(lambda: flow.bytes % 5000 in (0, 5, 7))
        os.close(writer)
        thread.join()
    os.close(reader)
    assert proof_problem({"stdout_end": "-- end"}, 0, flow.end.decode(), "") is None
    assert len(flow.end) <= 4096


def test_progress_is_written_while_data_flows(tmp_path: Path) -> None:
    flow = Flow(tmp_path / "count")
    reader, writer = os.pipe()
    with Path(os.devnull).open("wb") as target:
        thread = threading.Thread(target=flow.copy, args=(reader, target.fileno()))
        thread.start()
        os.write(writer, b"12345")
        wait_until(lambda: (tmp_path / "count").read_bytes() == b"%020d" % 5)
        os.close(writer)
        thread.join()
    os.close(reader)


def test_as_a_command_it_fails_when_the_proof_does(sandbox: Sandbox, tmp_path: Path) -> None:
    def call(script: str) -> subprocess.CompletedProcess[str]:
        configuration = {"artifact": "data", "argv": ["sh", "-c", script], "proof": {"stderr_end": "OK"}}
        write_json(tmp_path / "meter-data.json", configuration)
        return sandbox.call("meter", str(tmp_path), "data")

    good = call("echo payload; echo OK >&2")
    assert (good.returncode, good.stdout, good.stderr) == (0, "payload\n", "")
    assert (read_json(tmp_path / "metered-data.json") or {})["problem"] is None
    bad = call("echo payload; echo no >&2")
    assert (bad.returncode, bad.stdout) == (1, "payload\n")
    assert "without 'OK'" in bad.stderr
    assert "without 'OK'" in (read_json(tmp_path / "metered-data.json") or {})["problem"]
    assert sandbox.call("meter", str(tmp_path), "other").returncode == 2


def _pipe_files(command_in: list[str], command_out: list[str]) -> tuple[Any, Any]:
    source = process.spawn(command_in, stdout=subprocess.PIPE)
    sink = process.spawn(command_out, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return source, sink


def test_a_flow_between_two_processes_counts_hashes_and_closes() -> None:
    source, sink = _pipe_files(["seq", "1", "300000"], ["wc", "-c"])
    flow = FlowThread(source.stdout, sink.stdin)
    flow.join()
    expected = "".join(f"{number}\n" for number in range(1, 300001)).encode()
    assert int(sink.stdout.read()) == flow.count() == len(expected)
    assert flow.sha256() == hashlib.sha256(expected).hexdigest()
    assert (source.wait(), sink.wait(), flow.reader_gone) == (0, 0, False)


def test_a_flow_whose_reader_goes_away_ends_the_sender() -> None:
    source, sink = _pipe_files(["yes"], ["head", "-c", "10"])
    flow = FlowThread(source.stdout, sink.stdin)
    flow.join()
    assert flow.reader_gone
    assert sink.wait() == 0
    assert source.wait(10) != 0
