"""Access to conda channels by rattler: the user's conda settings, and errors for users."""

import asyncio
import errno
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import rattler
from rattler import exceptions
from rattler.package_streaming import download_to_writer

from dask_bake.environment.conda.condarc import CondaSettings
from dask_bake.environment.names import without_secrets
from dask_bake.environment.proxies import proxy_of
from dask_bake.errors import BakeError, UsageError

T = TypeVar("T")
REFUSALS = (exceptions.GatewayError, exceptions.FetchRepoDataError, exceptions.IoError, OSError, RuntimeError)
"""rattler's exceptions for channels; a download raises only RuntimeError or OSError."""

STATUS = re.compile(r"HTTP status \w+ error \((?P<status>(?P<code>\d{3})[^)]*)\) for url \((?P<url>\S*)\)")
CERTIFICATE = re.compile(r"invalid peer certificate: (?P<why>.+)")

MEANINGS = {
    "error sending request": "there is no connection to it",
    "error decoding response body": "its response is incomplete",
    "Request failed after": "every attempt failed",
}
ARCHIVES = (".conda", ".tar.bz2")

RETRIES = 2
TIMEOUT = 300
"""Seconds for a whole index of a channel, which is about 50 MB without shards."""

PROBE_TIMEOUT = 5
"""Seconds until the first bytes of a response."""

CHANNEL_HINT = "--channel or conda's settings (.condarc) name another; --installer pip needs none"
PROXY_HINT = "correct or unset the proxy; NO_PROXY names hosts that need none"
SHUTDOWN_GRACE = 0.05
"""Grace period in seconds for rattler's threads; exiting immediately sometimes crashed."""


@dataclass(frozen=True)
class Channels:
    """The channels of an environment, highest priority first, and the settings to reach them."""

    places: tuple[str, ...]
    settings: CondaSettings = field(default_factory=CondaSettings)
    cache: Path | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the channels' URLs as locks have them, without credentials."""
        return tuple(without_secrets(channel_of(place).base_url).rstrip("/") for place in self.places)

    def client(self, *, retries: int | None = None, timeout: int | None = TIMEOUT) -> rattler.Client:
        """Return a client with the user's certificates, proxies, mirrors and credentials."""
        try:
            config = rattler.Config.from_toml(_client_settings(self.settings))
        except ValueError as error:
            why = without_secrets(str(error)).splitlines()[-1]
            hint = "look at proxy_servers and mirrored_channels"
            raise UsageError(f"conda's settings have an invalid URL: {why}", hint=hint) from error
        again = RETRIES if retries is None else retries
        return rattler.Client.from_config(config, again, None, "dask-bake", timeout)


def run(work: Callable[[], Awaitable[T]], channels: Channels) -> T:
    """Run a coroutine and return its result; translate rattler's errors."""

    async def main() -> T:
        try:
            return await work()
        finally:
            await asyncio.sleep(SHUTDOWN_GRACE)

    with _certificates(channels.settings):
        try:
            return asyncio.run(main())
        except exceptions.SolverError as error:
            raise BakeError(
                f"the environment cannot be solved: {_explanation(error)}",
                hint="change what environment.yml asks for; nothing was started",
            ) from error
        except REFUSALS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            if os.strerror(errno.ENOSPC) in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise _unanswered(error, channels) from error


def channel_of(place: str) -> rattler.Channel:
    """Return the channel with that name, below conda's default alias, or at that URL."""
    try:
        if not place.strip():
            raise UsageError("a channel has no name", hint="a name or an address")
        return rattler.Channel(place)
    except exceptions.InvalidChannelError as error:
        raise UsageError(
            f"{without_secrets(place)!r} is not a channel: {first_line(error)}", hint="a name or an address"
        ) from error


def find_unreachable(channels: Channels) -> BakeError | None:
    """Return the error of the first channel that does not respond within seconds, or ``None``."""
    urls = [f"{channel_of(place).base_url}noarch/repodata_shards.msgpack.zst" for place in channels.places]
    for url in urls:
        if url.startswith("http") and (why := _probe(url, channels)):
            return why
    return None


def _probe(url: str, channels: Channels) -> BakeError | None:
    async def probe() -> None:
        client = channels.client(retries=0)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                try:
                    await download_to_writer(client, url, FirstBytes())
                except RuntimeError as error:
                    if STATUS.search(str(error)):
                        raise
                    gateway = rattler.Gateway(cache_dir=channels.cache, client=client)
                    await gateway.names([url.rpartition("/noarch/")[0]], ["noarch"])
        except TimeoutError:
            raise stalled_error(url, PROBE_TIMEOUT) from None

    try:
        run(probe, channels)
    except EOFError:
        return None
    except BakeError as error:
        status = STATUS.search(str(error.__cause__))
        return None if status and status["code"].startswith("4") else error
    return None


