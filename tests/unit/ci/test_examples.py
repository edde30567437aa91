# SPDX-License-Identifier: GPL-3.0-or-later
"""The CI examples of docs/operating/ci: parsed, and their commands executed with a stand-in for ansible-playbook."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CI = ROOT / "docs" / "operating" / "ci"
ANSIBLE = str(Path(sys.executable).parent / "ansible-playbook")
SECRETS = {
    "SSH_KEY": "-----BEGIN KEY-----\nsecret-key\n-----END KEY-----",
    "KNOWN_HOSTS": "db1 ssh-ed25519 AAAA",
    "VAULT_PASSWORD": "secret-vault",
}
# Looks at what it was given, as long as it exists, and writes what the callback would.
STAND_IN = """#!{python}
import json, os, sys
argv = sys.argv[1:]
files = {{argv[n]: [open(argv[n + 1]).read(), os.stat(argv[n + 1]).st_mode & 0o777]
          for n in range(len(argv)) if argv[n] in ("--private-key", "--vault-password-file")}}
known = os.environ["ANSIBLE_SSH_EXTRA_ARGS"].split("UserKnownHostsFile=")[1]
files["known_hosts"] = [open(known).read(), os.stat(known).st_mode & 0o777]
os.makedirs("results", exist_ok=True)
seen = {{"argv": argv, "files": files, "environment": dict(os.environ), "stdin": sys.stdin.read()}}
json.dump(seen, open("seen.json", "w"))
for name in ("BACKSTAY_JUNIT", "BACKSTAY_RESULTS"):
    open(os.environ[name], "w").close()
