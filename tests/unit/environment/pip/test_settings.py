"""pip's settings, for pip and for uv."""

import os

import pytest

from dask_bake.environment.pip.settings import PipSettings, parse_settings, read_settings
from dask_bake.errors import UsageError

LISTED = """\
global.index-url='https://me:pw@a.example/simple'
global.timeout='10.5'
install.timeout='20'
install.user='true'
:env:.extra-index-url='https://b.example/simple\\nhttps://c.example/simple'
other
list.format='json'
"""


def test_stronger_sections_win():
    assert parse_settings(LISTED) == {
        "index-url": "https://me:pw@a.example/simple",
        "timeout": "20",
        "user": "true",
        "extra-index-url": "https://b.example/simple\nhttps://c.example/simple",
    }


def test_pip_gets_where_from_and_not_how():
    """``user = true`` contradicts ``--target``, and breaks every lock."""
    environ = {"HOME": "/home/me", "PIP_USER": "1", "PIP_CONFIG_FILE": "mine.conf"}
    assert PipSettings(parse_settings(LISTED)).for_pip(environ) == {
        "HOME": "/home/me",
        "PIP_INDEX_URL": "https://me:pw@a.example/simple",
        "PIP_TIMEOUT": "20",
        "PIP_EXTRA_INDEX_URL": "https://b.example/simple\nhttps://c.example/simple",
        "PIP_CONFIG_FILE": os.devnull,
    }


def test_uv_gets_the_same_by_its_own_names():
    assert PipSettings(parse_settings(LISTED)).for_uv({"HOME": "/home/me"}) == {
        "HOME": "/home/me",
        "UV_DEFAULT_INDEX": "https://me:pw@a.example/simple",
        "UV_INDEX": "https://b.example/simple https://c.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_HTTP_TIMEOUT": "20",
    }


@pytest.mark.parametrize(
    ("values", "environ"),
    [
        ({"cert": "/lab.pem"}, {"SSL_CERT_FILE": "/lab.pem"}),
        ({"client-cert": "/me.pem"}, {"SSL_CLIENT_CERT": "/me.pem"}),
        ({"trusted-host": "a.example b.example:8080"}, {"UV_INSECURE_HOST": "a.example b.example:8080"}),
        ({"find-links": "/one /two"}, {"UV_FIND_LINKS": "/one,/two"}),
        ({"keyring-provider": "subprocess"}, {"UV_KEYRING_PROVIDER": "subprocess"}),
        ({"constraint": "/limits.txt"}, {"UV_CONSTRAINT": "/limits.txt"}),
        ({"pre": "true"}, {"UV_PRERELEASE": "allow"}),
        ({"retries": "1"}, {"UV_HTTP_RETRIES": "1"}),
        ({"uploaded-prior-to": "2026-01-01"}, {"UV_EXCLUDE_NEWER": "2026-01-01"}),
        (
            {"proxy": "http://p.example"},
            dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://p.example"),
        ),
    ],
)
def test_each_setting_has_a_name_for_uv(values, environ):
    assert PipSettings(values).for_uv({}) == environ


def test_certificates_that_pip_knows_by_a_variable_are_uv_s_too():
    assert PipSettings({}).for_uv({"REQUESTS_CA_BUNDLE": "/lab.pem"})["SSL_CERT_FILE"] == "/lab.pem"
    environ = {"REQUESTS_CA_BUNDLE": "/lab.pem", "SSL_CERT_FILE": "/mine.pem"}
    assert PipSettings({}).for_uv(environ) == environ
    assert PipSettings({"cert": "/pip.pem"}).for_uv(environ)["SSL_CERT_FILE"] == "/pip.pem"


def test_settings_of_uv_precede_those_of_pip():
    environ = {"UV_DEFAULT_INDEX": "https://mine.example/simple"}
    assert PipSettings({"index-url": "https://a.example/simple"}).for_uv(environ) == environ


@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        ({"no-binary": "numpy"}, ("no-binary",)),
        ({"only-binary": ":all:"}, ()),
        ({"keyring-provider": "import"}, ("keyring-provider",)),
        ({"keyring-provider": "subprocess"}, ()),
        ({"user": "1", "quiet": "1"}, ()),
    ],
)
def test_what_uv_is_not_given_is_named(values, unknown):
    assert PipSettings(values).unknown_to_uv == unknown


def test_without_pip_its_variables_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {
        "PIP_FIND_LINKS": "wheels https://a.example",
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": "x",
        "A": "b",
    }
    settings = read_settings(None, environ)
    assert settings.values == {"find-links": f"{tmp_path}/wheels https://a.example", "no-index": "1"}
    assert settings.uv_flags == ("--no-index",)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PIP_CERT": "/no/ca.pem"}, r"pip's setting cert names /no/ca\.pem, which does not exist"),
        ({"PIP_CONSTRAINT": "/no/limits.txt"}, r"pip's setting constraint names /no/limits\.txt"),
        ({"PIP_INDEX_URL": "nonsense"}, "pip's setting index-url is 'nonsense', which is no address"),
        (
            {"PIP_EXTRA_INDEX_URL": "https://a.example/simple %(x)s"},
            r"pip's setting extra-index-url is '%\(x\)s', which is no address",
        ),
    ],
)
def test_a_setting_that_names_nothing_is_refused(variables, sentence):
    """uv would go on without it, and take packages from elsewhere."""
    with pytest.raises(UsageError, match=sentence) as caught:
        read_settings(None, variables)
    assert caught.value.hint == "pip config debug shows the file or the variable that it comes from"


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_settings_that_pip_cannot_read_are_not_passed_over(stream, tmp_path):
    """A private index is often one of them."""
    (tmp_path / "pip").write_text(f"#!/bin/sh\necho 'option timeout: invalid value' {stream}; exit 3\n")
    (tmp_path / "pip").chmod(0o755)
    with pytest.raises(UsageError, match="pip's settings cannot be read: option timeout: invalid value"):
        read_settings([str(tmp_path / "pip")], {})
