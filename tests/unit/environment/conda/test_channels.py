"""Access to channels: addresses, proxies, certificates, credentials and failures."""

import json
from pathlib import Path

import pytest

from conda_server import Served, serve
from conda_solving import QUIET, X86, locked, names
from dask_bake.environment.conda import channels as conda_client
from dask_bake.environment.conda.channels import Channels, find_unreachable
from dask_bake.environment.conda.condarc import CondaSettings
from dask_bake.environment.conda.download import fetch
from dask_bake.environment.conda.solve import solve
from dask_bake.errors import BakeError, UsageError


def test_a_channel_may_be_a_folder(folder: Path, tmp_path: Path) -> None:
    lock = locked(["b"], str(folder))
    found = fetch(lock, Channels((str(folder),)), tmp_path / "cache", QUIET)
    assert [path.name for path in found] == [each.file_name for each in lock.archives]
    assert lock.archives[0].package.channel == folder.as_uri()


LAB = "https://lab.invalid/x"


def test_proxies_of_condarc_are_used(folder: Path) -> None:
    with serve(folder) as proxy:
        lock = locked(["old"], "http://lab.invalid", proxy_servers={"http": proxy.url})
    assert lock.archives[0].url == "http://lab.invalid/noarch/old-1-0.conda"
    assert all(each.startswith("http://lab.invalid/") for each in proxy.requests)
    assert proxy.requests


def test_packages_come_from_the_mirror_and_the_original_url_is_locked(served: Served) -> None:
    lock = locked(["old"], LAB, mirrored_channels={LAB: (served.url,)})
    assert lock.archives[0].url == f"{LAB}/noarch/old-1-0.conda"
    assert served.requests


@pytest.mark.parametrize(
    "settings", [{"proxy_servers": {"http": "a b"}}, {"mirrored_channels": {"x": ("a b",)}}]
)
def test_an_invalid_url_in_conda_s_settings_is_refused(settings, served) -> None:
    with pytest.raises(UsageError, match=r"conda's settings have an invalid URL: .*a b"):
        locked(["old"], served.url, **settings)


