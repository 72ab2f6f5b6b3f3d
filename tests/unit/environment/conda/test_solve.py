"""The real rattler against channels on loopback: what is locked, brought and said."""

import datetime as dt
import errno
import ipaddress
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from conda_channel import index_channel
from conda_packages import make_package
from conda_server import Served, serve
from dask_bake.environment.conda import channels as conda_client
from dask_bake.environment.conda import download
from dask_bake.environment.conda.channels import Channels, find_unreachable
from dask_bake.environment.conda.condarc import CondaSettings
from dask_bake.environment.conda.download import fetch
from dask_bake.environment.conda.solve import CondaLock, allows, read_lock, solve, unsatisfied
from dask_bake.environment.spec import without_secrets
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Event, Output
from dask_bake.models.cloud import Architecture
from dask_bake.system.files import sha256_of

X86, ARM = Architecture.X86_64, Architecture.ARM64
QUIET = [].append


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a channel in which the newer ``a`` needs a missing package, and some need virtual packages."""
    channel = tmp_path_factory.mktemp("channel")
    make_package(channel, "a", "1.0", ["b >=1"])
    make_package(channel, "a", "2.0", ["b >=2"])
    make_package(channel, "b", "1.5", ["python >=3.11"], subdir="linux-64", build="h1_0")
    make_package(channel, "b", "1.5", subdir="linux-aarch64", build="h2_0")
    make_package(channel, "python", "3.11.9")
    make_package(channel, "old", "1", ["__glibc >=2.36"])
    make_package(channel, "new", "1", ["__glibc >=2.37"])
    for machine in ("x86_64", "aarch64"):
        make_package(channel, f"for-{machine}", "1", [f"__archspec 1 {machine}"])
    index_channel(channel)
    return channel


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with serve(folder) as served:
        yield served


@pytest.fixture(scope="module", autouse=True)
def settled() -> Iterator[None]:
    """Wait once, after the last test, for rattler's threads."""
    yield
    time.sleep(conda_client.SHUTDOWN_GRACE)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long, and no certificates but those of a test count."""
    monkeypatch.setattr(conda_client, "SHUTDOWN_GRACE", 0)
    monkeypatch.setattr(conda_client, "PROBE_TIMEOUT", 0.5)
    monkeypatch.setattr(conda_client, "RETRIES", 0)
    monkeypatch.setattr(download, "RETRIES", 1)
    monkeypatch.setattr(download, "STALL_TIMEOUT", 1.0)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC", "RATTLER_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def locked(
    specs: Sequence[str],
    *places: str,
    architecture: Architecture = X86,
    environ: dict[str, str] | None = None,
    **settings: object,
) -> CondaLock:
    channels = Channels(places, CondaSettings(**settings))  # type: ignore[arg-type]
    return solve(specs, channels, architecture, comment="# ours\n", environ=environ or {})


def names(lock: CondaLock) -> list[str]:
    return [f"{each.package.name} {each.package.version}" for each in lock.archives]


# What is solved


def test_a_lock_holds_channel_address_hash_and_build(folder: Path, served: Served) -> None:
    lock = locked(["a"], served.url)
    assert [each.url.removeprefix(served.url) for each in lock.archives] == [
        "/noarch/a-1.0-0.conda",
        "/linux-64/b-1.5-h1_0.conda",
        "/noarch/python-3.11.9-0.conda",
    ]
    b = lock.archives[1].package
    assert (b.kind, b.build, b.channel, b.subdir) == ("conda", "h1_0", served.url, "linux-64")
    assert b.sha256 == sha256_of(folder / "linux-64" / "b-1.5-h1_0.conda")
    assert (lock.python, lock.channels) == ("3.11.9", (served.url,))
    assert lock.text.startswith("# ours\nversion: ")


def test_of_conda_s_packages_pip_is_told_only_python_s(served: Served) -> None:
    assert locked(["a"], served.url).projects == {"b": "1.5"}


def test_arm64_takes_that_platform_s_packages(served: Served) -> None:
    lock = locked(["b", "for-aarch64"], served.url, architecture=ARM)
    assert [each.package.build for each in lock.archives if each.package.name == "b"] == ["h2_0"]
    with pytest.raises(BakeError, match="__archspec"):
        locked(["for-x86_64"], served.url, architecture=ARM)


@pytest.mark.parametrize(
    ("spec", "environ", "is_solved"),
    [
        ("old", {}, True),
        ("new", {}, False),
        ("new", {"CONDA_OVERRIDE_GLIBC": "2.40"}, True),
        ("old", {"CONDA_OVERRIDE_GLIBC": ""}, False),
        ("for-x86_64", {}, True),
    ],
)
def test_the_image_s_virtual_packages_count(spec, environ, is_solved, served) -> None:
    if is_solved:
        assert names(locked([spec], served.url, environ=environ)) == [f"{spec} 1"]
    else:
        with pytest.raises(BakeError, match="__glibc"):
            locked([spec], served.url, environ=environ)


def test_a_virtual_package_of_nonsense_is_a_sentence(served: Served) -> None:
    with pytest.raises(UsageError, match=r"CONDA_OVERRIDE_GLIBC is 't w o'"):
        locked(["old"], served.url, environ={"CONDA_OVERRIDE_GLIBC": "t w o"})


def test_what_cannot_be_solved_is_explained_by_the_solver(served: Served) -> None:
    with pytest.raises(BakeError) as caught:
        locked(["a 2.*"], served.url)
    assert caught.value.message.splitlines() == [
        "the environment cannot be solved: a 2.* cannot be installed because there are no viable options:",
        "└─ a 2.0 would require",
        "   └─ b >=2, for which no candidates were found.",
    ]


@pytest.mark.parametrize("spec", ["a==", "a[x=1]", ""])
def test_a_malformed_spec_is_named(spec: str, served: Served) -> None:
    with pytest.raises(UsageError, match="is not a conda spec") as caught:
        locked(["b", spec], served.url)
    assert caught.value.message.startswith(f"'{spec}'")
    assert served.requests == []


def test_the_first_channel_wins_unless_priority_is_disabled(tmp_path: Path, served: Served) -> None:
    make_package(tmp_path, "b", "9.0")
    index_channel(tmp_path)
    with serve(tmp_path) as other:
        first = locked(["b"], served.url, other.url)
        disabled = locked(["b"], served.url, other.url, channel_priority="disabled")
    assert (names(first)[0], names(disabled)[0]) == ("b 1.5", "b 9.0")
    assert disabled.archives[0].package.channel == other.url


def test_a_channel_may_be_a_folder(folder: Path, tmp_path: Path) -> None:
    lock = locked(["b"], str(folder))
    found = fetch(lock, Channels((str(folder),)), tmp_path / "cache", QUIET)
    assert [path.name for path in found] == [each.file_name for each in lock.archives]
    assert lock.archives[0].package.channel == folder.as_uri()


@pytest.mark.parametrize(
    ("spec", "answer"), [("python", True), ("python >=3.10,<3.12", True), ("x::python=3.12", False)]
)
def test_a_spec_allows_a_version_or_not(spec: str, answer: bool) -> None:
    assert allows(spec, ["3.11.2"]) == answer


# Conda's settings


LAB = "https://lab.invalid/x"


def test_proxies_of_condarc_are_used(folder: Path) -> None:
    with serve(folder) as proxy:
        lock = locked(["old"], "http://lab.invalid", proxy_servers={"http": proxy.url})
    assert lock.archives[0].url == "http://lab.invalid/noarch/old-1-0.conda"
    assert all(each.startswith("http://lab.invalid/") for each in proxy.requests)
    assert proxy.requests


def test_a_mirror_is_asked_and_the_original_is_locked(served: Served) -> None:
    lock = locked(["old"], LAB, mirrored_channels={LAB: (served.url,)})
    assert lock.archives[0].url == f"{LAB}/noarch/old-1-0.conda"
    assert served.requests


@pytest.mark.parametrize(
    "settings", [{"proxy_servers": {"http": "a b"}}, {"mirrored_channels": {"x": ("a b",)}}]
)
def test_an_address_in_the_settings_that_is_none_is_a_sentence(settings, served) -> None:
    with pytest.raises(UsageError, match=r"conda's settings have an invalid URL: .*a b"):
        locked(["old"], served.url, **settings)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ca.pem``, and with its key ``server.pem``, which it signed for loopback."""
    folder = tmp_path_factory.mktemp("authority")
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server")}
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    for name, key in keys.items():
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(loopback, critical=False)
            .sign(keys["ca"], hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        held = private if name == "server" else b""
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM) + held)
    return folder


