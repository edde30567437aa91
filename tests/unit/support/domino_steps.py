# SPDX-License-Identifier: GPL-3.0-or-later
"""A Domino stand-in in a sandbox: options of preflight, and the steps as app_domino declares them."""

from __future__ import annotations

import getpass
import shutil
from pathlib import Path
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils.apps import domino
from ansible_collections.backstay.fleet.plugins.module_utils.executors import LocalExecutor
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan
from lab_tools.domino_standin import Server
from unit.support.sandbox import Sandbox
from unit.support.steps import Step

HOST = "shop-db1"
PATTERN = ["*.lck", "pid.nbf", "*.ft", "*.DAD", "IBM_TECHNICAL_SUPPORT"]


def call(name: str, **arguments: Any) -> Step:
    return {"name": f"Call {name}", "app": {"call": name, "arguments": arguments}}


def take(artifact: str) -> Step:
    capture = {"artifact": artifact, "argv_from": "archive_argv", "proof": {"exit": 0}}
    return {"name": f"Take {artifact}", "capture": capture}


def made(tmp_path: Path, *options: str) -> Server:
    """Return a stand-in server of its own, up."""
    root = tmp_path / "host"
    root.mkdir()
    server = Server(root)
    server.create(*options)
    return server


def good(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a job that has to succeed."""
    assert result["status"] == "ok", result
    return result


def lose_everything(server: Server) -> None:
    """Stop a server and delete everything that is its own."""
    server.stop()
    for name in ("notesdata", "translog", "daos", "archive", "linked", "backup"):
        shutil.rmtree(server.root / "local" / name, ignore_errors=True)


def folders(server: Server) -> list[tuple[str, int, int]]:
    """Return name, owner and mode of the folders of a server."""
    found = ((path, path.stat()) for path in sorted((server.root / "local").glob("[a-z]*")))
    return [(path.name, status.st_uid, status.st_mode) for path, status in found]


class Domino:
    """Jobs of app_domino for one stand-in server in one sandbox."""

    def __init__(self, sandbox: Sandbox, root: Path, ini: Path) -> None:
        self.sandbox, self.root, self.runs = sandbox, root, 0
        programs = root / "opt/hcl/domino/bin"
        words = {name: str(programs / name) for name in ("domino", "server", "lab-documents", "lab-check")}
        self.control = {
            "start": [words["domino"], "start"],
            "stop": [words["domino"], "stop"],
            # Of a server whose files are lost, too.
            "status": ["sh", "-c", '"$1" status | grep -q "is running" || exit 3', "sh", words["domino"]],
        }
        self.options: dict[str, Any] = {
            "host": HOST,
            "server": {
                "account": getpass.getuser(),
                "program": words["server"],
                "data": str(root / "local/notesdata"),
                "ini": str(ini),
                "console_command": [words["server"], f"={ini}", "-c", "{command}"],
                "console": str(root / "local/notesdata/notes.log"),
                "status": [words["domino"], "status"],
                "documents": [words["lab-documents"], "dominobackup.nsf", "--form", "{form}"],
                "fields": {},
                "patterns": {},
                "timeout": 20,
            },
            "service": "domino",
            "control": self.control,
            "method": "auto",
            "exclude": [],
            "leave_out": PATTERN,
            "id_files": [],
            "full_when_broken": True,
            "log_warning": 75,
            "roll_forward": [str(programs / "lab-media-recovery"), "={ini}", "{database}={file}", "--until", "{until}"],
            "database": "",
            "database_target": "",
            "restore_request": [
                str(programs / "lab-restore-request"),
                *("{database}", "--target={target}", "--source={file}", "--logs={logs}", "--until={until}", "--no-replication"),
            ],
            "verify": [],
            "restore_to": "",
        }

    def look(self, action: str = "backup", **options: Any) -> dict[str, Any]:
        """Return what preflight says; ``executor`` and the newest sets come from the worker."""
        from ansible_collections.backstay.fleet.plugins.module_utils.worker import newest

        more: dict[str, Any] = {"executor": LocalExecutor()}
        if action == "backup":
            kept = newest.kept(HOST, "domino", str(self.sandbox.access / "url"))
            more.update(kind="full", newest=newest.with_drafts(kept or {}, HOST, "domino"))
        return domino.preflight({**self.options, **more, **options}, action)

    def facts(self, action: str = "backup", **options: Any) -> dict[str, Any]:
        """Return the facts of a preflight that has to pass."""
        seen = self.look(action, **options)
        failed = [item for item in seen["checks"] if item["status"] == "failed"]
        assert not failed, failed
        return seen["facts"]

    def _job(self, facts: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.runs += 1
        stamp = f"20261121T{10 + self.runs:02d}0000Z"
        resource = f"domino:{facts['data']}"
        named = {"app": "domino", "run": f"{stamp}-domino-{self.runs}", "resource": resource, "facts": facts}
        return dict(named, set=f"{stamp}-aaaaaa{self.runs:02d}", **more)

    # Backup

    def backup(self, kind: str = "full", **options: Any) -> dict[str, Any]:
        """Run a backup and return its result."""
        facts = self.facts(kind=kind, **options)
        changes = self._job(facts, kind=facts["kind"], transport="stage")
        return self.sandbox.run(self.sandbox.backup(self.steps(facts), **changes))

    def steps(self, facts: dict[str, Any]) -> list[Step]:
        """Return the steps of a backup."""
        logs = [call("back_up_logs")]
        taking = [call("arrange_logs"), take("logs")]
        configuration = [call("gather_configuration"), take("ini"), take("ids")]
        if facts["kind"] == "log":
            return [call("begin"), *logs, call("back_up_changed", exclude=self.options["exclude"]), *taking]
        if facts["method"] == "native":
            files = [take(item["artifact"]) for item in facts["folders"]]
            first = [call("begin"), call("back_up_databases", exclude=self.options["exclude"]), take("databases")]
            return [*first, *files, *configuration, *(logs + taking if facts["style"] == "archive" else [])]
        return [call("begin"), *self._offline(facts), *configuration]

    def _offline(self, facts: dict[str, Any]) -> list[Step]:
        pictures = [{"folder": item["folder"], "exclude": item["exclude"]} for item in facts["folders"]]
        down = {"account": facts["account"], "data": facts["data"]}
        return [
            *({"name": "ahead", "copy_ahead": item} for item in pictures),
            self.service("stopped"),
            call("confirm_down", **down),
            *({"name": "picture", "picture": item} for item in pictures),
            call("confirm_quit", **down),
            self.service("resumed"),
            *(
                {"name": "archive", "archive": {"artifact": item["artifact"], "folder": item["folder"]}}
                for item in facts["folders"]
            ),
        ]

    def service(self, state: str, **more: Any) -> Step:
        return {
            "name": f"domino {state}",
            "service": {"name": "domino", "control": self.control, "state": state, "timeout": 60, **more},
        }

    # Restore

    def plan(self, **goal: Any) -> dict[str, Any]:
        return plan({"host": HOST, "app": "domino", "directory": str(self.sandbox.access), **goal})

    def landing(self, facts: dict[str, Any], above: str) -> list[Step]:
        steps: list[Step] = []
        for item in [*facts["folders"], *facts["beside"]]:
            into = f"{above}/{item['artifact']}".replace("{yard}", item["yard"])
            steps.append({"name": "land", "land": {"artifact": item["artifact"], "kinds": ["full"], "into": into}})
            steps.append({"name": "prove", "prove": {"artifact": item["artifact"], "directory": into}})
        if facts["log_kinds"]:
            into = f"{above}/logs/{{set}}".replace("{yard}", facts["yard"])
            steps.append({"name": "land logs", "land": {"artifact": "logs", "kinds": facts["log_kinds"], "into": into}})
        return steps

    def recover(self, action: str, steps_of: Any, **goal: Any) -> dict[str, Any]:
        """Run a restore or verification whose last steps ``steps_of(facts, plan)`` returns with ``above``."""
        options = goal.pop("options", {})
        chosen = self.plan(**goal)
        facts = self.facts(action, plan=chosen, **options)
        above, steps = steps_of(facts, chosen)
        steps = [*self.landing(facts, above), *steps]
        specification = self.sandbox.recovery(chosen["hash"], steps, **self._job(facts))
        specification.pop("set", None)
        return self.sandbox.run(dict(specification, action=action))

    def restore(self, **goal: Any) -> dict[str, Any]:
        """Restore the whole server in place."""

        def steps(facts: dict[str, Any], chosen: dict[str, Any]) -> tuple[str, list[Step]]:
            above = "{yard}/landing-" + chosen["hash"][:12]
            swaps = [
                {
                    "target": item["folder"],
                    "landing": f"{above}/{item['artifact']}".replace("{yard}", item["yard"]),
                    "with_root": True,
                    "keep_aside": True,
                }
                for item in facts["exchanged"]
            ]
            return above, [
                call("assemble", above=above, roll_forward=self.options["roll_forward"], timeout=60),
                self.service("stopped", may_be_killed=True),
                call("confirm_down", account=facts["server"]["account"], data=facts["data"], clean=False),
                call("exchange_files", keep_aside=True),
                *({"name": "swap", "swap": item} for item in swaps),
                call("mark_console"),
                self.service("started"),
                call("check_restored", seconds=goal.get("options", {}).get("wait", 20), settle=0, check=[]),
                *(
                    {"name": "discard", "discard": {"path": above.replace("{yard}", item["yard"])}}
                    for item in facts["landings"]
                ),
            ]

        return self.recover("restore", steps, **goal)

    def restore_database(self, database: str, target: str, **goal: Any) -> dict[str, Any]:
        """Bring one database into the running server."""
        options = {"database": database, "database_target": target}

        def steps(facts: dict[str, Any], chosen: dict[str, Any]) -> tuple[str, list[Step]]:
            above = f"{self.sandbox.root}/work/{HOST}+domino/landing-{chosen['hash'][:12]}"
            request = self.options["restore_request"]
            return above, [
                call("restore_database", above=above, database=database, target=target, request=request),
                {"name": "discard", "discard": {"path": above}},
            ]

        return self.recover("restore", steps, options=options, **goal)

    def restore_beside(self, place: Path, **goal: Any) -> dict[str, Any]:
        """Bring the content of a set to a directory."""

        def steps(_facts: dict[str, Any], _chosen: dict[str, Any]) -> tuple[str, list[Step]]:
            return str(place), [call("assemble", above=str(place), roll_forward=self.options["roll_forward"], timeout=60)]

        return self.recover("restore", steps, options={"restore_to": str(place)}, **goal)

    def verify(self, **goal: Any) -> dict[str, Any]:
        """Prove sets on throw-away duplicates."""

        def steps(_facts: dict[str, Any], chosen: dict[str, Any]) -> tuple[str, list[Step]]:
            above = f"{self.sandbox.root}/work/{HOST}+domino/verify-{chosen['hash'][:12]}"
            words = {"roll_forward": self.options["roll_forward"], "timeout": 60, "verify": self.options["verify"]}
            return above, [
                call("check_duplicates", above=above, **words),
                {"name": "discard", "discard": {"path": above}},
            ]

        return self.recover("verify", steps, **goal)
