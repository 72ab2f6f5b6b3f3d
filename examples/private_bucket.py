"""Read Parquet files from a private bucket on all nodes of a cluster.

From the laptop, with .[examples] installed:  python examples/private_bucket.py s3://my-bucket/rides --write
On the head of a cluster (dask-bake ssh):     python private_bucket.py s3://my-bucket/rides

The tasks' credentials are the cluster's (dask-bake launch --credentials) or, with --forward, your own.
"""

import argparse
import json
import sys
from typing import Any
from urllib.parse import urlsplit

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from botocore.exceptions import BotoCoreError, ClientError
from distributed import Client, get_worker

FILES, ROWS = 12, 10_000
REFUSED = (OSError, ValueError, ImportError, BotoCoreError, ClientError)


def main() -> None:
    """Write the files if that is wanted, read them on the cluster, and print the sums."""
    arguments = parser().parse_args()
    with cluster(arguments) as client:
        if arguments.write:
            write(arguments.data)
        found = read(client, arguments.data)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{found['rows']:,} rides on {len(found['nodes'])} nodes, {found['fares']:,.2f} dollars of fares.")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument("data", metavar="URL", help="a folder of Parquet files, s3://BUCKET/FOLDER")
    options.add_argument("--write", action="store_true", help="write such files first, with your credentials")
    options.add_argument("--forward", action="store_true", help="let the tasks use your credentials")
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--name", help="the cluster, if there are several (from the laptop)")
    options.add_argument("--cloud", help="aws, local or auto (from the laptop)")
    options.add_argument("--region", help="the AWS region (from the laptop)")
    return options


def cluster(arguments: argparse.Namespace) -> Any:
    """Return a client of the given cluster, of this node's, or of the one that dask-bake finds."""
    is_told = any((arguments.name, arguments.cloud, arguments.region, arguments.forward))
    if not is_told and (address := dask.config.get("scheduler-address", None)):
        return Client(address)  # type: ignore[no-untyped-call]
    from dask_bake import connect
    from dask_bake.errors import BakeError

    where = {"cloud": arguments.cloud, "region": arguments.region}
    try:
        return connect(arguments.name, **where, credentials="forward" if arguments.forward else None)
    except BakeError as error:
        print(error.message, *filter(None, [error.hint]), sep="\n", file=sys.stderr)
        sys.exit(error.exit_code)


def write(url: str) -> None:
    """Write files of invented rides, the same at each call, and make the bucket if there is none."""
    import boto3

    s3, bucket, folder = boto3.client("s3"), urlsplit(url).netloc, urlsplit(url).path.strip("/")
    try:
        if bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
            region = s3.meta.region_name
            other = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            where = {} if region == "us-east-1" else other
            s3.create_bucket(Bucket=bucket, **where)
        for number in range(FILES):
            random = np.random.default_rng(number)
            rides = pd.DataFrame({"fare": random.integers(300, 9000, ROWS) / 100, "month": number + 1})
            content = rides.to_parquet(index=False)
            s3.put_object(Bucket=bucket, Key=f"{folder}/{number:02}.parquet", Body=content)
    except REFUSED as error:
        sys.exit(f"Cannot write to {url}: {error}")


def read(client: Any, url: str) -> dict[str, Any]:
    """Return the number of rides, the sum of their fares, and the nodes that read them.

    The files are found here, with this machine's credentials, and read by tasks, with theirs.
    """
    try:
        client.wait_for_workers(1, timeout=60)
        rides = dd.read_parquet(url.rstrip("/"))
        parts = client.gather(client.compute([summary(part) for part in rides.to_delayed()]))
    except REFUSED as error:
        sys.exit(
            f"Cannot read {url}: {error}\n"
            "Tasks need credentials that may read it: dask-bake launch --credentials, or --forward."
        )
    return {
        "rows": sum(rows for rows, _, _ in parts),
        "fares": round(sum(fares for _, fares, _ in parts), 2),
        "nodes": sorted({node for _, _, node in parts}),
    }


@dask.delayed  # type: ignore[attr-defined, untyped-decorator]
def summary(rides: Any) -> tuple[int, float, str]:
    """Return the rows of a part, the sum of its fares, and the node that has read it."""
    node = get_worker().address.rpartition("/")[2].rpartition(":")[0]
    return len(rides), float(rides.fare.sum()), node


if __name__ == "__main__":
    main()
