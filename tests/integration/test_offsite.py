# SPDX-License-Identifier: GPL-3.0-or-later
"""The offsite server and the access to it: clients only append, nobody else gets in, nothing is replaced by mistake."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lab_tools import repository
from lab_tools.fleet import CHECKOUT, OFFSITE, SPARE, Fleet
from lab_tools.playbooks import Playbooks, Run
from lab_tools.waiting import wait_until

pytestmark = pytest.mark.lab

HOST = "shop-db1"
NEWCOMER = "new files=1"  # a name that user, folder and URL have to spell
NEWCOMER_USER = "new@20files@3D1"
NEWCOMER_ACCESS = "/etc/backstay/repositories/new=20files=3D1"
UNIT = "backstay-offsite.service"
LEDGER = "/srv/backstay/ledger"

# Speaks HTTPS as a hostile client would: with the host's own credentials, but its own words.
CLIENT = """
import base64, http.client, json, ssl, sys
from urllib.parse import unquote, urlsplit
method, path, trust = sys.argv[1:4]
place = "/etc/backstay/repositories/shop-db1/"
url = urlsplit(open(place + "url").read().strip()[len("rest:"):])
context = ssl.create_default_context(cafile=place + "ca.pem" if trust == "own" else None)
link = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=20)
user = f"{unquote(url.username)}:{unquote(url.password)}".encode()
link.request(method, path, headers={"Authorization": "Basic " + base64.b64encode(user).decode()})
print(link.getresponse().status)
"""


def status_of(fleet: Fleet, method: str, path: str) -> int:
    """Return the HTTP status a client on the protected host gets."""
    return int(fleet.run(HOST, "python3", "-c", CLIENT, method, path, "own"))


def changes(run: Run) -> dict[str, int]:
    """Return the number of changed tasks by host, from the recap; hosts of other apps in the lab count when they change."""
    found = re.findall(r"^(\S.*?)\s+: ok=\d+\s+changed=(\d+)", run.output, re.MULTILINE)
    return {host: int(count) for host, count in found if host in (OFFSITE, HOST, NEWCOMER) or int(count)}


def access_of(fleet: Fleet, host: str = HOST) -> list[str]:
    """Return every file that gives ``host`` access, with content."""
    return fleet.shell(host, "cd /etc/backstay/repositories; find . -type f -exec sha256sum {} + | sort").splitlines()


def store(fleet: Fleet, name: str) -> str:
    """Store one small snapshot from the protected host and return its id."""
    stored = repository.restic(fleet, "backup", "--host", HOST, "--stdin-from-command", "--stdin-filename", name, "--", "date")
    return str(json.loads(stored.splitlines()[-1])["snapshot_id"])


def ledger_of(fleet: Fleet, user: str = HOST) -> list[dict[str, Any]]:
    """Return the entries of a user's ledger."""
    answer = fleet.ask(OFFSITE, ["cat", f"{LEDGER}/{user}.jsonl"])
    return [json.loads(line) for line in answer.stdout.splitlines()]


@pytest.fixture
def snapshot(fleet: Fleet) -> str:
    return store(fleet, "probe")


def test_a_second_run_changes_nothing(playbooks: Playbooks) -> None:
    assert changes(playbooks.run("offsite").demand()) == {OFFSITE: 0, HOST: 0}


@pytest.mark.parametrize("kind", ["snapshots", "keys", "index", "config"])
def test_a_client_cannot_delete(fleet: Fleet, snapshot: str, kind: str) -> None:
    folder = f"/srv/backstay/repositories/{HOST}/{kind}"
    name = "" if kind == "config" else fleet.shell(OFFSITE, f"ls {folder} | head -n 1").strip()
    before = fleet.listing(OFFSITE, folder)
    assert status_of(fleet, "DELETE", f"/{HOST}/{kind}/{name}".rstrip("/")) == 403
    assert fleet.listing(OFFSITE, folder) == before


def test_a_client_cannot_overwrite(fleet: Fleet, snapshot: str) -> None:
    path = f"/srv/backstay/repositories/{HOST}/snapshots/{snapshot}"
    before = fleet.run(OFFSITE, "sha256sum", path)
    assert status_of(fleet, "POST", f"/{HOST}/snapshots/{snapshot}") == 403
    assert fleet.run(OFFSITE, "sha256sum", path) == before


def test_forgetting_forgets_nothing(fleet: Fleet, snapshot: str) -> None:
    repository_files = f"{repository.ACCESS}/{HOST}"
    options = f"--repository-file {repository_files}/url --password-file {repository_files}/password"
    fleet.ask(HOST, ["sh", "-c", f"restic {options} --cacert {repository_files}/ca.pem forget --prune {snapshot}"])
    assert snapshot in [item["id"] for item in repository.snapshots(fleet)]