def test_ssl_verify_overrides_the_variable_ssl_cert_file(
    authority: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    with serve(folder, certificate=authority / "server.pem") as channel:
        settings = CondaSettings(ssl_verify=str(authority / "ca.pem"))
        assert find_unreachable(Channels((channel.url,), settings)) is None
        assert names(locked(["old"], channel.url, ssl_verify=str(authority / "ca.pem"))) == ["old 1"]
        assert names(locked(["old"], channel.url, ssl_verify=False)) == ["old 1"]
    assert conda_client.os.environ["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt"


def test_requests_ca_bundle_is_used(authority, folder, monkeypatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority / "ca.pem"))
    with serve(folder, certificate=authority / "server.pem") as channel:
        assert names(locked(["old"], channel.url)) == ["old 1"]
    assert "SSL_CERT_FILE" not in conda_client.os.environ


def test_an_untrusted_certificate_is_the_same_error_for_probe_and_solver(authority, folder) -> None:
    with serve(folder, certificate=authority / "server.pem") as channel:
        why = find_unreachable(Channels((channel.url,)))
        with pytest.raises(BakeError, match="has a certificate that is not trusted") as caught:
            locked(["old"], channel.url)
    assert why is not None
    assert (why.message, why.hint) == (caught.value.message, caught.value.hint)
    assert "ssl_verify" in str(why.hint)


def test_ssl_verify_of_a_missing_file_is_refused(served: Served) -> None:
    with pytest.raises(UsageError, match=r"have ssl_verify: /nowhere\.pem, which is no file"):
        locked(["old"], served.url, ssl_verify="/nowhere.pem")


SECRET = "s3-same"


def in_address(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return url.replace("://", f"://me:{SECRET}@")


def in_netrc(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (home / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    return url


def in_named_netrc(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (home / "mine").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(home / "mine"))
    return url


def in_rattler_s_file(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    given = {"127.0.0.1": {"BasicHTTP": {"username": "me", "password": SECRET}}}
    (home / "auth.json").write_text(json.dumps(given))
    monkeypatch.setenv("RATTLER_AUTH_FILE", str(home / "auth.json"))
    return url


@pytest.mark.parametrize("give", [in_address, in_netrc, in_named_netrc, in_rattler_s_file])
def test_credentials_are_used_and_do_not_appear_in_the_lock(give, folder, tmp_path, monkeypatch) -> None:
    with serve(folder, username="me", password=SECRET) as channel:
        channels = Channels((give(channel.url, tmp_path, monkeypatch),))
        lock = solve(["a"], channels, X86, comment="", environ={})
        found = fetch(lock, channels, tmp_path / "cache", QUIET)
    assert len(found) == 3
    assert SECRET not in f"{lock.text} {lock!r} {[(each.url, each.channel) for each in lock.records]}"
    assert lock.channels == channels.addresses == (channel.url,)


def test_a_token_in_the_url_is_used_and_does_not_appear_in_lock_or_message(folder, tmp_path) -> None:
    with serve(folder, token=SECRET) as channel:
        channels = Channels((channel.url + f"/t/{SECRET}/",))
        lock = solve(["a"], channels, X86, comment="", environ={})
        assert len(fetch(lock, channels, tmp_path / "cache", QUIET)) == 3
        wrong = Channels((f"{channel.url}/t/wrong-{SECRET}/x",))
        with pytest.raises(BakeError) as caught:
            solve(["a"], wrong, X86, comment="", environ={})
    assert SECRET not in f"{lock.text} {lock!r}"
    assert SECRET not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("401", "the channel {} denies access: 401 Unauthorized"),
        ("404", "the channel {}/nowhere is not there: 404 Not Found"),
        ("503", "the channel {} does not answer: 503 Service Unavailable"),
        ("refused", "the channel {} does not answer: Connection refused"),
    ],
)
def test_a_channel_that_refuses_or_does_not_answer_is_an_error_with_the_reason(fault, says, folder) -> None:
    with serve(folder, username="me" if fault == "401" else None, password=SECRET) as channel:
        channel.unavailable = fault == "503"
        place = channel.url + ("/nowhere" if fault == "404" else "")
        if fault != "refused":
            with pytest.raises(BakeError) as caught:
                locked(["a"], place)
            probed = find_unreachable(Channels((place,)))
    if fault == "refused":
        with pytest.raises(BakeError) as caught:
            locked(["a"], place)
        probed = find_unreachable(Channels((place,)))
    assert caught.value.message == says.format(channel.url)
    assert caught.value.hint
    noticed = caught.value.message if fault in ("503", "refused") else None
    assert (probed.message if probed else None) == noticed


def test_of_several_channels_the_one_that_fails_is_named(folder: Path, served: Served) -> None:
    with serve(folder) as other:
        other.unavailable = True
        with pytest.raises(BakeError, match=rf"^the channel {other.url} does not answer: 503"):
            locked(["a"], served.url, other.url)


def test_a_hanging_channel_is_noticed_within_the_probe_s_time(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conda_client, "PROBE_TIMEOUT", 0.5)
    served.hanging = True
    why = find_unreachable(Channels((served.url,)))
    assert why is not None
    assert why.message.startswith(
        f"the channel {served.url} does not answer: nothing came from {served.url}/"
    )


def test_a_probe_succeeds_with_the_first_bytes_of_the_response(tmp_path: Path) -> None:
    (tmp_path / "noarch").mkdir()
    (tmp_path / "noarch" / "repodata_shards.msgpack.zst").write_bytes(bytes(100_000))
    with serve(tmp_path) as channel:
        channel.stalled.add("repodata_shards.msgpack.zst")
        assert find_unreachable(Channels((channel.url,))) is None


def test_an_index_that_cannot_be_cached_is_not_reported_as_an_error_of_the_channel(
    served: Served, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BakeError, match=r"indexes cannot be stored: .*Not a directory$"):
        solve(["a"], Channels((served.url,), cache=tmp_path / "file" / "x"), X86, comment="", environ={})


@pytest.mark.parametrize("place", ["http://", "https://[", " "])
def test_an_invalid_channel_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match="channel"):
        locked(["a"], place)