def test_ssl_verify_names_the_authority_even_where_the_shell_names_another(
    authority: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    with serve(folder, certificate=authority / "server.pem") as channel:
        settings = CondaSettings(ssl_verify=str(authority / "ca.pem"))
        assert find_unreachable(Channels((channel.url,), settings)) is None
        assert names(locked(["old"], channel.url, ssl_verify=str(authority / "ca.pem"))) == ["old 1"]
        assert names(locked(["old"], channel.url, ssl_verify=False)) == ["old 1"]
    assert conda_client.os.environ["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt"


def test_the_requests_bundle_counts_too(authority, folder, monkeypatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority / "ca.pem"))
    with serve(folder, certificate=authority / "server.pem") as channel:
        assert names(locked(["old"], channel.url)) == ["old 1"]
    assert "SSL_CERT_FILE" not in conda_client.os.environ


def test_a_certificate_that_nobody_knows_is_a_sentence_for_probe_and_solver(authority, folder) -> None:
    with serve(folder, certificate=authority / "server.pem") as channel:
        why = find_unreachable(Channels((channel.url,)))
        with pytest.raises(BakeError, match="has a certificate that is not trusted") as caught:
            locked(["old"], channel.url)
    assert why is not None
    assert (why.message, why.hint) == (caught.value.message, caught.value.hint)
    assert "ssl_verify" in str(why.hint)


def test_ssl_verify_of_a_missing_file_is_a_sentence(served: Served) -> None:
    with pytest.raises(UsageError, match=r"have ssl_verify: /nowhere\.pem, which is no file"):
        locked(["old"], served.url, ssl_verify="/nowhere.pem")


# Credentials


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
def test_credentials_open_a_channel_and_are_nowhere_afterwards(give, folder, tmp_path, monkeypatch) -> None:
    with serve(folder, username="me", password=SECRET) as channel:
        channels = Channels((give(channel.url, tmp_path, monkeypatch),))
        lock = solve(["a"], channels, X86, comment="", environ={})
        found = fetch(lock, channels, tmp_path / "cache", QUIET)
    assert len(found) == 3
    assert SECRET not in f"{lock.text} {lock!r} {[(each.url, each.channel) for each in lock.records]}"
    assert lock.channels == channels.addresses == (channel.url,)


def test_a_token_in_the_address_opens_a_channel_and_is_nowhere_afterwards(folder, tmp_path) -> None:
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
    ("text", "shown"),
    [
        ("https://me:pass@a.example/x", "https://a.example/x"),
        ("https://me:p@ss@a.example/x", "https://a.example/x"),
        (
            "https://a.example/t/tok-en/x and http://b.example/c/t/to_k/y",
            "https://a.example/x and http://b.example/c/y",
        ),
        ("file:///home/me/t/channel/noarch", "file:///home/me/t/channel/noarch"),
    ],
)
def test_addresses_are_shown_without_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


