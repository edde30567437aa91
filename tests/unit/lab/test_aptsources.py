# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the machine's apt sources and settings."""

from rehearsal import aptsources
from rehearsal.aptsources import Mirror, Source

ONE_LINE = """
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/own.gpg] https://mirror.example/debian/ bookworm main contrib # remark
deb-src http://mirror.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb https://vendor.example/apt cloud main
"""

DEB822 = """
# remark
Types: deb deb-src
URIs: http://one.example/debian
# a remark inside
 http://two.example/debian
Suites: trixie trixie-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: trixie
Components: main
"""


def test_one_line_format_keeps_options_and_drops_comments_and_sources():
    found = list(aptsources.parse_one_line(ONE_LINE))
    assert found[0] == Source("https://mirror.example/debian/", "bookworm", ("main", "contrib"), "/usr/share/keyrings/own.gpg")
    assert [source.suite for source in found] == ["bookworm", "bookworm-security", "cloud"]


def test_deb822_expands_addresses_and_suites_and_honours_enabled():
    found = list(aptsources.parse_deb822(DEB822))
    assert [(source.uri, source.suite) for source in found] == [
        ("http://one.example/debian", "trixie"),
        ("http://one.example/debian", "trixie-updates"),
        ("http://two.example/debian", "trixie"),
        ("http://two.example/debian", "trixie-updates"),
    ]
    assert found[0].components == ("main", "contrib")


def test_signed_by_as_a_key_block_is_not_a_file():
    text = "Types: deb\nURIs: http://a.example/\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n abc\n"
    assert next(aptsources.parse_deb822(text)).keyring is None


def test_mirror_is_the_first_debian_archive_with_its_security_archive():
    mirror = aptsources.choose_mirror(list(aptsources.parse_one_line(ONE_LINE)))
    assert mirror == Mirror(
        "https://mirror.example/debian", "http://security.example/debian-security", "/usr/share/keyrings/own.gpg"
    )


def test_other_distributions_give_no_mirror():
    sources = aptsources.parse_one_line("deb http://archive.example/ubuntu noble main\ndeb cdrom:[x]/ bookworm main\n")
    assert aptsources.choose_mirror(list(sources)) is None


def test_mirror_lists_are_followed(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/debian.list").write_text("# remark\nhttps://cloud.example/debian\tpriority:1\n")
    source = Source("mirror+file:///etc/debian.list", "trixie", ("main",))
    assert aptsources.choose_mirror([source], tmp_path).archive == "https://cloud.example/debian"


def test_read_sources_reads_both_formats_and_nothing_else(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
    (tmp_path / "sources.list.d/b.sources").write_text(DEB822)
    (tmp_path / "sources.list.d/c.list.disabled").write_text("deb http://c.example/debian bookworm main\n")
    uris = [source.uri for source in aptsources.read_sources(tmp_path)]
    assert uris[0] == "http://a.example/debian"
    assert "http://one.example/debian" in uris
    assert "http://c.example/debian" not in uris


def test_sources_for_a_suite():
    mirror = Mirror("http://m.example/debian", "http://s.example/security", "/k.gpg")
    found = [(s.uri, s.suite) for s in aptsources.parse_deb822(aptsources.sources_for(mirror, "trixie"))]
    assert found == [
        ("http://m.example/debian", "trixie"),
        ("http://m.example/debian", "trixie-updates"),
        ("http://s.example/security", "trixie-security"),
    ]
    assert [s.suite for s in aptsources.parse_deb822(aptsources.sources_for(mirror, "sid"))] == ["sid"]


def test_download_settings_are_carried_and_their_files_named():
    dump = (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::https::CaInfo "/etc/ssl/own.pem";\n'
        'Acquire::Check-Date "false";\nAcquire::http::Proxy::local.example "DIRECT";\n'
        'DPkg::Post-Invoke:: "rm /x";\nAcquire::https::Proxy "";\n'
    )
    settings, files = aptsources.carried_settings(dump)
    assert "Check-Date" in settings
    assert "local.example" in settings
    assert "DPkg" not in settings
    assert files == ["/etc/ssl/own.pem"]
    assert aptsources.proxy_environment(settings) == {"http_proxy": "http://proxy.example:3128"}
