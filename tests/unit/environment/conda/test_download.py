"""Downloads of locked archives, kept by hash."""

import errno
from pathlib import Path

import pytest

from conda_server import Served, serve
from conda_solving import QUIET, locked
from dask_bake.environment.conda import download
from dask_bake.environment.conda.channels import Channels
from dask_bake.environment.conda.download import fetch
from dask_bake.environment.conda.solve import CondaLock
from dask_bake.errors import BakeError
from dask_bake.events import Event, Output
from dask_bake.system.files import sha256_of


def bring(lock: CondaLock, served: Served, cache: Path) -> list[str]:
    """Return the names that were requested."""
    events: list[Event] = []
    served.requests.clear()
    found = fetch(lock, Channels((served.url,)), cache, events.append)
    assert [sha256_of(path) for path in found] == [each.package.sha256 for each in lock.archives]
    requested = [path.rpartition("/")[2] for path in served.requests]
    assert sorted(requested) == sorted(event.line for event in events if isinstance(event, Output))
    return sorted(requested)


def test_archives_are_cached_by_hash_and_only_missing_or_damaged_ones_are_downloaded(
    served, tmp_path
) -> None:
    lock, some = locked(["a"], served.url), locked(["b"], served.url)
    assert bring(some, served, tmp_path) == ["b-1.5-h1_0.conda", "python-3.11.9-0.conda"]
    assert bring(lock, served, tmp_path) == ["a-1.0-0.conda"]
    assert bring(lock, served, tmp_path) == []
    b = lock.archives[1]
    (tmp_path / b.package.sha256 / b.file_name).write_bytes(b"half")
    assert bring(lock, served, tmp_path) == ["b-1.5-h1_0.conda"]


def failure(lock: CondaLock, served: Served, cache: Path) -> BakeError:
    """Return the error of a download, and check that no file of the package is left."""
    with pytest.raises(BakeError) as caught:
        fetch(lock, Channels((served.url,)), cache, QUIET)
    assert [path for path in cache.rglob("*old*") if path.is_file()] == []
    assert list(cache.glob("download-*")) == []
    return caught.value


def test_an_archive_with_another_hash_is_refused_and_not_kept(served: Served, tmp_path: Path) -> None:
    lock = locked(["old"], served.url)
    served.corrupt.add("old-1-0.conda")
    assert failure(lock, served, tmp_path).message == (
        "old-1-0.conda is not the package that is locked: its SHA-256 differs"
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
def test_a_failed_download_is_an_error_with_the_reason(
    fault, attempts, says, folder, tmp_path, monkeypatch
) -> None:
    if fault in ("hanging", "stalled"):
        monkeypatch.setattr(download, "STALL_TIMEOUT", 1.0)
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


def test_a_truncated_download_is_retried(served, tmp_path, monkeypatch) -> None:
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
        f"not enough space in {tmp_path}: about 1500 MB are needed"
    )
