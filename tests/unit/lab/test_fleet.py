# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as data, and the inventory that has to agree with it."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from lab_tools.fleet import BASE, CONFORMANCE, OFFSITE
from rehearsal import containers, fleet, image, volumes
from rehearsal.fleet import CHECKOUT, LAB_SOURCES, Volume
from rehearsal.shell import LabError

HOSTS = fleet.parse_hosts((LAB_SOURCES / "hosts.json").read_text())
INVENTORY = CHECKOUT / "inventories/lab"


def test_the_inventory_has_the_hosts_that_the_lab_was_made_with(tmp_path, monkeypatch):
    shutil.copytree(LAB_SOURCES, tmp_path / "lab", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(INVENTORY, tmp_path / "inventories/lab", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("BACKSTAY_LAB", "some")

    def listed():
        return json.loads(subprocess.check_output([tmp_path / "inventories/lab/hosts.py", "--list"]))

    whole = listed()
    assert whole["_meta"]["hostvars"] == {host.name: {"lab_port_offset": host.port_offset} for host in HOSTS}
    for host in HOSTS:
        assert {group for group in whole if host.name in whole[group].get("hosts", [])} == set(host.groups)
    (tmp_path / ".lab/some").mkdir(parents=True)
    (tmp_path / ".lab/some/only.json").write_text('["offsite", "spare1"]')
    assert list(listed()["_meta"]["hostvars"]) == ["offsite1", "spare1"]


def test_inventory_defaults_are_those_of_the_fleet():
    variables = yaml.safe_load((INVENTORY / "group_vars/all.yml").read_text())
    assert f"default('{fleet.DEFAULT_NAME}', true)" in variables["lab_name"]
    assert f"default('{fleet.DEFAULT_PORT}', true)" in variables["lab_port"]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_every_host_names_an_image_and_profiles_that_exist(host):
    assert image.image_directory(host.image).is_dir()
    for profile in host.profiles:
        assert (LAB_SOURCES / "profiles" / f"{profile}.sh").is_file()


def entry(offset, **more):
    return {"groups": ["g"], "port_offset": offset, "image": "server", "profiles": [], **more}


def test_a_port_offset_used_twice_is_refused():
    with pytest.raises(LabError, match="same port_offset"):
        fleet.parse_hosts(fleet.json.dumps({"a": entry(1), "b": entry(1)}))


def test_an_unknown_file_system_is_refused():
    with pytest.raises(LabError, match="unknown file system zfs"):
        fleet.parse_hosts(fleet.json.dumps({"a": entry(1, volumes=[{"path": "/x", "filesystem": "zfs"}])}))


def test_volume_options_replace_the_size_of_a_directory():
    hosts = fleet.with_volumes(HOSTS, ["offsite1:/srv/backstay=64", "offsite1:/srv/backstay=500:xfs"])
    offsite = next(host for host in hosts if host.name == "offsite1")
    assert offsite.volumes == (Volume("/srv/backstay", 500, "xfs"),)
    assert len(hosts) == len(HOSTS)


@pytest.mark.parametrize("text", ["offsite1=5", "offsite1:srv=5", "offsite1:/srv=five", "offsite1:/srv=5:zfs", ""])
def test_bad_volume_options_are_refused(text):
    with pytest.raises(LabError, match="is not HOST:PATH=MIB"):
        fleet.with_volumes(HOSTS, [text])
    with pytest.raises(LabError, match="names no host"):
        fleet.with_volumes(HOSTS, ["nobody:/srv=5"])


def test_remembered_volume_options_let_the_newest_win(tmp_path):
    lab = fleet.Lab("x", 42200, HOSTS, tmp_path)
    fleet.remember_volumes(lab, ["offsite1:/srv/backstay=64"])
    fleet.remember_volumes(lab, ["offsite1:/srv/backstay=96", "spare1:/var/lib/mysql=900"])
    remembered = fleet.json.loads((tmp_path / "volumes.json").read_text())
    assert remembered == ["offsite1:/srv/backstay=96", "spare1:/var/lib/mysql=900"]


@pytest.mark.parametrize(
    "environment",
    [{"BACKSTAY_LAB": "Upper"}, {"BACKSTAY_LAB": "a/b"}, {"BACKSTAY_LAB_PORT": "x"}, {"BACKSTAY_LAB_PORT": "80"}],
)
def test_unusable_names_and_ports_are_refused(environment):
    with pytest.raises(LabError):
        fleet.load(environment)


def test_labs_do_not_share_names_ports_or_state():
    one = fleet.load({})
    two = fleet.load({"BACKSTAY_LAB": "other", "BACKSTAY_LAB_PORT": "43200"})
    assert (one.name, one.port) == ("backstay", 42200)
    assert one.state != two.state
    for host in one.hosts:
        assert one.container(host) != two.container(host)
        assert one.ssh_port(host) != two.ssh_port(host)


def test_the_command_that_makes_a_host_changes_its_label_with_its_definition(tmp_path):
    lab = fleet.Lab("x", 42200, HOSTS, tmp_path)

    def label(host, name="image:1"):
        return [word for word in containers.create_command(lab, host, name, []) if word.startswith("backstay.spec=")]

    bigger = fleet.with_volumes(HOSTS, ["offsite1:/srv/backstay=64"])[0]
    assert label(HOSTS[0]) == label(HOSTS[0])
    assert len({*label(HOSTS[0]), *label(bigger), *label(HOSTS[0], "image:2")}) == 3


def test_hosts_that_share_a_volume_see_the_same_one_and_no_other_lab_does(tmp_path):
    def mounts(name):
        lab = fleet.Lab(name, 42200, HOSTS, tmp_path)
        return {host.name: volumes.mount_options(lab, host) for host in HOSTS if any(v.shared for v in host.volumes)}

    one, two = mounts("one"), mounts("two")
    assert one == {name: ["--volume", "one-pieces:/srv/pieces"] for name in ("oracle1", "spare1")}
    assert one != two


def test_image_hash_follows_content_names_and_executable_bits(tmp_path):
    (tmp_path / "Containerfile").write_text("FROM x\n")
    first = image.definition_hash(tmp_path)
    (tmp_path / "Containerfile").chmod(0o755)
    second = image.definition_hash(tmp_path)
    (tmp_path / "packages.txt").write_text("systemd\n")
    third = image.definition_hash(tmp_path)
    (tmp_path / "packages.txt").rename(tmp_path / "other.txt")
    assert len({first, second, third, image.definition_hash(tmp_path)}) == 4


def test_hosts_of_another_checkout_are_left_alone(tmp_path, monkeypatch):
    lab = fleet.Lab("x", 42200, HOSTS, tmp_path / "x")
    listed = [{"Names": ["x-a"], "State": "running", "Labels": {containers.STATE_LABEL: "/elsewhere/.lab/x"}}]
    monkeypatch.setattr(containers, "must", lambda argv: fleet.json.dumps(listed))
    with pytest.raises(LabError, match="belongs to another checkout"):
        containers.require_own(lab)
    listed[0]["Labels"] = {containers.STATE_LABEL: str(lab.state)}
    containers.require_own(lab)


def test_a_lab_can_have_some_of_the_hosts():
    assert fleet.only(HOSTS, []) == HOSTS
    assert [host.name for host in fleet.only(HOSTS, ["offsite", "mail1"])] == ["offsite1", "mail1"]
    with pytest.raises(LabError, match="no host and no group nobody"):
        fleet.only(HOSTS, ["nobody"])


def test_what_the_targets_of_make_begin_with_are_hosts_or_groups():
    rules = "".join(path.read_text() for path in [*(CHECKOUT / "mk").glob("*.mk"), CHECKOUT / "tests/lab_tools/with-lab.sh"])
    chosen = re.findall(r"LAB_ONLY(?:=|:-)([a-z0-9,_-]+)", rules)
    assert set(chosen) == {",".join(CONFORMANCE), OFFSITE, ",".join(BASE)}
    for words in chosen:
        assert fleet.only(HOSTS, words.split(","))


def test_a_choice_of_hosts_grows_and_a_whole_lab_stays_whole(tmp_path):
    lab = fleet.Lab("x", 42200, HOSTS, tmp_path)
    fleet.remember_only(lab, ["mail1"])
    fleet.remember_only(lab, ["offsite"])
    assert fleet.json.loads((tmp_path / "only.json").read_text()) == ["mail1", "offsite"]
    whole = fleet.Lab("y", 42200, HOSTS, tmp_path / "y")
    whole.state.mkdir()
    whole.key.touch()
    fleet.remember_only(whole, ["mail1"])
    assert not (whole.state / "only.json").exists()