@pytest.mark.parametrize("path", ["/other/config", "/other/snapshots/", f"/{HOST}/../other/config", "/config", "/"])
def test_another_users_repository_is_closed(fleet: Fleet, path: str) -> None:
    assert status_of(fleet, "GET", path) in (301, 401, 404)  # 301: to the same path without dots, which is 401
    assert status_of(fleet, "GET", "/other/config") == 401
    assert status_of(fleet, "POST", "/other/?create=true") == 401


def test_a_client_without_the_authority_does_not_talk_to_the_server(fleet: Fleet) -> None:
    answer = fleet.ask(HOST, ["python3", "-c", CLIENT, "GET", f"/{HOST}/config", "system"])
    assert answer.status != 0
    assert "CERTIFICATE_VERIFY_FAILED" in answer.stderr


def test_the_server_runs_without_privileges(fleet: Fleet) -> None:
    pid = fleet.run(OFFSITE, "systemctl", "show", "--value", "--property=MainPID", UNIT).strip()
    status = fleet.run(OFFSITE, "cat", f"/proc/{pid}/status")
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    account = fleet.run(OFFSITE, "id", "--user", "backstay-offsite").strip()
    assert re.search(rf"^Uid:\s+{account}\s", status, re.MULTILINE)
    reading = ["runuser", "-u", "backstay-offsite", "--", "ls", LEDGER]
    assert fleet.ask(OFFSITE, reading).status != 0


def test_the_ledger_records_each_arrival_once(fleet: Fleet) -> None:
    clock = float(fleet.run(OFFSITE, "date", "+%s.%N"))
    arrived = store(fleet, "ledger")
    wait_until(lambda: arrived in [entry["snapshot"] for entry in ledger_of(fleet)], f"the ledger names {arrived}")
    fleet.run(OFFSITE, "systemctl", "start", "backstay-ledger.service")
    (entry,) = [entry for entry in ledger_of(fleet) if entry["snapshot"] == arrived]
    place = f"/srv/backstay/repositories/{HOST}/snapshots/{arrived}"
    size, modified = fleet.run(OFFSITE, "stat", "-c", "%s %.9Y", place).split()
    assert entry["size"] == int(size)
    assert entry["not_before"] <= float(modified) <= entry["not_after"]
    assert entry["not_after"] >= clock
    assert entry["not_after"] - entry["not_before"] < 60


def test_the_ledger_names_every_snapshot_and_only_real_ones(fleet: Fleet, snapshot: str) -> None:
    fleet.run(OFFSITE, "systemctl", "start", "backstay-ledger.service")
    there = fleet.run(OFFSITE, "ls", f"/srv/backstay/repositories/{HOST}/snapshots").split()
    assert sorted(entry["snapshot"] for entry in ledger_of(fleet)) == sorted(there)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"backstay_repository_password": "another one"}, "The repository password is wrong"),
        pytest.param(
            {"backstay_offsite_user_password": "another one"},
            "The offsite server does not know this host's user",
            marks=pytest.mark.long,
        ),
        pytest.param({"backstay_repository_ca_pem": ""}, "is not trusted", marks=pytest.mark.long),
        pytest.param(
            {"backstay_offsite_port": 8001},
            "No connection to the repository's server offsite1:8001",
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"backstay_offsite_url_host": "nowhere.invalid"},
            "The name nowhere.invalid of the repository's server does not resolve",
            marks=pytest.mark.long,
        ),
        ({"backstay_offsite_url_host": HOST}, f"an address of {HOST} itself. A backup must be on another machine"),
        pytest.param(
            {"backstay_offsite_url_host": "127.0.0.1"}, "leads to the loopback address 127.0.0.1", marks=pytest.mark.long
        ),
        pytest.param({"backstay_offsite": HOST}, f"The offsite server of {HOST} is {HOST} itself", marks=pytest.mark.long),
        ({"backstay_repository_url": "/srv/here"}, "The repository is a directory on the host itself"),
    ],
)
def test_a_wrong_access_is_refused_and_the_good_one_stays(
    fleet: Fleet, playbooks: Playbooks, variables: dict[str, Any], sentence: str
) -> None:
    before = access_of(fleet)
    run = playbooks.run("offsite", "--limit", HOST, **variables).refused(sentence)
    assert run.seconds < 90
    assert access_of(fleet) == before
    assert repository.snapshots(fleet) is not None


