# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker: module_utils as one runnable archive, named by its content."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

from ansible_collections.backstay.fleet.plugins import module_utils

PACKAGE = "backstay_worker"
_MAIN = f"import sys\n\nfrom {PACKAGE}.worker.cli import main\n\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same sources make the same bytes, wherever and whenever


@cache
def sources() -> dict[str, bytes]:
    """Return the files of the archive, by name."""
    root = Path(next(iter(module_utils.__path__)))
    found = {f"{PACKAGE}/{path.relative_to(root)}": path.read_bytes() for path in sorted(root.rglob("*.py"))}
    found.setdefault(f"{PACKAGE}/__init__.py", b"")
    return dict(found, **{"__main__.py": _MAIN.encode()})


@cache
def version() -> str:
    """Return the name of this version of the worker: a hash over names and contents."""
    hasher = hashlib.sha256()
    for name, content in sorted(sources().items()):
        hasher.update(f"{name}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()[:16]


def build() -> bytes:
    """Return the archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(sources().items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
