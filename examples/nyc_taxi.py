"""Who tips New York's taxi drivers? Read a year of rides from S3, and average them on a cluster.

On the head of a cluster (dask-bake ssh):    python nyc_taxi.py
From the laptop, with .[examples] installed:  python examples/nyc_taxi.py
"""

import argparse
import json
import sys
from typing import Any

import dask
import dask.dataframe as dd
import fsspec  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError
from distributed import Client, progress

DATA = "s3://dask-data/nyc-taxi/2015/*.csv"
SHOWN = ["tpep_pickup_datetime", "passenger_count", "trip_distance", "fare_amount", "tip_amount"]
# read_csv would infer integers if the first rows of a file have no fractions.
FLOATS = (
    "trip_distance", "pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude",
    "fare_amount", "extra", "mta_tax", "tip_amount", "tolls_amount", "improvement_surcharge", "total_amount",
)  # fmt: skip


def read(url: str) -> Any:
    """Return a Dask dataframe of the rides in the CSV files: they are found now, and read when computed."""
    return dd.read_csv(
        url,
        blocksize="16 MiB",
        parse_dates=["tpep_pickup_datetime", "tpep_dropoff_datetime"],
        dtype=dict.fromkeys(FLOATS, "float64"),
        storage_options={"anon": True} if url.startswith("s3://") else None,
    )


def tip_fraction(rides: Any) -> tuple[Any, Any]:
    """Return the mean of tip / fare by number of passengers and by hour of pickup, for pandas or Dask.

    Cash tips are not recorded, and a tip above the fare is a typing error: neither counts.
    """
    tipped = rides[(rides.tip_amount > 0) & (rides.fare_amount > 0) & (rides.tip_amount <= rides.fare_amount)]
    tipped = tipped.assign(
        fraction=tipped.tip_amount / tipped.fare_amount, hour=tipped.tpep_pickup_datetime.dt.hour
    )
    return tipped.groupby("passenger_count").fraction.mean(), tipped.groupby("hour").fraction.mean()


def main() -> None:
    """Find the cluster, load the rides into its memory, and print the result."""
    arguments = parser().parse_args()
    with cluster(arguments) as client:
        rides = load(client, arguments.data)
        if sys.stdout.isatty() and not arguments.json:
            progress(rides)  # type: ignore[no-untyped-call]
        head, rows = rides[SHOWN].head(), len(rides)
        by_passengers, by_hour = client.compute(tip_fraction(rides), sync=True)
    if arguments.json:
        fractions = {"by_passengers": by_passengers.to_dict(), "by_hour": by_hour.to_dict()}
        print(json.dumps({"data": arguments.data, "rows": rows, "tip_fraction": fractions}))
        return
    print(head.to_string(index=False))
    print(f"\n{rows:,} rides. The mean tip, in percent of the fare,")
    print(f"\nby number of passengers:\n{chart(by_passengers)}")
    print(f"\nby hour of pickup:\n{chart(by_hour)}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument(
        "--data", metavar="URL", default=DATA, help="CSV files that the workers can read (%(default)s)"
    )
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--name", help="the cluster, if there are several (from the laptop)")
    options.add_argument("--cloud", help="aws, local or auto (from the laptop)")
    options.add_argument("--region", help="the AWS region (from the laptop)")
    return options


def cluster(arguments: argparse.Namespace) -> Any:
    """Return a client of the given cluster, of this node's, or of the one that dask-bake finds."""
    is_told = any((arguments.name, arguments.cloud, arguments.region))
    if not is_told and (address := dask.config.get("scheduler-address", None)):
        try:
            return Client(address)  # type: ignore[no-untyped-call]
        except OSError:
            sys.exit(f"There is no scheduler at {address}. See how it is: systemctl status 'dask*'")
    try:
        from dask_bake import connect
        from dask_bake.errors import BakeError
    except ImportError as error:
        sys.exit(f"{error}. Either run this on the head of a cluster, or: pip install '.[examples]'")
    try:
        return connect(arguments.name, cloud=arguments.cloud, region=arguments.region)
    except BakeError as error:
        print(error.message, *filter(None, [error.hint]), sep="\n", file=sys.stderr)
        sys.exit(error.exit_code)


def load(client: Any, url: str) -> Any:
    """Start loading the rides into the memory of the cluster, and return them.

    A worker finds the files, not this machine: only the cluster needs to reach them.
    """
    try:
        fsspec.get_filesystem_class(fsspec.utils.get_protocol(url))  # needed here too, to load the result
        client.wait_for_workers(1, timeout=60)
        return client.submit(read, url, pure=False).result().persist()
    except (OSError, ValueError, ImportError, BotoCoreError) as error:
        reason = str(error).rpartition("Original Message: ")[2].removeprefix(url).strip().rstrip(".")
        sys.exit(
            f"Cannot read {url}: {reason}.\n"
            "The files must be there for anyone to read, with the columns of 2015; --data URL names others."
        )


def chart(fractions: Any) -> str:
    """Return a line with a bar for each group."""
    groups = fractions.sort_index().items()
    return "\n".join(f"{group:4}  {100 * mean:5.2f}  {'#' * round(200 * mean)}" for group, mean in groups)


if __name__ == "__main__":
    main()
