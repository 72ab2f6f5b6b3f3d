"""The sample data of the local cloud's S3: a year of New York's taxi rides, made here, always the same."""

import os
from contextlib import suppress
from pathlib import Path

from dask_bake.errors import BakeError

RIDES_A_DAY = 3000
"""The real city has about 400 000; this is a million rows, and 130 MB, in the year."""


def file_names() -> tuple[str, ...]:
    """The keys of the twelve files in the bucket, in order of month."""
    return tuple(f"nyc-taxi/2015/yellow_tripdata_2015-{month:02}.csv" for month in range(1, 13))


def ensure(directory: Path, *, rides_a_day: int = RIDES_A_DAY) -> tuple[Path, ...]:
    """The twelve files under directory, each at its key; those that are missing are written first."""
    paths = tuple(directory / name for name in file_names())
    for month, path in enumerate(paths, start=1):
        if not path.exists():
            write_month(month, path, rides_a_day=rides_a_day)
    return paths


def write_month(month: int, path: Path, *, rides_a_day: int = RIDES_A_DAY) -> None:
    """Write one month to path, all of it or nothing."""
    # Numpy comes with dask-bake[local], and costs a tenth of a second that only a first start needs to spend.
    from dask_bake.local.samples.taxi_rides import month_as_text

    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(month_as_text(month, rides_a_day=rides_a_day), encoding="ascii", newline="\n")
        unfinished.replace(path)
    except OSError as error:
        raise BakeError(
            f"Cannot write the sample data {path}: {error.strerror}.",
            hint="It needs 130 MB in a folder that you may write to.",
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