sys.exit({status})
"""


class Runner:
    """A checkout on a CI runner, with what the install step makes."""

    def __init__(self, folder: Path, status: int = 0) -> None:
        self.folder = folder / "checkout"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        shutil.copytree(CI, self.folder / "docs/operating/ci")
        program = self.folder / ".venv/bin/ansible-playbook"
        program.parent.mkdir(parents=True)
        program.write_text(STAND_IN.format(python=sys.executable, status=status))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def secret_files(self) -> dict[str, str]:
        """Return the environment in which GitLab and Jenkins name the secrets' files, which others may read."""
        environment = {}
        for name, value in SECRETS.items():
            path = self.folder.parent / name
            path.write_text(value)
            path.chmod(0o755)
            environment[f"BACKSTAY_{name}_FILE"] = str(path)
        return environment

    def run(self, script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run ``script`` as CI servers do: bash, ended by the first failure."""
        plain = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.temporary), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**plain, **environment},
            capture_output=True,
            text=True,
            check=False,
            input="an answer that nobody may read\n",
            timeout=30,
        )

    def seen(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "seen.json").read_text()))


def github() -> dict[str, Any]:
    return dict(yaml.safe_load((CI / "github-actions.yml").read_text()))


def gitlab() -> dict[str, Any]:
    return dict(yaml.safe_load((CI / "gitlab-ci.yml").read_text())["backup"])


def jenkinsfile() -> str:
    """Return the Jenkinsfile without its comments."""
    return re.sub(r"^\s*//.*$", "", (CI / "Jenkinsfile").read_text(), flags=re.MULTILINE)


def jenkins_block(name: str) -> str:
    """Return what stands between the braces after ``name``."""
    text = jenkinsfile()
    begin = text.index("{", text.index(name)) + 1
    depth, position = 1, begin
    while depth:
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        position += 1
    return text[begin : position - 1]


def github_backup() -> tuple[str, dict[str, str]]:
    step = next(step for step in github()["jobs"]["backup"]["steps"] if step.get("name") == "Back up")
    given = {name: value for name, value in step["env"].items() if not value.startswith("${{")}
    return step["run"], {**given, "BACKSTAY_LIMIT": "db1", "BACKSTAY_KIND": "log", **SECRETS}


def gitlab_backup(runner: Runner) -> tuple[str, dict[str, str]]:
    job = gitlab()
    path = next(line for line in job["before_script"] if line.startswith("export PATH"))
    chosen = {**job["variables"], "BACKSTAY_LIMIT": "db1", "BACKSTAY_KIND": "log"}
    return "\n".join([path, *job["script"]]), {**chosen, **runner.secret_files()}


def jenkins_backup(runner: Runner) -> tuple[str, dict[str, str]]:
    stage = jenkins_block("stage('Back up')")
    (command,) = re.findall(r"sh '([^']+)'", stage)
    (inventory,) = re.findall(r"BACKSTAY_INVENTORY = '([^']+)'", stage)
    chosen = {"BACKSTAY_INVENTORY": inventory, "BACKSTAY_LIMIT": "db1", "BACKSTAY_KIND": "log"}
    return command, {**chosen, **runner.secret_files()}


def backup_of(server: str, runner: Runner) -> tuple[str, dict[str, str]]:
    return github_backup() if server == "github" else gitlab_backup(runner) if server == "gitlab" else jenkins_backup(runner)


@pytest.mark.parametrize("server", ["github", "gitlab", "jenkins"])
def test_each_server_starts_the_backup_with_secrets_in_files_that_are_gone_afterwards(tmp_path: Path, server: str) -> None:
    runner = Runner(tmp_path)
    script, environment = backup_of(server, runner)
    done = runner.run(script, environment)
    assert done.returncode == 0, done.stderr
    seen = runner.seen()
    assert seen["argv"][:5] == ["playbooks/backup.yml", "--inventory", "inventories/production", "--limit", "db1"]
    assert seen["argv"][-2:] == ["--extra-vars", "backstay_kind=log"]
    assert seen["stdin"] == ""
    files = {name: (text.rstrip("\n"), mode) for name, (text, mode) in seen["files"].items()}
    assert files == {
        "--private-key": (SECRETS["SSH_KEY"], 0o600),
        "--vault-password-file": (SECRETS["VAULT_PASSWORD"], 0o600),
        "known_hosts": (SECRETS["KNOWN_HOSTS"], 0o600),
    }
    for secret in ("secret-key", "secret-vault"):
        assert secret not in json.dumps([seen["argv"], seen["environment"]])
        assert secret not in done.stdout + done.stderr
    assert list(runner.temporary.iterdir()) == []
    assert sorted(path.name for path in (runner.folder / "results").iterdir()) == ["junit.xml", "results.json"]


@pytest.mark.parametrize("server", ["github", "gitlab", "jenkins"])
def test_a_failed_backup_fails_the_pipeline_and_leaves_its_results(tmp_path: Path, server: str) -> None:
    runner = Runner(tmp_path, status=4)
    assert runner.run(*backup_of(server, runner)).returncode == 4
    assert (runner.folder / "results/junit.xml").exists()
    assert list(runner.temporary.iterdir()) == []


def test_a_vault_is_optional_and_a_key_is_not(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    script, environment = github_backup()
    assert runner.run(script, {**environment, "VAULT_PASSWORD": ""}).returncode == 0
    assert "--vault-password-file" not in runner.seen()["argv"]
    done = runner.run(script, {**environment, "SSH_KEY": ""})
    assert done.returncode != 0
    assert "name the file of the SSH key" in done.stderr


def test_what_the_script_runs_is_a_playbook_of_ours(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    assert runner.run(*github_backup()).returncode == 0
    argv = runner.seen()["argv"]
    argv[argv.index("--inventory") + 1] = "inventories/example"
    argv[argv.index("--limit") + 1] = "shop-db1"
    for option in ("--private-key", "--vault-password-file"):
        del argv[argv.index(option) : argv.index(option) + 2]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [ANSIBLE, *argv, "--syntax-check"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=40
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Publishing


def test_github_publishes_also_after_a_failure() -> None:
    workflow = github()
    triggers = workflow["on"]  # quoted in the file: bare, YAML 1.1 reads it as true
    assert {"schedule", "workflow_dispatch"} == set(triggers)
    steps = workflow["jobs"]["backup"]["steps"]
    names = [step.get("name") or step["uses"] for step in steps]
    assert names == ["actions/checkout@v4", "Install", "Back up", "Keep the results", "Publish the test report"]
    for step in steps[3:]:
        assert step["if"] == "always()"
    assert steps[4]["with"]["report_paths"] == "results/junit.xml"
    assert workflow["permissions"] == {"contents": "read"}
    wanted = {value.split("secrets.")[1].split()[0] for value in steps[2]["env"].values() if "secrets." in value}
    assert wanted == {f"BACKSTAY_{name}" for name in SECRETS}


def test_gitlab_publishes_also_after_a_failure() -> None:
    job = gitlab()
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"] == {"junit": "results/junit.xml"}
    assert job["artifacts"]["paths"] == ["results/"]
    assert job["resource_group"] and job["interruptible"] is False


def test_the_jenkinsfile_is_a_declarative_pipeline_that_publishes_also_after_a_failure() -> None:
    text = jenkinsfile()
    bare = re.sub(r"'''.*?'''|'[^'\n]*'|\"[^\"\n]*\"", "''", text, flags=re.DOTALL)
    for opening, closing in ("{}", "()", "[]"):
        assert bare.count(opening) == bare.count(closing)
    assert "'" not in bare.replace("''", "") and '"' not in bare
    assert re.sub(r"\s", "", bare).startswith("pipeline{") and bare.rstrip().endswith("}")
    sections = re.findall(r"^ {4}(\w+) \{", bare, re.MULTILINE)
    assert sections == ["agent", "options", "triggers", "parameters", "stages", "post"]
    assert re.findall(r"stage\('([^']+)'\)", text) == ["Install", "Back up"]
    for stage in ("Install", "Back up"):
        assert "steps {" in jenkins_block(f"stage('{stage}')")
    published = jenkins_block("always")
    assert "junit testResults: 'results/junit.xml'" in published
    assert "archiveArtifacts artifacts: 'results/**'" in published
    assert "always" in jenkins_block("post")


@pytest.mark.parametrize("server", ["github", "gitlab", "jenkins"])
def test_each_server_installs_the_same(server: str) -> None:
    if server == "github":
        script = github()["jobs"]["backup"]["steps"][1]["run"]
    elif server == "gitlab":
        script = "\n".join(gitlab()["before_script"])
    else:
        script = jenkins_block("stage('Install')")
    assert "python3 -m venv .venv" in script
    assert ".venv/bin/pip install --quiet ." in script
