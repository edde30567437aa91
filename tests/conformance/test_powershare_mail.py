# SPDX-License-Identifier: GPL-3.0-or-later
"""The PowerShare mail server's stand-in. Item numbers are those of its specification, listed in the stand-in's README."""

from __future__ import annotations

import pytest
from lab_tools.powershare import Server
from lab_tools.waiting import wait_until

BUSY = "file busy (-47)\n"
ASIDE = "/var/tmp/conformance"


def tar_of(server: Server, name: str) -> str:
    """Save the data folder of a server that has quit as a tar beside everything; return its path."""
    path = f"{ASIDE}/{name}.tar"
    server.fleet.shell(server.host, f"mkdir -p {ASIDE}; psctl get '{server.folder}' > {path}")
    return path


def put(server: Server, tar: str, *words: str) -> str:
    return server.fleet.shell(server.host, f"psctl put '{server.folder}' {' '.join(words)} < {tar}")


def damaged(mail: Server, spoil: str, why: str) -> None:
    """Spoil the data, and demand that the server starts, says that they are damaged and is not there afterwards."""
    script = f"{spoil}; psctl launch 2>&1 || echo status $?; psctl status"
    said = mail.shell(script).splitlines()
    assert said[1:] == ["status 1", "Finder, File Sharing Extension"], said
    assert said[0].startswith(f"{mail.process} found damaged data: ") and why in said[0]
    assert why in str(mail.check()["problems"])


AGAIN = "cp -a '{0}' copy; cp -au '{0}/.' copy"  # a second pass over what changed meanwhile, and not stopped for it
WAYS = ["cp -a '{0}' copy", "cp -a --reflink=always '{0}' copy", AGAIN]


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.long)])
def test_a_copy_of_a_running_servers_folder_is_torn(mail: Server, rounds: int) -> None:
    """PS-2: no way of copying gives a good copy, and it is not only a flag that tells."""
    mail.knob("rate", "40")
    mail.goes_on()
    for how in WAYS * rounds:
        mail.shell(f"rm -rf copy; {how.format(mail.folder)}")
        found = mail.check(f"{mail.volume}/copy")
        assert not found["ok"]
        assert [p for p in found["problems"] if p.startswith("index: ")], found["problems"]
        assert [p for p in found["problems"] if "the index says" in p], found["problems"]
    mail.shell("rm -rf copy")


def test_item_1_data_of_a_running_server_is_not_read(mail: Server) -> None:
    """PS-1: nothing before the quit; afterwards all of it, and the server stays out meanwhile."""
    for path in (mail.folder, f"{mail.folder}:Queue 1", f"{mail.folder}:Archive"):
        refused = mail.ask("get", path)
        assert (refused.status, refused.stdout, refused.stderr) == (1, "", BUSY)
    known = mail.goes_on()
    mail.ctl("quit")
    script = f"psctl get '{mail.folder}' | {{ head -c 1 > /dev/null; psctl launch 2>&1 || echo status $?; cat > /dev/null; }}"
    assert mail.shell(script) == f"{BUSY}status 1\n"
    mail.prove(mail.data, known, confirmed=True)
    assert mail.ask("get", f"{mail.folder}:Queue 9").stderr == f"fnfErr (-43): there is no '{mail.folder}:Queue 9'\n"
    assert mail.ask("list", "Elsewhere").stderr == "dirNFErr (-120): there is no folder 'Elsewhere'\n"


def test_items_3_and_4_and_the_documented_restore(mail: Server) -> None:
    """PS-3, PS-4, PS-7: quit, remove everything, put into this same folder, launch; nothing is merged."""
    known = mail.goes_on()
    mail.ctl("quit")
    saved = mail.prove(mail.data, known)
    tar = tar_of(mail, "set")
    mail.ctl("launch")
    later = mail.goes_on()
    for refused in (mail.ask("purge", mail.folder), mail.fleet.ask(mail.host, ["psctl", "put", mail.folder])):  # item 4
        assert (refused.status, refused.stderr) == (1, BUSY)
    assert mail.goes_on()
    mail.ctl("quit")
    before = mail.prove(mail.data, later)
    refused = mail.fleet.ask(mail.host, ["sh", "-c", f"psctl put '{mail.folder}' < {tar}"])  # item 3
    assert (refused.status, refused.stderr) == (1, "refused: data folder not empty\n")
    assert mail.prove()["content_sha256"] == before["content_sha256"]
    mail.ctl("purge", mail.folder)
    assert mail.shell(f"ls -A '{mail.folder}'") == ""
    put(mail, tar)
    restored = mail.prove(mail.data, known)
    assert restored["content_sha256"] == saved["content_sha256"]
    assert f"{later.partition('=')[0]} is not there" in mail.check(mail.data, later)["problems"]
    mail.ctl("launch")
    assert mail.running() and mail.goes_on()


