# SPDX-License-Identifier: GPL-3.0-or-later
"""DAOS: attachments as files of their own (NLO), encrypted with the server's key. A toy cipher over the real rule."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dominolab.errors import DominoError
from dominolab.places import Places


def _key(places: Places) -> bytes:
    file = places.under_data("ServerKeyFileName", "server.id")
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except FileNotFoundError:
        raise DominoError(f"the server's ID file {file} is missing") from None


def _mixed(content: bytes, key: bytes, name: str) -> bytes:
    stream = hashlib.shake_128(key + name.encode()).digest(len(content))
    return bytes(one ^ other for one, other in zip(content, stream))


def _path(places: Places, name: str) -> Path:
    return places.under_data("DAOSBasePath", "DAOS") / "0001" / f"{name}.nlo"


def store(places: Places, content: bytes) -> str:
    """Keep an attachment once; the name by which notes refer to it."""
    key, name = _key(places), hashlib.sha256(content).hexdigest()
    path = _path(places, name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"NLO1" + hashlib.sha256(key).digest() + _mixed(content, key, name))
    return name


def read(places: Places, name: str) -> bytes:
    """Return an attachment; DominoError when it cannot be opened."""
    try:
        data = _path(places, name).read_bytes()
    except OSError as error:
        raise DominoError(f"attachment {name[:12]}.nlo cannot be opened: {error.strerror}") from None
    key = _key(places)
    if data[4:36] != hashlib.sha256(key).digest():
        raise DominoError(f"attachment {name[:12]}.nlo was encrypted with the key of another server")
    content = _mixed(data[36:], key, name)
    if hashlib.sha256(content).hexdigest() != name:
        raise DominoError(f"attachment {name[:12]}.nlo is damaged")
    return content