def test_a_vanished_repository_is_not_begun_anew_in_silence(fleet: Fleet, playbooks: Playbooks) -> None:
    place = f"/srv/backstay/repositories/{HOST}"
    fleet.run(OFFSITE, "mv", place, f"{place}.moved")
    try:
        playbooks.run("offsite", "--limit", HOST).refused("is gone", "set repository_replace to true")
        assert fleet.ask(OFFSITE, ["test", "-e", f"{place}/config"]).status == 1
    finally:
        fleet.run(OFFSITE, "rm", "-rf", place)
        fleet.run(OFFSITE, "mv", f"{place}.moved", place)
    assert changes(playbooks.run("offsite", "--limit", HOST).demand()) == {HOST: 0}


@pytest.mark.long
def test_a_stranger_control_node_replaces_nothing(fleet: Fleet, playbooks: Playbooks, tmp_path: Path) -> None:
    stranger = Playbooks(fleet, {"BACKSTAY_STATE_DIR": str(tmp_path / "state")})
    before = fleet.shell(OFFSITE, "sha256sum /etc/backstay-offsite/*")
    stranger.run("offsite").refused("There is no certificate authority on this control node")
    stranger.run("offsite", "--tags", "users").refused("There is no offsite-user-password of ")
    assert fleet.shell(OFFSITE, "sha256sum /etc/backstay-offsite/*") == before
    assert not (tmp_path / "state").exists()


@pytest.mark.long
def test_the_store_may_lie_where_systemd_needs_quotes(fleet: Fleet, playbooks: Playbooks) -> None:
    place = """/srv/Seite "Süd" d'Or 100%"""  # Ansible itself replaces variables after a dollar sign
    try:
        playbooks.run("offsite", "--limit", OFFSITE, offsite_path=place).demand()
        assert status_of(fleet, "POST", f"/{HOST}/?create=true") == 200
        fleet.run(OFFSITE, "test", "-d", f"{place}/repositories/{HOST}/data")
        fleet.run(OFFSITE, "systemctl", "start", "backstay-ledger.service")
    finally:
        playbooks.run("offsite", "--limit", OFFSITE).demand()
        fleet.run(OFFSITE, "rm", "-rf", place)
    assert status_of(fleet, "HEAD", f"/{HOST}/config") == 200


@pytest.mark.long
def test_no_secret_is_ever_said(fleet: Fleet, playbooks: Playbooks) -> None:
    run = playbooks.run("offsite", "-vvv", "--diff").demand()
    secrets = [path.read_text() for path in (fleet.state / "secrets").rglob("*") if path.is_file()]
    assert len(secrets) >= 2
    assert not any(secret in run.output for secret in secrets)
    assert "PRIVATE KEY" not in run.output


@dataclass(frozen=True)
class Newcomer:
    """A protected host that joins the fleet: the spare machine under another inventory name."""

    inventory: tuple[str, ...]
    secrets: Path


@pytest.fixture
def newcomer(fleet: Fleet, playbooks: Playbooks, tmp_path: Path) -> Iterator[Newcomer]:
    # lab_state: the lab's inventory derives it from the place of the inventory file, which is another one here
    variables = {"lab_port_offset": 90, "lab_state": str(CHECKOUT / ".lab" / fleet.name)}
    more = tmp_path / "more.json"
    more.write_text(json.dumps({"app_files": {"hosts": {NEWCOMER: variables}}}))
    secrets = fleet.state / "secrets" / "new=20files=3D1"
    yield Newcomer(("-i", str(CHECKOUT / "inventories/lab"), "-i", str(more)), secrets)
    fleet.run(SPARE, "rm", "-rf", NEWCOMER_ACCESS, "/usr/local/lib/backstay/restic", "/usr/local/lib/backstay/restic.sha256")
    fleet.run(OFFSITE, "rm", "-rf", f"/srv/backstay/repositories/{NEWCOMER_USER}", f"{LEDGER}/{NEWCOMER_USER}.jsonl")
    shutil.rmtree(secrets, ignore_errors=True)
    playbooks.run("offsite", "--limit", OFFSITE, "--tags", "users", offsite_remove_unknown_users=True).demand()


def everything(fleet: Fleet) -> list[str]:
    """Return what offsite.yml may change: on the server, on the newcomer's machine and on the control node."""
    server = fleet.listing(OFFSITE, "/etc/backstay-offsite", "/etc/systemd/system", "/srv/backstay/repositories", "/usr/local")
    control = sorted(f"{path} {path.stat().st_mtime_ns}" for path in fleet.state.rglob("*"))
    return [*server, *fleet.listing(SPARE, "/etc/backstay", "/usr/local", "/var/lib/backstay"), *control]


