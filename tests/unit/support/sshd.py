# SPDX-License-Identifier: GPL-3.0-or-later
"""An SSH server in this process, for executors: it runs commands through sh, as sshd does, and serves files over SFTP."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import paramiko
from ansible_collections.backstay.fleet.plugins.module_utils.executors import Executor, open_executor


class Files(paramiko.SFTPServerInterface):
    """SFTP over the files of this machine."""

    def _do(self, work: Any) -> Any:
        try:
            return work()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def list_folder(self, path: str) -> Any:
        def listed() -> Any:
            found = []
            for entry in Path(path).iterdir():
                item = paramiko.SFTPAttributes.from_stat(os.lstat(entry))
                item.filename = entry.name
                found.append(item)
            return found

        return self._do(listed)

    def stat(self, path: str) -> Any:
        return self._do(lambda: paramiko.SFTPAttributes.from_stat(Path(path).stat()))

    def lstat(self, path: str) -> Any:
        return self._do(lambda: paramiko.SFTPAttributes.from_stat(os.lstat(path)))

    def canonicalize(self, path: str) -> str:
        return str(Path.home()) if path == "." else os.path.normpath(path)

    def open(self, path: str, flags: int, attributes: Any) -> Any:
        def opened() -> Any:
            descriptor = os.open(path, flags, attributes.st_mode or 0o666)
            handle = paramiko.SFTPHandle(flags)
            handle.filename = path
            mode = "wb" if flags & os.O_WRONLY else "rb"
            handle.readfile = handle.writefile = os.fdopen(descriptor, mode)
            handle.stat = lambda: self.stat(path)
            handle.chattr = lambda attributes: self.chattr(path, attributes)
            return handle

        return self._do(opened)

    def chattr(self, path: str, attributes: Any) -> Any:
        return self._do(lambda: Path(path).chmod(attributes.st_mode)) or paramiko.SFTP_OK

    def mkdir(self, path: str, attributes: Any) -> Any:
        return self._do(lambda: Path(path).mkdir(attributes.st_mode)) or paramiko.SFTP_OK

    def rmdir(self, path: str) -> Any:
        return self._do(Path(path).rmdir) or paramiko.SFTP_OK

    def posix_rename(self, old: str, new: str) -> Any:
        return self._do(lambda: Path(old).replace(new) and None) or paramiko.SFTP_OK


class Login(paramiko.ServerInterface):
    """Lets one key in."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == getpass.getuser() and key.get_base64() == self._allowed
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=run, args=(channel, command.decode()), daemon=True).start()
        return True


def run(channel: paramiko.Channel, command: str) -> None:
    """Run a command in a session of its own and tell its exit status; like sshd it lives on when the connection dies."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout and process.stderr
    threading.Thread(target=feed, args=(channel, process.stdin), daemon=True).start()
    threads = [
        threading.Thread(target=drain, args=(process.stdout, channel.sendall), daemon=True),
        threading.Thread(target=drain, args=(process.stderr, channel.sendall_stderr), daemon=True),
    ]
    for thread in threads:
        thread.start()
    status = process.wait()
    for thread in threads:
        thread.join(5)
    with contextlib.suppress(OSError, EOFError):
        if status >= 0:  # of a signal sshd sends the name instead, which paramiko does not read
            channel.send_exit_status(status)
        channel.close()


def feed(channel: paramiko.Channel, stream: Any) -> None:
    """Give a process what comes in, and its end."""
    with contextlib.suppress(OSError), stream:
        while block := channel.recv(1 << 16):
            stream.write(block)
            stream.flush()


def drain(stream: Any, send: Any) -> None:
    """Send what a process says, as long as somebody listens."""
    with contextlib.suppress(OSError):
        while block := os.read(stream.fileno(), 1 << 16):
            send(block)


class Server:
    """The server: ``port``, ``known_hosts`` line, ``cut`` (the network is gone), ``close``."""

    def __init__(self, allowed: str) -> None:
        self._key = paramiko.RSAKey.generate(2048)
        self._login = Login(allowed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._transports: list[paramiko.Transport] = []
        self.port = self._listener.getsockname()[1]
        self.known_hosts = f"[127.0.0.1]:{self.port} {self._key.get_name()} {self._key.get_base64()}\n"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self._key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
            self._transports.append(transport)
            try:
                transport.start_server(server=self._login)
            except (paramiko.SSHException, EOFError):
                continue  # somebody who does not trust this server

    def cut(self) -> None:
        """Break every connection."""
        for transport in self._transports:
            transport.close()

    def close(self) -> None:
        """Stop serving."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for a connection
        self._listener.close()
        self._thread.join()
        self.cut()


ME = getpass.getuser()
HOLDER = {"run": "run-1", "host": "erp", "action": "backup", "worker": "here"}


def way(server: Server, access: Path, place: Path, **more: Any) -> dict[str, Any]:
    """Return the settings of the executor that leads to ``server``."""
    found = {"name": "ssh", "address": "127.0.0.1", "port": server.port, "account": ME, "access": str(access)}
    return {**found, "directory": str(place.parent / "ours"), **more}


def far(server: Server, access: Path, place: Path, **more: Any) -> Executor:
    """Return the executor that leads to ``server``."""
    return open_executor(way(server, access, place, **more), "erp", "oracle")
