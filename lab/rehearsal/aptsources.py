# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the Debian mirror and the apt settings that this machine already uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN_SUITES = frozenset(
    ["bullseye", "bookworm", "trixie", "forky", "duke", "sid", "oldoldstable", "oldstable", "stable", "testing", "unstable"]
)
# Only what decides whether a download works; the rest of the machine's settings is its own business.
CARRIED_SETTINGS = re.compile(
    r"Acquire::(?:https?|ftp)::|Acquire::(?:Check-Valid-Until|Check-Date|Retries|ForceIPv4|ForceIPv6|Max-ValidTime)\b"
)
FILE_SETTINGS = re.compile(r"::(?:CaInfo|CaPath|SslCert|SslKey|CrlFile|IssuerCert)$", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One address and suite of the apt sources; keyring is a file name, or None for apt's default."""

    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: str | None = None


@dataclass(frozen=True)
class Mirror:
    """Where Debian comes from on this machine; security is None when its sources name no such archive."""

    archive: str
    security: str | None
    keyring: str


def parse_one_line(text: str) -> Iterator[Source]:
    """Read sources.list lines: deb [options] uri suite component..."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match:
            options = dict(pair.split("=", 1) for pair in (match[1] or "").split() if "=" in pair)
            yield Source(match[2], match[3], tuple(match[4].split()), keyring_file(options.get("signed-by")))


def parse_deb822(text: str) -> Iterator[Source]:
    """Read .sources files: paragraphs of Field: value with continuation lines."""
    for paragraph in re.split(r"\n[ \t]*\n", strip_comments(text)):
        fields = deb822_fields(paragraph)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield Source(uri, suite, components, keyring_file(fields.get("signed-by")))


def strip_comments(text: str) -> str:
    """Drop lines that start with '#', also inside a field."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def deb822_fields(paragraph: str) -> dict[str, str]:
    """Fields of one paragraph by lower-case name, continuation lines joined by newlines."""
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line[:1] in (" ", "\t") and name:
            fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def keyring_file(signed_by: str | None) -> str | None:
    """Signed-By may be a file, a fingerprint or a whole key; only a file can be handed on."""
    first = (signed_by or "").strip().split(",")[0].split("\n")[0].strip()
    return first if first.startswith("/") else None


def resolve_mirror_list(uri: str, root: Path = Path("/")) -> str:
    """Replace mirror+file:/list by the first address of that list."""
    match = re.match(r"mirror\+file:/+(.*)", uri)
    if not match:
        return uri
    listed = root / match[1]
    addresses = [line.split()[0] for line in listed.read_text().splitlines() if line.strip() and line[0] != "#"]
    return addresses[0] if addresses else uri


def choose_mirror(sources: list[Source], root: Path = Path("/")) -> Mirror | None:
    """The first Debian archive among the sources and the security archive beside it; None without a Debian archive."""
    archive = security = keyring = None
    for source in sources:
        uri = resolve_mirror_list(source.uri, root).rstrip("/")
        if "main" not in source.components or not re.match(r"(https?|ftp|file):", uri):
            continue
        release, _, pocket = re.sub("/updates$", "-security", source.suite).partition("-")
        if release not in DEBIAN_SUITES:
            continue
        if pocket == "" and archive is None:
            archive, keyring = uri, source.keyring
        elif pocket == "security" and security is None:
            security = uri
    return Mirror(archive, security, keyring or DEBIAN_KEYRING) if archive else None


def read_sources(etc_apt: Path = Path("/etc/apt")) -> list[Source]:
    """All binary package sources of the machine, in apt's order of files."""
    found: list[Source] = []
    for listed in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]:
        if not listed.is_file():
            continue
        if listed.suffix == ".sources":
            found.extend(parse_deb822(listed.read_text()))
        elif listed.suffix == ".list":
            found.extend(parse_one_line(listed.read_text()))
    return found


def sources_for(mirror: Mirror, suite: str) -> str:
    """The deb822 text for a machine of that suite, from the same addresses."""
    wanted = [(mirror.archive, suite if suite == "sid" else f"{suite} {suite}-updates")]
    if mirror.security and suite != "sid":
        wanted.append((mirror.security, f"{suite}-security"))
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {mirror.keyring}\n" for uri, suites in wanted
    )


def carried_settings(dump: str) -> tuple[str, list[str]]:
    """From `apt-config dump`: the settings that downloads need, as apt.conf text, and the files that they name."""
    lines, files = [], []
    for line in dump.splitlines():
        match = re.match(r'(\S+) "(.*)";$', line)
        if not match or not CARRIED_SETTINGS.match(match[1]) or match[2] == "":
            continue
        lines.append(line)
        if FILE_SETTINGS.search(match[1]):
            files.append(match[2])
    return "\n".join(lines) + "\n", files


def proxy_environment(settings: str) -> dict[str, str]:
    """Proxy variables, for debootstrap, that say what apt's own settings say."""
    found = {}
    for scheme in ("http", "https"):
        match = re.search(rf'^Acquire::{scheme}::Proxy "(.+)";$', settings, re.MULTILINE | re.IGNORECASE)
        if match and match[1].upper() != "DIRECT":
            found[f"{scheme}_proxy"] = match[1]
    return found