OLDER = {
    "Queue 1": "'Queue 1' is of another set",
    "._Queue 2": "'Queue 2' is of another set",
    "Mailboxes/Anna": "'Mailboxes:Anna' is of another set",
    "Mail Index": "is of another set",
}


@pytest.mark.parametrize("files", [["Queue 1"], pytest.param(list(OLDER)[1:], marks=pytest.mark.long)])
def test_item_5_two_sets_mixed_are_damaged_data(mail: Server, files: list[str]) -> None:
    """PS-7: one file of an older set, its fork alone, or one that belongs to no set, is enough."""
    folder = mail.folder
    mail.shell(f"psctl quit; rm -rf older newer; cp -a '{folder}' older; psctl launch")
    mail.goes_on()
    mail.shell(f"psctl quit; cp -a '{folder}' newer")
    for file in files:
        damaged(mail, f"cp -a older/'{file}' '{folder}/{file}'", OLDER[file])
        mail.shell(f"cp -a newer/'{file}' '{folder}/{file}'")
    damaged(mail, f"cp -a older/'Queue 1' '{folder}/Queue 1 copy'", "'Queue 1 copy' does not belong to this set")
    assert mail.fleet.ask(mail.host, ["systemctl", "start", mail.unit]).status != 0  # the other way to start it
    mail.shell(f"rm -r '{folder}/Queue 1 copy' older newer")
    mail.prove(confirmed=True)


WRONG_COPIES = {
    "mkdir '{0}'; cp -a whole/* '{0}'; chown powershare: '{0}'": "server state",  # a glob leaves dot files out
    "cp -a whole '{0}'; find '{0}' -name '._*' -delete": "has lost its resource fork",
    "cp -a whole '{0}'; rm '{0}/._Queue 2'": "'Queue 2' has lost its resource fork",
    "cp -a whole '{0}'; : > '{0}/._Queue 3'": "its resource fork is cut off",
    "cp -a whole '{0}'; find '{0}' -type d -empty -delete": "folder 'Empty Tray' is missing",
    "cp -a whole '{0}'; rm '{0}/Archive/Year 1992/Batch 0'": "'Archive:Year 1992:Batch 0' is missing",
}


@pytest.mark.parametrize("wrong", [list(WRONG_COPIES)[:2], pytest.param(list(WRONG_COPIES)[2:], marks=pytest.mark.long)])
def test_items_6_and_11_lost_forks_and_hidden_files_are_damaged_data(mail: Server, wrong: list[str]) -> None:
    """PS-3: a copy without resource forks, without dot files, or without empty folders is no backup."""
    mail.shell(f"psctl quit; rm -rf whole; mv '{mail.folder}' whole")
    for script in wrong:
        damaged(mail, f"rm -rf '{mail.folder}'; {script.format(mail.folder)}", WRONG_COPIES[script])
    mail.shell(f"rm -rf '{mail.folder}'; mv whole '{mail.folder}'; psctl launch")
    assert mail.running()


def test_item_11_everything_is_listed_and_got(mail: Server) -> None:
    """PS-3: all files of the folder, hidden ones too, each with both forks, type and creator."""
    mail.ctl("quit")
    files = mail.prove()["files"]
    listed = mail.ctl("list", mail.folder).splitlines()
    assert len(listed) * 2 == files and {line.count("\t") for line in listed} == {5}
    assert f"{mail.folder}:Archive:Lettre à Zoë 1/2\tPSmq\tPSml\t700\t334" in [line.rpartition("\t")[0] for line in listed]
    got = mail.shell(f"psctl get '{mail.folder}' | tar --list --quoting-style=escape | grep -vc '/$'")
    assert int(got) == files


def test_item_7_data_that_is_not_at_the_root_of_the_volume_is_asked_for(mail: Server) -> None:
    """The server is there and waits, but it never runs; answered, it goes on."""
    mail.ctl("quit")
    mail.shell(f"mkdir Restored; mv '{mail.folder}' Restored/")
    refused = mail.ask("launch", "--timeout", "5")
    assert (refused.status, refused.stderr) == (1, f"{mail.process} asks which volume holds '{mail.folder}'\n")
    assert not mail.running()
    assert mail.fleet.ask(mail.host, ["systemctl", "is-active", mail.unit]).stdout != "active\n"
    mail.shell(f"mv 'Restored/{mail.folder}' .; rmdir Restored")
    wait_until(mail.running, "the server takes the volume", 20)
    assert mail.goes_on()


