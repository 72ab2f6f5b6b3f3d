"""How rattler reaches conda's channels: as the user's conda settings say, with errors as sentences."""

import asyncio
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
from rattler.package_streaming import download_bytes

from dask_bake.channel_urls import without_secrets
from dask_bake.conda_settings import CondaSettings
from dask_bake.errors import BakeError, UsageError

T = TypeVar("T")
REFUSALS = (exceptions.GatewayError, exceptions.FetchRepoDataError, exceptions.IoError, RuntimeError)
"""What rattler raises when a channel does not give; of a download it is no more than a RuntimeError."""

STATUS = re.compile(r"HTTP status client error \((?P<code>\d{3})")

RETRIES = 2
TIMEOUT = 30
"""Seconds that a channel may be silent; a probe is less patient."""

PROBE = 5
CHANNEL_HINT = "--channel or conda's settings (.condarc) name another; --installer pip needs none"
SETTLE = 0.05
"""Seconds in which rattler's threads let go of Python's objects: an end at once was sometimes a crash."""


@dataclass(frozen=True)
class Channels:
    """Where packages come from, the strongest first, and how these places are reached."""

    places: tuple[str, ...]
    settings: CondaSettings = field(default_factory=CondaSettings)
    cache: Path | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The places as locks name them: addresses, without credentials."""
        return tuple(without_secrets(channel_of(place).base_url.rstrip("/")) for place in self.places)

    def client(self, *, retries: int = RETRIES, timeout: int = TIMEOUT) -> rattler.Client:
        """A client with the user's certificates, proxies, mirrors and credentials."""
        config = rattler.Config.from_toml(_client_settings(self.settings))
        return rattler.Client.from_config(config, retries, None, "dask-bake", timeout)


def run(work: Callable[[], Awaitable[T]], channels: Channels) -> T:
    """What the work comes to; rattler's errors as sentences."""

    async def main() -> T:
        try:
            return await work()
        finally:
            await asyncio.sleep(SETTLE)

    with _certificates(channels.settings):
        try:
            return asyncio.run(main())
        except exceptions.SolverError as error:
            raise BakeError(
                f"the environment cannot be solved: {_explanation(error)}",
                hint="change what environment.yml asks for; nothing was started",
            ) from error
        except REFUSALS as error:
            raise _unanswered(error, channels) from error


def channel_of(place: str) -> rattler.Channel:
    """The channel of that name, below conda's own alias, or at that address."""
    try:
        return rattler.Channel(place)
    except exceptions.InvalidChannelError as error:
        raise UsageError(
            f"{without_secrets(place)!r} is no channel: {first_line(error)}", hint="a name or an address"
        ) from error


def silence(channels: Channels) -> str | None:
    """Why one of the channels does not answer within seconds; ``None`` where all do, whatever they say."""
    client = channels.client(retries=0, timeout=PROBE)
    urls = [f"{channel_of(place).base_url}noarch/repodata_shards.msgpack.zst" for place in channels.places]
    for url in urls:
        if url.startswith("http") and (why := _silence(client, url, channels)):
            return why
    return None


def _silence(client: rattler.Client, url: str, channels: Channels) -> str | None:
    try:
        run(lambda: download_bytes(client, url), channels)
    except BakeError as error:
        return None if STATUS.search(str(error.__cause__)) else error.message
    return None


def _unanswered(error: Exception, channels: Channels) -> BakeError:
    """The sentence for a channel that does not give what it should."""
    text = without_secrets(str(error))
    status = STATUS.search(text)
    code = status["code"] if status else ""
    name = _which(text, channels)
    last = text.splitlines()[-1].removeprefix("Caused by: ")
    why = "there is no connection to it" if last.startswith("error sending request") else last
    if code in ("401", "403"):
        hint = "give its credentials as conda's users do: in the channel's address, .netrc or rattler's store"
        return BakeError(f"{name} lets nobody in without credentials: {why}", hint=hint)
    if code == "404":
        return BakeError(f"{name} is not there: {why}", hint="is its name spelled right?")
    return BakeError(
        f"{name} does not answer: {why}",
        hint=CHANNEL_HINT,
    )


def _which(text: str, channels: Channels) -> str:
    """The channel that the error is about."""
    for place, address in zip(channels.places, channels.addresses, strict=True):
        if address in text or len(channels.places) == 1:
            return f"the channel {without_secrets(place)}"
    return f"one of the channels {', '.join(map(without_secrets, channels.places))}"


def _explanation(error: Exception) -> str:
    return str(error).removeprefix("Cannot solve the request because of: ").rstrip()


def _client_settings(settings: CondaSettings) -> str:
    """rattler's configuration file, saying what conda's says."""
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
    """The error in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]


@contextmanager
def _certificates(settings: CondaSettings) -> Iterator[None]:
    """rattler takes a file of certificates from the environment alone."""
    given = settings.ssl_verify if isinstance(settings.ssl_verify, str) else None
    path = given or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if path is None or os.environ.get("SSL_CERT_FILE"):
        yield
        return
    os.environ["SSL_CERT_FILE"] = path
    try:
        yield
    finally:
        del os.environ["SSL_CERT_FILE"]