class FirstBytes:
    """A file that ends the download when the first bytes of the response arrive."""

    def write(self, data: bytes) -> None:
        """End the download."""
        raise EOFError(len(data))


def stalled_error(url: str, seconds: float) -> TimeoutError:
    """Return the error for a URL from which nothing arrived for that many seconds."""
    return TimeoutError(f"nothing came from {without_secrets(url)} for {seconds:g} seconds")


def _unanswered(error: Exception, channels: Channels) -> BakeError:
    """Return the error for a channel that rattler cannot read."""
    text = without_secrets(str(error))
    last = _words(text.splitlines()[-1])
    if channels.cache and str(channels.cache) in text:
        return BakeError(
            f"the channels' indexes cannot be stored: {last}", hint="XDG_CACHE_HOME can name another folder"
        )
    name = _which(text, channels)
    if certificate := CERTIFICATE.search(text):
        hint = "ssl_verify in conda's settings (.condarc) names the file of whoever signed it"
        return BakeError(f"{name} has a certificate that is not trusted: {certificate['why']}", hint=hint)
    status = STATUS.search(text)
    if status is None:
        url = next((address for address in channels.addresses if address in text), channels.addresses[0])
        if proxy := proxy_of(url, os.environ, channels.settings.proxy_servers):
            return BakeError(f"{name} does not answer{proxy}: {last}", hint=PROXY_HINT)
        return BakeError(f"{name} does not answer: {last}", hint=CHANNEL_HINT)
    if status["code"] in ("401", "403"):
        hint = "give its credentials as conda's users do: in the channel's address, .netrc or rattler's store"
        return BakeError(f"{name} denies access: {status['status']}", hint=hint)
    file = status["url"].rpartition("/")[2]
    if status["code"] == "404" and file.endswith(ARCHIVES):
        return BakeError(f"{name} has no {file}: {status['status']}", hint="dask-bake lock makes a new lock")
    if status["code"] == "404":
        return BakeError(f"{name} is not there: {status['status']}", hint="check the spelling of its name")
    return BakeError(f"{name} does not answer: {status['status']}", hint=CHANNEL_HINT)


def _words(line: str) -> str:
    """Return the meaning of rattler's last line."""
    for start, meaning in MEANINGS.items():
        if line.startswith(start):
            return meaning
    return re.sub(r" \(os error \d+\)$", "", line.removeprefix("Caused by: "))


def _which(text: str, channels: Channels) -> str:
    """Return the channel that the error is about."""
    by_address = dict(zip(channels.addresses, channels.places, strict=True))
    found = [address for address in by_address if address in text or len(by_address) == 1]
    if found:
        # One channel's address can begin with another's.
        return f"the channel {without_secrets(by_address[max(found, key=len)])}"
    return f"one of the channels {', '.join(map(without_secrets, channels.places))}"


def _explanation(error: Exception) -> str:
    return str(error).removeprefix("Cannot solve the request because of: ").rstrip()


def _client_settings(settings: CondaSettings) -> str:
    """Return rattler's configuration file with conda's settings."""
    lines = ['tls-root-certs = "all"']
    if settings.ssl_verify is False:
        lines.append("tls-no-verify = true")
    proxies = {key: settings.proxy_servers[key] for key in ("http", "https") if key in settings.proxy_servers}
    if proxies:
        lines += ["[proxy-config]", *(f"{key} = {json.dumps(value)}" for key, value in proxies.items())]
    if settings.mirrored_channels:
        lines.append("[mirrors]")
        for name, mirrors in settings.mirrored_channels.items():
            original = channel_of(settings.locations([name])[0]).base_url.rstrip("/")
            lines.append(f"{json.dumps(original)} = {json.dumps(list(mirrors))}")
    return "\n".join(lines)


def first_line(error: BaseException) -> str:
    """Return the first line of the error."""
    return (str(error) or type(error).__name__).splitlines()[0]


@contextmanager
def _certificates(settings: CondaSettings) -> Iterator[None]:
    """Set the certificate file in the environment, the only place where rattler reads it."""
    given = settings.ssl_verify if isinstance(settings.ssl_verify, str) else None
    if given and not Path(given).is_file():
        raise UsageError(
            f"conda's settings have ssl_verify: {given}, which is no file",
            hint="it names a file of certificates",
        )
    before = os.environ.get("SSL_CERT_FILE")
    theirs = before or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if path := given or theirs:
        os.environ["SSL_CERT_FILE"] = path
    try:
        yield
    finally:
        os.environ.pop("SSL_CERT_FILE", None)
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before
