"""The host's apt settings, parsed from apt's output."""

from dask_bake.local.storage.apt import read_options, read_sources

TARGETS = """\
Debian|bookworm-security|http://mirror.example/debian-security/|bookworm-security|main
Debian|bookworm|http://mirror.example/debian/|bookworm|main
Debian|bookworm|http://mirror.example/debian/|bookworm|contrib
Debian|trixie|http://mirror.example/debian/|trixie|main
Somebody|bookworm|http://other.example/apt/|bookworm|main
"""


def test_the_host_s_suite_comes_from_the_host_s_mirror():
    """Security updates are included, other suites and publishers are not."""
    assert read_sources(TARGETS, "bookworm") == (
        "deb http://mirror.example/debian-security/ bookworm-security main",
        "deb http://mirror.example/debian/ bookworm main contrib",
    )


def test_another_suite_comes_from_the_mirror_of_the_host_s_own():
    """A mirror has every suite; updates and security updates are at the same places."""
    own = "\n".join(line for line in TARGETS.splitlines() if "|trixie|" not in line)
    assert read_sources(own, "trixie") == (
        "deb http://mirror.example/debian-security/ trixie-security main",
        "deb http://mirror.example/debian/ trixie main contrib",
    )


def test_a_host_without_debian_s_suite_has_no_sources():
    """Updates alone are not enough, so the default mirror is used."""
    assert read_sources(TARGETS.splitlines()[0], "bookworm") == ()
    assert read_sources("Ubuntu|noble|http://mirror.example/|noble|main\n", "bookworm") == ()
    assert read_sources("", "bookworm") == ()


def test_only_proxy_and_certificate_settings_of_apt_are_copied():
    """Other settings of apt are not."""
    dump = 'Acquire "";\nAcquire::Retries "3";\nAcquire::http::Proxy "http://proxy.example:3128";\n'
    dump += 'Acquire::https::CaInfo "/etc/ssl/own.pem";\nAcquire::https::Verify-Peer "true";\n'

    assert read_options(dump) == (
        'Acquire::http::Proxy "http://proxy.example:3128"',
        'Acquire::https::CaInfo "/etc/ssl/own.pem"',
        'Acquire::https::Verify-Peer "true"',
    )
