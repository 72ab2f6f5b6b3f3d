"""The sample data: the columns of the real files, plausible values, and reproducible bytes."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from dask_bake.errors import BakeError
from dask_bake.local.samples.s3 import RIDES_A_DAY, ensure_files, file_names, write_month

HEADER = (
    "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,pickup_longitude,"
    "pickup_latitude,RateCodeID,store_and_fwd_flag,dropoff_longitude,dropoff_latitude,payment_type,fare_amount,"
    "extra,mta_tax,tip_amount,tolls_amount,improvement_surcharge,total_amount"
)
PARTS = ["fare_amount", "extra", "mta_tax", "tip_amount", "tolls_amount", "improvement_surcharge"]


@pytest.fixture(scope="module")
def june(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("june") / "june.csv"
    write_month(6, path)
    return pd.read_csv(path, parse_dates=["tpep_pickup_datetime", "tpep_dropoff_datetime"])


def test_there_are_twelve_files_and_more_than_a_million_rides() -> None:
    assert len(file_names()) == 12
    assert file_names()[0] == "nyc-taxi/2015/yellow_tripdata_2015-01.csv"
    assert file_names()[-1] == "nyc-taxi/2015/yellow_tripdata_2015-12.csv"
    assert 365 * RIDES_A_DAY >= 1_000_000


def test_a_month_has_the_columns_of_2015_and_a_row_for_each_ride(tmp_path: Path) -> None:
    path = tmp_path / "february.csv"

    write_month(2, path, rides_a_day=10)

    header, *rows = path.read_text().splitlines()
    assert header == HEADER
    assert len(rows) == 28 * 10
    assert {row.count(",") for row in rows} == {18}


def test_a_month_has_the_same_bytes_whenever_it_is_written(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_month(3, tmp_path / name)

    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert len(digests) == 1


def test_months_differ(tmp_path: Path) -> None:
    write_month(1, tmp_path / "january")
    write_month(3, tmp_path / "march")

    january, march = ((tmp_path / name).read_text().splitlines() for name in ("january", "march"))
    assert january[1][21:] != march[1][21:]


def test_every_ride_starts_in_its_month_and_ends_later(june: pd.DataFrame) -> None:
    assert set(june.tpep_pickup_datetime.dt.strftime("%Y-%m")) == {"2015-06"}
    assert (june.tpep_dropoff_datetime > june.tpep_pickup_datetime).all()


def test_the_total_is_the_sum_of_its_parts_to_the_cent(june: pd.DataFrame) -> None:
    cents = (june[[*PARTS, "total_amount"]] * 100).round().astype(int)

    assert (cents[PARTS].sum(axis="columns") == cents.total_amount).all()


def test_only_card_payments_have_tips(june: pd.DataFrame) -> None:
    tipped = june[june.tip_amount != 0]

    assert set(tipped.payment_type) == {1}
    assert 0.9 < len(tipped) / (june.payment_type == 1).sum() < 1


def test_a_ride_to_the_airport_has_the_flat_fare(june: pd.DataFrame) -> None:
    flat = june[june.RateCodeID == 2]

    assert set(flat.fare_amount.abs()) == {52}
    assert set(flat.extra) == {0}
    assert 15 < flat[flat.trip_distance > 0].trip_distance.mean() < 20


def test_positions_are_in_the_city_or_zero(june: pd.DataFrame) -> None:
    for end in ("pickup", "dropoff"):
        longitude, latitude = june[f"{end}_longitude"], june[f"{end}_latitude"]
        lost = (longitude == 0) & (latitude == 0)
        assert 0 < lost.mean() < 0.05
        assert longitude[~lost].between(-74.05, -73.70).all()
        assert latitude[~lost].between(40.55, 40.92).all()


def test_the_day_has_a_rush_hour_and_a_quiet_one(june: pd.DataFrame) -> None:
    weekdays = june[june.tpep_pickup_datetime.dt.day_of_week < 5]
    rides = weekdays.groupby(weekdays.tpep_pickup_datetime.dt.hour).size()

    assert rides.loc[19] > 5 * rides.loc[3]


def test_there_are_a_few_implausible_rides(june: pd.DataFrame) -> None:
    for odd in (june.passenger_count == 0, june.trip_distance == 0, june.fare_amount < 0):
        assert 0 < odd.mean() < 0.01


def test_existing_files_are_kept_and_missing_ones_are_written(tmp_path: Path) -> None:
    paths = ensure_files(tmp_path, rides_a_day=1)
    paths[4].write_text("mine")
    paths[5].unlink()

    assert ensure_files(tmp_path, rides_a_day=1) == paths

    assert paths[4].read_text() == "mine"
    assert paths[5].read_text().startswith(HEADER)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths)


def test_an_unwritable_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nyc-taxi").write_text("a file where the folder should be")

    with pytest.raises(
        BakeError, match=r"cannot write the sample data .*2015-01\.csv: Not a directory$"
    ) as caught:
        ensure_files(tmp_path, rides_a_day=1)

    assert caught.value.hint is not None
