"""The example with its input on a cluster, compared with pandas."""

import json
from pathlib import Path

import pandas as pd
import pytest

from base_release import BASE, PYTHON

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "nyc_taxi.py"


@pytest.fixture(scope="module")
def figures(cloud, cluster):
    """Run the example on the head and return its JSON; this first requests the sample files."""
    output = cloud.run(
        "ssh", "--name", "shared", "--", "python", "-", "--json", text=EXAMPLE.read_text(), timeout=300
    )
    return json.loads(output)


@pytest.fixture(scope="module")
def rides(cloud, figures):
    """The rides of each month, read by pandas from the local cloud's S3."""
    files = sorted((cloud.root / "samples" / "nyc-taxi" / "2015").glob("*.csv"))
    months = [pd.read_csv(file, parse_dates=["tpep_pickup_datetime"]) for file in files]
    assert len(months) >= 8
    assert {len(month.columns) for month in months} == {19}
    return months


def check(figures, every):
    """Compare the number of rows, and the mean tip of rides with a recorded tip by passengers and by hour."""
    rides = every[every.fare_amount.gt(0) & every.tip_amount.gt(0) & every.tip_amount.le(every.fare_amount)]
    fraction = rides.tip_amount / rides.fare_amount
    by_passengers = fraction.groupby(rides.passenger_count).mean()
    by_hour = fraction.groupby(rides.tpep_pickup_datetime.dt.hour).mean()

    computed = figures["tip_fraction"]
    assert figures["rows"] == len(every)
    assert {int(key): value for key, value in computed["by_passengers"].items()} == pytest.approx(
        by_passengers.to_dict()
    )
    assert {int(key): value for key, value in computed["by_hour"].items()} == pytest.approx(by_hour.to_dict())


def test_the_figures_of_a_year_equal_pandas_s(figures, rides):
    """Of at least a million rides."""
    assert figures["rows"] >= 1_000_000
    check(figures, pd.concat(rides))


@pytest.mark.skipif(
    BASE.python_minor != PYTHON, reason="client and cluster need the same Python minor version"
)
def test_the_example_also_runs_from_this_machine(cloud, cluster, rides):
    """Through the tunnel, for one month."""
    january = ("--data", "s3://dask-data/nyc-taxi/2015/*-01.csv")
    check(json.loads(cloud.python(str(EXAMPLE), "--name", "shared", "--json", *january)), rides[0])