def test_item_10_quitting_what_does_not_run(mail: Server) -> None:
    """Status first: a second quit is an error."""
    assert mail.ctl("status") == "Finder, PowerShare Mail Server, File Sharing Extension\n"
    mail.ctl("quit")
    assert mail.ctl("status") == "Finder, File Sharing Extension\n"
    refused = mail.ask("quit")
    assert (refused.status, refused.stderr) == (1, "procNotFound (-600)\n")
    mail.ctl("launch")
    mail.ctl("launch")
    assert mail.running()


@pytest.mark.long
def test_a_server_that_is_slow_or_does_not_quit(mail: Server) -> None:
    """PS-1: until it is gone it keeps writing; a quit that was taken back does not come later."""
    mail.knob("quit-dialog", "on")
    refused = mail.ask("quit", "--timeout", "1")
    assert (refused.status, refused.stderr) == (1, f"errAETimeout (-1712): {mail.process} did not quit within 1 s\n")
    mail.knob("quit-dialog", "off")
    assert mail.goes_on() and mail.running()
    mail.knob("quit-delay", "2")
    assert mail.ask("quit", "--timeout", "0.5").status == 1
    assert mail.running() and mail.goes_on()
    wait_until(lambda: not mail.running(), "the server quits late", 10)
    mail.prove(confirmed=True)


@pytest.mark.long
def test_the_service_manager_and_psctl_speak_of_the_same_process(mail: Server) -> None:
    """A dialog holds `systemctl stop` up and nothing kills the server; PS-18 can be told from its record of running times."""
    mail.knob("quit-dialog", "on")
    assert mail.fleet.ask(mail.host, ["timeout", "2", "systemctl", "stop", mail.unit]).status == 124
    assert mail.running() and mail.goes_on()
    mail.knob("clear")
    wait_until(lambda: not mail.running(), "the server quits when the dialog is closed", 10)
    mail.knob("launch-fails", "on")
    assert mail.fleet.ask(mail.host, ["systemctl", "start", mail.unit]).status != 0
    refused = mail.ask("launch")
    assert (refused.status, refused.stderr) == (1, "memFullErr (-108): the application could not be opened\n")
    mail.knob("clear")
    mail.fleet.run(mail.host, "systemctl", "start", mail.unit)
    assert mail.running()
    times = [
        line.split()[1] for line in mail.fleet.shell(mail.host, "tail -n 2 /var/lib/powershare/uptime-mail.log").splitlines()
    ]
    assert times == ["down", "up"]


@pytest.mark.long
def test_changes_through_mmap_change_no_size(mail: Server) -> None:
    """What a copy by size alone would miss: index and tallies are written through memory maps."""
    script = (
        f"find '{mail.folder}' '(' -path '*Mailboxes*' -o -name 'Mail Index' ')' -type f -size +1 -printf '%p %s\\n' | sort"
    )
    hashes = f"cd '{mail.folder}'; cat 'Mail Index' Mailboxes/* | sha256sum"
    before, content = mail.shell(script), mail.shell(hashes)
    mail.goes_on()
    assert mail.shell(script) == before
    assert mail.shell(hashes) != content


@pytest.mark.long
@pytest.mark.parametrize("how", ["kill", "power"])
def test_a_crash_is_repaired_but_a_copy_of_an_open_folder_is_not(mail: Server, how: str) -> None:
    """PS-2: what a crash leaves is repaired on the spot and nothing confirmed is lost; the same files as a copy are damaged."""
    known = mail.goes_on()
    if how == "kill":
        mail.fleet.run(mail.host, "systemctl", "kill", "--signal=KILL", mail.unit)
        wait_until(lambda: not mail.running(), "the server is gone")
        damaged(mail, f"mv '{mail.folder}' open; cp -a open '{mail.folder}'", "is open")
        mail.shell(f"rm -rf '{mail.folder}'; mv open '{mail.folder}'")
        mail.ctl("launch")
    else:
        mail.fleet.command("reset", mail.host)
        wait_until(mail.running, "the server runs after a power cut")
    mail.goes_on()
    mail.ctl("quit")
    mail.prove(mail.data, known, confirmed=True)
