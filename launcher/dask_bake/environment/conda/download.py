"""Download of locked conda archives: verified, and cached by their hashes."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import rattler
from rattler.package_streaming import download_to_path

from dask_bake.environment.conda.channels import RETRIES, STATUS, Channels, channel_of, run, stalled_error
from dask_bake.environment.conda.solve import Archive, CondaLock
from dask_bake.environment.names import without_secrets
from dask_bake.errors import BakeError
from dask_bake.events import Notify, Output
from dask_bake.system.disk import explain_disk_errors
from dask_bake.system.files import sha256_of

DOWNLOADS = 8
DISK_SPACE_NEEDED = 1500 << 20
STALL_TIMEOUT = 30
"""Seconds without any data after which a download fails; its total time is not limited."""


def fetch(lock: CondaLock, channels: Channels, cache: Path, notify: Notify) -> tuple[Path, ...]:
    """Return the locked archives, verified, in the lock's order; download those that are not cached."""
    with explain_disk_errors(cache, needed=DISK_SPACE_NEEDED):
        cache.mkdir(parents=True, exist_ok=True)
        missing = [archive for archive in lock.archives if not _is_cached(cache, archive)]
        if missing:
            run(lambda: _download_all(missing, channels, cache, notify), channels)
    return tuple(_place(cache, archive) for archive in lock.archives)


async def _download_all(archives: Sequence[Archive], channels: Channels, cache: Path, notify: Notify) -> None:
    client = channels.client(retries=0, timeout=None)
    places = {without_secrets(channel_of(place).base_url): place for place in channels.places}
    free = asyncio.Semaphore(DOWNLOADS)

    async def download(archive: Archive) -> None:
        async with free:
            notify(Output(archive.file_name))
            await _download(client, archive, _with_secrets(archive.url, places), cache)

    await asyncio.gather(*map(download, archives))


async def _download(client: rattler.Client, archive: Archive, url: str, cache: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as folder:
        draft = Path(folder, archive.file_name)
        await _bring(client, url, draft)
        if sha256_of(draft) != archive.package.sha256:
            raise BakeError(
                f"{archive.file_name} is not the package that is locked: its SHA-256 differs",
                hint="the channel has changed, or its mirror differs: dask-bake lock makes a new lock",
            )
        home = _place(cache, archive)
        home.parent.mkdir(exist_ok=True)
        draft.replace(home)


async def _bring(client: rattler.Client, url: str, draft: Path) -> None:
    """Download an archive from its URL, with retries where they can help.

    rattler's own retries would hide the cause, and it cannot copy an archive from a folder.
    """
    if url.startswith("file:"):
        shutil.copyfile(url2pathname(urlsplit(url).path), draft)
        return
    for attempt in range(RETRIES + 1):
        try:
            await _patiently(client, url, draft)
        except (OSError, RuntimeError) as error:
            status = STATUS.search(str(error))
            if attempt == RETRIES or (status and status["code"].startswith("4")):
                raise
            await asyncio.sleep(attempt / 2)
        else:
            return


async def _patiently(client: rattler.Client, url: str, draft: Path) -> None:
    """Download the file; raise if nothing arrives for ``STALL_TIMEOUT`` seconds."""
    download = asyncio.ensure_future(download_to_path(client, url, draft))
    size = -1
    try:
        while not (await asyncio.wait([download], timeout=STALL_TIMEOUT))[0]:
            before, size = size, draft.stat().st_size if draft.exists() else -1
            if size == before:
                raise stalled_error(url, STALL_TIMEOUT)
        await download
    finally:
        download.cancel()


def _with_secrets(url: str, places: Mapping[str, str]) -> str:
    """Return the URL with the credentials that the user gave for its channel."""
    for bare, place in places.items():
        if url.startswith(bare):
            return channel_of(place).base_url + url.removeprefix(bare)
    return url


def _place(cache: Path, archive: Archive) -> Path:
    return cache / archive.package.sha256 / archive.file_name


def _is_cached(cache: Path, archive: Archive) -> bool:
    """Return whether the archive is cached and undamaged."""
    path = _place(cache, archive)
    return path.is_file() and sha256_of(path) == archive.package.sha256