# Channels that do not give


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("401", "the channel {} denies access: 401 Unauthorized"),
        ("404", "the channel {}/nowhere is not there: 404 Not Found"),
        ("503", "the channel {} does not answer: 503 Service Unavailable"),
        ("refused", "the channel {} does not answer: Connection refused"),
    ],
)
def test_a_channel_that_does_not_give_is_one_sentence(fault, says, folder) -> None:
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


def test_a_hanging_channel_is_noticed_within_the_probe_s_time(served: Served) -> None:
    served.hanging = True
    why = find_unreachable(Channels((served.url,)))
    assert why is not None
    assert why.message.startswith(
        f"the channel {served.url} does not answer: nothing came from {served.url}/"
    )


def test_a_probe_takes_the_first_word_for_an_answer(tmp_path: Path) -> None:
    (tmp_path / "noarch").mkdir()
    (tmp_path / "noarch" / "repodata_shards.msgpack.zst").write_bytes(bytes(100_000))
    with serve(tmp_path) as channel:
        channel.stalled.add("repodata_shards.msgpack.zst")
        assert find_unreachable(Channels((channel.url,))) is None


def test_an_index_that_cannot_be_kept_is_not_the_channel_s_fault(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BakeError, match=r"indexes cannot be kept: .*Not a directory$"):
        solve(["a"], Channels((served.url,), cache=tmp_path / "file" / "x"), X86, comment="", environ={})


@pytest.mark.parametrize("place", ["http://", "https://[", " "])
def test_a_place_that_is_no_channel_is_a_sentence(place: str) -> None:
    with pytest.raises(UsageError, match="channel"):
        locked(["a"], place)


# Locks that are read


def test_a_lock_that_was_written_is_read_as_the_same(served: Served) -> None:
    lock = locked(["a"], served.url)
    again = read_lock(lock.text, X86, origin="x")
    assert again == lock
    assert unsatisfied(["a", f"{served.url}::b", "b 1.*"], again) == ()
    assert unsatisfied(["a 2.*", "b", "zz"], again) == ("a 2.*", "zz")


