# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, CommandFailed
from ansible_collections.backstay.fleet.plugins.module_utils.process import Finished
from ansible_collections.backstay.fleet.plugins.module_utils.unit_file import systemd_word
from ansible_collections.backstay.fleet.plugins.module_utils.worker import launch
from hypothesis import given
from hypothesis import strategies as st
from unit.support.sandbox import Sandbox
from unit.support.steps import good


def read_command_line(text: str) -> list[str]:
    """Split a command line of a unit file as systemd.service(5) describes: quotes, escapes, then specifiers and variables."""
    words, rest = [], text
    while rest:
        found = re.match(r'"((?:[^"\\]|\\.)*)"(?: |\Z)', rest, re.DOTALL)
        assert found, f"not a quoted word: {rest}"
        word = re.sub(r'\\([\\"])', r"\1", found.group(1))
        assert not re.search(r"(?<!%)(?:%%)*%(?!%)", word), f"a lone specifier: {word}"
        assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", word), f"a lone variable: {word}"
        words.append(word.replace("%%", "%").replace("$$", "$"))
        rest = rest[found.end() :]
    return words


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('%$"\\'), max_size=10), min_size=1))
def test_words_of_a_unit_command_line_are_read_back_as_they_were(words: list[str]) -> None:
    assert read_command_line(" ".join(systemd_word(word, command=True) for word in words)) == words


def test_a_job_runs_as_a_unit_that_releases_after_any_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKSTAY_ROOT", raising=False)
    program = ["/usr/bin/python3", "/var/lib/backstay/worker/ab.pyz"]
    argv = launch.unit_argv("backstay-run1", program, Path("/var/lib/backstay/jobs/run1"))
    split = argv.index("--")
    assert argv[split + 1 :] == [*program, "run", "/var/lib/backstay/jobs/run1"]
    options = argv[:split]
    assert options[:5] == ["systemd-run", "--quiet", "--collect", "--unit", "backstay-run1"]
    properties = dict(option.split("=", 2)[1:] for option in options if option.startswith("--property="))
    assert read_command_line(properties["ExecStopPost"]) == [*program, "release", "/var/lib/backstay/jobs/run1"]
    assert properties["KillMode"] == "mixed"
    assert properties["UMask"] == "0077"
    assert not [option for option in options if "setenv" in option]


def test_a_root_of_its_own_goes_with_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAY_ROOT", "/srv/backstay")
    assert "--setenv=BACKSTAY_ROOT=/srv/backstay" in launch.unit_argv("x", ["p"], Path("/j"))


def test_a_worker_that_does_not_start_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_START_SECONDS", 0.2)
    monkeypatch.setattr(launch, "_supervised", lambda _folder: "supervisor")
    with pytest.raises(BackstayError, match="did not start within"):
        launch.launch(sandbox.create(sandbox.backup([good()])))


def test_a_worker_that_refuses_at_once_has_started(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sandbox.create(sandbox.backup([good()]))
    folder.finish({"status": "failed"})
    monkeypatch.setattr(launch, "_supervised", lambda _folder: "supervisor")
    assert launch.launch(folder) == "supervisor"


def test_with_systemd_the_job_is_a_unit_and_a_boot_releases_what_died(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = sandbox.create(sandbox.backup([good()]))
    asked: list[list[str]] = []

    def run(argv: list[str], _timeout: float) -> Finished:
        asked.append(argv)
        if argv[0] == "systemd-run":
            folder.finish({"status": "ok"})
        return Finished(0, "", "")

    monkeypatch.setattr(launch, "has_systemd", lambda: True)
    monkeypatch.setattr(launch, "run", run)
    monkeypatch.setattr(launch, "_BOOT_UNIT", tmp_path / "backstay-release.service")
    unit = "backstay-" + folder.path.name
    assert launch.launch(folder) == f"{unit}.service"
    assert [argv[:2] for argv in asked] == [["systemctl", "daemon-reload"], ["systemctl", "enable"], ["systemd-run", "--quiet"]]
    content = (tmp_path / "backstay-release.service").read_text()
    (command,) = re.findall(r"^ExecStart=(.*)$", content, re.MULTILINE)
    assert read_command_line(command) == [sys.executable, str(Path(sys.argv[0]).resolve()), "release-abandoned"]
    assert (tmp_path / "backstay-release.service").stat().st_mode & 0o777 == 0o644
    asked.clear()
    launch.launch(folder)
    assert [argv[0] for argv in asked] == ["systemd-run"], "the unit for the boot is there already"


def test_a_unit_that_cannot_be_made_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "has_systemd", lambda: True)
    monkeypatch.setattr(launch, "ensure_boot_release", lambda _program: None)
    monkeypatch.setattr(launch, "run", lambda _argv, _timeout: Finished(1, "", "Failed to start transient unit: denied\n"))
    with pytest.raises(CommandFailed, match=r"could not start backstay-.*: Failed to start transient unit: denied"):
        launch.launch(sandbox.create(sandbox.backup([good()])))
