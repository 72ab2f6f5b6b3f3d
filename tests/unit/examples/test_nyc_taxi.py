"""The example on a real scheduler: the results of pandas on the same rows, and errors without data."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pandas as pd
import pytest
from distributed import LocalCluster
from moto.server import ThreadedMotoServer

from dask_bake.local.samples.s3 import ensure_files, file_names

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[3] / "examples" / "nyc_taxi.py"
HERE = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error", "AWS_CONFIG_FILE": os.devnull}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return ensure_files(tmp_path_factory.mktemp("rides"), rides_a_day=20)


@pytest.fixture(scope="module")
def s3(files: tuple[Path, ...]) -> Iterator[str]:
    """Return the URL of a local S3 with the public files."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )
    client.create_bucket(Bucket="dask-data")
    for key, path in zip(file_names(), files, strict=True):
        client.put_object(Bucket="dask-data", Key=key, Body=path.read_bytes(), ACL="public-read")
    client.close()
    yield url
    server.stop()


@pytest.fixture(scope="module")
def scheduler(s3: str) -> Iterator[str]:
    """Return a scheduler whose only worker, a process, has the URL of that S3; the example has not."""
    environment = {"AWS_ENDPOINT_URL": s3, "AWS_CONFIG_FILE": os.devnull}
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        dashboard_address=":0",
        worker_dashboard_address=":0",
        env=environment,
    ) as cluster:
        yield cluster.scheduler_address


def run(scheduler: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *arguments]
    environment = {**HERE, "DASK_SCHEDULER_ADDRESS": scheduler}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def by_hand(files: tuple[Path, ...]) -> dict[str, dict[str, float]]:
    """Return the results, computed without code of the example."""
    rides = pd.concat([pd.read_csv(path) for path in files])
    rides = rides[(rides["tip_amount"] > 0) & (rides["fare_amount"] > 0)]
    rides["fraction"] = rides["tip_amount"] / rides["fare_amount"]
    rides = rides[rides["fraction"] <= 1]
    rides["hour"] = rides["tpep_pickup_datetime"].str.slice(11, 13).astype(int)
    return {
        name: {str(group): part["fraction"].mean() for group, part in rides.groupby(column)}
        for name, column in (("by_passengers", "passenger_count"), ("by_hour", "hour"))
    }


def test_the_results_equal_those_of_pandas(scheduler: str, files: tuple[Path, ...]) -> None:
    done = run(scheduler, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    report, expected = json.loads(done.stdout), by_hand(files)
    assert report["rows"] == 365 * 20
    assert report["tip_fraction"].keys() == expected.keys()
    assert report["tip_fraction"]["by_passengers"] == pytest.approx(expected["by_passengers"])
    assert report["tip_fraction"]["by_hour"] == pytest.approx(expected["by_hour"])


def test_the_output_has_the_first_rides_and_both_tables_in_80_columns(
    scheduler: str, files: tuple[Path, ...]
) -> None:
    done = run(scheduler)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split()[0] == "tpep_pickup_datetime"
    assert lines[1].split()[:2] == files[0].read_text().splitlines()[1].split(",")[1].split()
    assert "7,300 rides. The mean tip, in percent of the fare," in lines
    assert [line.split()[0] for line in lines[-24:]] == [str(hour) for hour in range(24)]
    assert max(map(len, lines)) <= 80
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://dask-data/nyc-taxi/1915/*.csv", "resolved to no files"),
        ("s3://no-such-bucket/rides.csv", "The specified bucket does not exist"),
        ("nowhere://rides.csv", "Protocol not known: nowhere"),
    ],
)
def test_missing_data_is_an_error_with_a_hint(scheduler: str, url: str, reason: str) -> None:
    done = run(scheduler, "--data", url)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"Cannot read {url}: {reason}.",
        "The files must be there for anyone to read, with the columns of 2015; --data URL names others.",
    ]


def test_data_without_the_expected_columns_is_refused_with_their_names(
    scheduler: str, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")

    done = run(scheduler, "--data", str(tmp_path / "*.csv"))

    assert done.returncode == 1
    assert (
        "Missing column provided to 'parse_dates': 'tpep_dropoff_datetime, tpep_pickup_datetime'."
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_a_cluster_that_is_given_precedes_an_address_in_the_configuration() -> None:
    done = run("tcp://127.0.0.1:9", "--name", "mine", "--cloud", "aws", "--region", "us-east-1")

    assert (done.returncode, done.stdout) == (2, "")
    assert "there are no AWS credentials" in done.stderr
