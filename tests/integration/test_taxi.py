"""The example, on real nodes and real input, against pandas on the same rows."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "nyc_taxi.py"


@pytest.fixture(scope="module")
def figures_by_pandas(cloud, figures):
    """The two tables, by pandas, from the files that the local cloud's S3 serves."""
    files = sorted((cloud.root / "samples" / "nyc-taxi" / "2015").glob("*.csv"))
    rides = pd.concat([pd.read_csv(file, parse_dates=["tpep_pickup_datetime"]) for file in files])
    assert len(files) >= 8
    assert len(rides.columns) == 19
    return rides


@pytest.fixture(scope="module")
def figures(cloud, cluster):
    """What the example says on the head, as JSON."""
    told = cloud.run(
        "ssh", "--name", "shared", "--", "python", "-", "--json", text=EXAMPLE.read_text(), timeout=300
    )
    return json.loads(told)


def test_every_ride_was_read(figures, figures_by_pandas):
    """At least a million rows, and the same number."""
    assert figures["rows"] == len(figures_by_pandas) >= 1_000_000


def test_the_figures_are_pandas_s(figures, figures_by_pandas):
    """Mean tip by fare, over rides whose tip was recorded, by passengers and by hour."""
    every = figures_by_pandas
    rides = every[every.fare_amount.gt(0) & every.tip_amount.gt(0) & every.tip_amount.le(every.fare_amount)]
    fraction = rides.tip_amount / rides.fare_amount
    by_passengers = fraction.groupby(rides.passenger_count).mean()
    by_hour = fraction.groupby(rides.tpep_pickup_datetime.dt.hour).mean()

    told = figures["tip_fraction"]
    assert {int(key): value for key, value in told["by_passengers"].items()} == pytest.approx(
        by_passengers.to_dict()
    )
    assert {int(key): value for key, value in told["by_hour"].items()} == pytest.approx(by_hour.to_dict())


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="client and cluster need the same Python minor version"
)
def test_it_runs_from_this_machine_as_on_the_head(cloud, cluster, figures):
    """The same script, the same figures, through the way in."""
    told = json.loads(cloud.python(str(EXAMPLE), "--name", "shared", "--json"))
    assert told["rows"] == figures["rows"]
    for table, means in figures["tip_fraction"].items():
        assert told["tip_fraction"][table] == pytest.approx(means)


def test_it_shows_rows_and_tables(cloud, cluster):
    """Through a pipe and within 80 columns: the first rows, then both tables; of one month."""
    data = "s3://dask-data/nyc-taxi/2015/*-01.csv"
    words = ("ssh", "--name", "shared", "--", "python", "-", "--data", data)
    told = cloud.run(*words, text=EXAMPLE.read_text(), timeout=120)

    assert "tpep_pickup_datetime" in told
    assert "by number of passengers" in told
    assert "by hour of pickup" in told
    assert all(len(line) <= 80 for line in told.splitlines())


def test_data_that_is_not_there_is_one_sentence(cloud, cluster):
    """What cannot be read, and a way out; no traceback."""
    done = cloud.attempt(
        "ssh",
        "--name",
        "shared",
        "--",
        "python",
        "-",
        "--data",
        "s3://dask-data/none/*.csv",
        text=EXAMPLE.read_text(),
    )

    assert done.returncode == 1
    assert "s3://dask-data/none/*.csv" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