EMPTY = "version: 6\nenvironments: {}\npackages: []\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "mine is not a lock: missing `version` field"),
        ("[", "mine is not a lock: "),
        ("\0", "mine is not a lock: "),
        ("version: 99\n", "mine is not a lock: found newer lockfile format version 99"),
        (EMPTY, "mine locks nothing for linux-64"),
    ],
)
def test_what_is_no_lock_is_a_sentence(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_lock(text, X86, origin="mine")


def test_a_lock_for_another_platform_is_a_sentence(served: Served) -> None:
    with pytest.raises(UsageError, match="mine locks nothing for linux-aarch64"):
        read_lock(locked(["old"], served.url).text, ARM, origin="mine")


def test_a_lock_with_pip_s_packages_inside_is_refused_rather_than_halved(served: Served) -> None:
    text = locked(["old"], served.url).text
    wheel = "https://a.example/w-1-py3-none-any.whl"
    text = text.replace("packages:\n-", f"packages:\n- pypi: {wheel}\n  name: w\n  version: '1'\n-")
    text = text.replace("      linux-64:\n", f"      linux-64:\n      - pypi: {wheel}\n")
    with pytest.raises(UsageError, match="mine locks packages of pip's too"):
        read_lock(text, X86, origin="mine")


# Archives


def bring(lock: CondaLock, served: Served, cache: Path) -> list[str]:
    """Return the names that were requested."""
    events: list[Event] = []
    served.requests.clear()
    found = fetch(lock, Channels((served.url,)), cache, events.append)
    assert [sha256_of(path) for path in found] == [each.package.sha256 for each in lock.archives]
    asked = [path.rpartition("/")[2] for path in served.requests]
    assert sorted(asked) == sorted(event.line for event in events if isinstance(event, Output))
    return sorted(asked)


def test_archives_are_kept_by_hash_and_only_missing_or_damaged_ones_come(served, tmp_path) -> None:
    lock, some = locked(["a"], served.url), locked(["b"], served.url)
    assert bring(some, served, tmp_path) == ["b-1.5-h1_0.conda", "python-3.11.9-0.conda"]
    assert bring(lock, served, tmp_path) == ["a-1.0-0.conda"]
    assert bring(lock, served, tmp_path) == []
    b = lock.archives[1]
    (tmp_path / b.package.sha256 / b.file_name).write_bytes(b"half")
    assert bring(lock, served, tmp_path) == ["b-1.5-h1_0.conda"]


def failure(lock: CondaLock, served: Served, cache: Path) -> BakeError:
    """Return the error; nothing of the package is kept after it."""
    with pytest.raises(BakeError) as caught:
        fetch(lock, Channels((served.url,)), cache, QUIET)
    assert [path for path in cache.rglob("*old*") if path.is_file()] == []
    assert list(cache.glob("download-*")) == []
    return caught.value


def test_an_archive_of_another_content_is_refused_and_not_kept(served: Served, tmp_path: Path) -> None:
    lock = locked(["old"], served.url)
    served.corrupt.add("old-1-0.conda")
    assert failure(lock, served, tmp_path).message == (
        "old-1-0.conda is not the package that is locked: its sha256 is another"
    )


@pytest.mark.parametrize(
    ("fault", "attempts", "says"),
    [
        ("truncated", 2, "the channel {} does not answer: its response is incomplete"),
        ("unavailable", 2, "the channel {} does not answer: 503 Service Unavailable"),
        ("gone", 1, "the channel {} has no old-1-0.conda: 404 Not Found"),
        (
            "hanging",
            2,
            "the channel {0} does not answer: nothing came from {0}/noarch/old-1-0.conda for 1 seconds",
        ),
        (
            "stalled",
            2,
            "the channel {0} does not answer: nothing came from {0}/noarch/old-1-0.conda for 1 seconds",
        ),
    ],
)
def test_an_archive_that_does_not_come_is_a_sentence(fault, attempts, says, folder, tmp_path) -> None:
    with serve(folder) as channel:
        lock = locked(["old"], channel.url)
        channel.requests.clear()
        if fault == "truncated":
            channel.truncated.add("old-1-0.conda")
        elif fault == "stalled":
            channel.stalled.add("old-1-0.conda")
        elif fault == "gone":
            (folder / "noarch" / "old-1-0.conda").rename(folder / "gone")
        else:
            setattr(channel, fault, True)
        error = failure(lock, channel, tmp_path)
        if fault == "gone":
            (folder / "gone").rename(folder / "noarch" / "old-1-0.conda")
    assert (error.message, len(channel.requests)) == (says.format(channel.url), attempts)


def test_an_archive_that_breaks_off_once_is_asked_for_again(served, tmp_path, monkeypatch) -> None:
    lock = locked(["old"], served.url)
    served.truncated.add("old-1-0.conda")
    real = download.download_to_path

    async def mended_after_one(*arguments: object) -> None:
        try:
            await real(*arguments)
        finally:
            served.truncated.clear()

    monkeypatch.setattr(download, "download_to_path", mended_after_one)
    assert len(fetch(lock, Channels((served.url,)), tmp_path, QUIET)) == 1


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), OSError("No space left on device (os error 28)")]
)
def test_a_full_disk_names_the_folder(error, served, tmp_path, monkeypatch) -> None:
    lock = locked(["old"], served.url)

    async def full(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(download, "download_to_path", full)
    assert failure(lock, served, tmp_path).message.startswith(
        f"no room in {tmp_path}: about 1500 MB are needed"
    )