@pytest.mark.long
def test_check_mode_shows_a_newcomer_and_changes_nothing(fleet: Fleet, playbooks: Playbooks, newcomer: Newcomer) -> None:
    before = everything(fleet)
    run = playbooks.run("offsite", *newcomer.inventory, "--check", "--diff", offsite_max_size="10G").demand()
    assert changes(run)[OFFSITE] >= 2
    assert changes(run)[NEWCOMER] == 1
    assert "--max-size 10737418240" in run.output
    assert everything(fleet) == before


@pytest.mark.long
def test_a_newcomer_is_let_in_without_a_restart(fleet: Fleet, playbooks: Playbooks, newcomer: Newcomer) -> None:
    show = ["systemctl", "show", "--value", "--property=MainPID", UNIT]
    pid = fleet.run(OFFSITE, *show)
    run = playbooks.run("offsite", *newcomer.inventory, "--limit", f"{OFFSITE},{NEWCOMER}").demand()
    assert changes(run)[NEWCOMER] == 1
    assert fleet.run(OFFSITE, *show) == pid
    assert changes(playbooks.run("offsite", *newcomer.inventory).demand()) == {OFFSITE: 0, HOST: 0, NEWCOMER: 0}
    assert fleet.ask(OFFSITE, ["test", "-s", f"/srv/backstay/repositories/{NEWCOMER_USER}/config"]).status == 0
    modes = fleet.shell(SPARE, f"stat -c '%a %U %n' {NEWCOMER_ACCESS} {NEWCOMER_ACCESS}/*").split()
    assert modes[::3] == ["700", "600", "600", "600", "600"]
    assert set(modes[1::3]) == {"root"}


def test_a_newcomer_without_the_server_gets_a_clear_sentence(fleet: Fleet, playbooks: Playbooks, newcomer: Newcomer) -> None:
    run = playbooks.run("offsite", *newcomer.inventory, "--limit", f"{NEWCOMER},")
    run.refused("The offsite server does not know this host's user", "with the offsite server inside --limit")
    assert fleet.ask(SPARE, ["test", "-e", NEWCOMER_ACCESS]).status == 1


@pytest.mark.long
def test_a_host_that_leaves_keeps_its_data(fleet: Fleet, playbooks: Playbooks, newcomer: Newcomer) -> None:
    playbooks.run("offsite", *newcomer.inventory, "--limit", f"{OFFSITE},{NEWCOMER}").demand()
    data = fleet.listing(OFFSITE, f"/srv/backstay/repositories/{NEWCOMER_USER}")
    assert changes(playbooks.run("offsite").demand()) == {OFFSITE: 0, HOST: 0}
    users = "cut -d: -f1 /etc/backstay-offsite/htpasswd"
    assert fleet.shell(OFFSITE, users).split() == [NEWCOMER_USER, HOST]
    playbooks.run("offsite", offsite_remove_unknown_users=True).demand()
    assert fleet.shell(OFFSITE, users).split() == [HOST]
    assert fleet.listing(OFFSITE, f"/srv/backstay/repositories/{NEWCOMER_USER}") == data


@pytest.mark.long
def test_restic_comes_from_a_pinned_release(fleet: Fleet, playbooks: Playbooks, newcomer: Newcomer) -> None:
    pack = "import bz2; open('/tmp/restic.bz2', 'wb').write(bz2.compress(open('/usr/bin/restic', 'rb').read()))"
    fleet.run(SPARE, "python3", "-c", pack)
    checksum = fleet.run(SPARE, "sha256sum", "/tmp/restic.bz2").split()[0]
    release = {"repository_restic_source": "release", "repository_restic_url": "file:///tmp/restic.bz2"}
    limited = (*newcomer.inventory, "--limit", f"{OFFSITE},{NEWCOMER}")
    wrong = playbooks.run("offsite", *limited, **release, repository_restic_checksum="0" * 64)
    wrong.refused(f"has the SHA-256 {checksum}")
    assert fleet.ask(SPARE, ["test", "-e", "/usr/local/lib/backstay/restic"]).status == 1
    assert changes(playbooks.run("offsite", *limited, **release, repository_restic_checksum=checksum).demand())[NEWCOMER] == 2
    assert fleet.run(SPARE, "/usr/local/lib/backstay/restic", "version").startswith("restic 0.")
    assert changes(playbooks.run("offsite", *limited, **release, repository_restic_checksum=checksum).demand())[NEWCOMER] == 0
    fleet.run(SPARE, "rm", "/tmp/restic.bz2")
