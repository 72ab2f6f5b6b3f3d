"""Generate a month of plausible New York yellow-taxi rides as CSV, from a fixed seed, with numpy.

All values are integers (cents, hundredths of a mile, 1e-5 degrees, seconds): sums are exact, and a value
becomes text by looking it up in a table, which is many times faster than formatting it.
"""

import math
from calendar import monthrange
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

YEAR = 2015
COLUMNS = (
    "VendorID", "tpep_pickup_datetime", "tpep_dropoff_datetime", "passenger_count", "trip_distance",
    "pickup_longitude", "pickup_latitude", "RateCodeID", "store_and_fwd_flag", "dropoff_longitude",
    "dropoff_latitude", "payment_type", "fare_amount", "extra", "mta_tax", "tip_amount", "tolls_amount",
    "improvement_surcharge", "total_amount",
)  # fmt: skip

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

_CITY, _JFK, _LA_GUARDIA = 0, 1, 2
_AIRPORTS = {_JFK: (-73.7822, 40.6446), _LA_GUARDIA: (-73.8721, 40.7744)}
# Start of a ride: weight, longitude, latitude, spread; Midtown, the Village, both sides of the Park, …
_QUARTERS = np.array([
    (0.34, -73.9820, 40.7550, 0.0085),
    (0.22, -73.9990, 40.7310, 0.0080),
    (0.16, -73.9610, 40.7720, 0.0065),
    (0.12, -73.9780, 40.7850, 0.0060),
    (0.10, -74.0090, 40.7100, 0.0045),
    (0.06, -73.9540, 40.7130, 0.0100),
])  # fmt: skip
_BOX = ((-74.05, -73.70), (40.55, 40.92))
_MILES_PER_DEGREE = (52.4, 69.0)

# Rides, and miles an hour, by hour of day. Weekends start later and last longer.
_WEEKDAY = np.array([
    18, 10, 7, 5, 6, 10, 23, 38, 46, 46, 44, 45, 48, 47, 48, 46, 40, 48, 60, 62, 58, 56, 50, 36,
])  # fmt: skip
_WEEKEND = np.array([
    52, 46, 38, 28, 18, 9, 9, 12, 20, 32, 40, 45, 48, 48, 48, 47, 44, 48, 54, 52, 46, 44, 46, 46,
])  # fmt: skip
_DAY_OF_WEEK = np.array([0.91, 0.97, 1.0, 1.03, 1.07, 1.09, 0.96])
_SPEED = np.array([
    16, 17, 17.5, 18.5, 21, 21, 17, 13, 10.8, 10.5, 10.5, 10.3,
    10.2, 10.3, 10, 10, 10.2, 10, 10.3, 11.5, 13, 13.6, 14, 15,
])  # fmt: skip

# Tips fall with the number of passengers; they are highest late in the evening and lowest at noon.
_GENEROSITY_BY_PASSENGERS = np.array([1.08, 1.0, 0.98, 0.96, 0.93, 0.995, 0.985])
_GENEROSITY_BY_HOUR = 1 + 0.06 * np.cos((np.arange(24) - 23) * math.tau / 24)


def month_as_text(month: int, *, rides_a_day: int) -> str:
    """Return the CSV text of one month of 2015 with its header: the same for the same arguments."""
    rows = map(",".join, zip(*_columns(month, rides_a_day), strict=True))
    return "\n".join((",".join(COLUMNS), *rows, ""))


def _columns(month: int, rides_a_day: int) -> Iterator[list[str]]:
    """Yield the texts of each column, in the order of COLUMNS."""
    rng = np.random.default_rng((YEAR, month))
    pickup = _pickup_times(rng, month, rides_a_day)
    hour = pickup // 3600 % 24
    weekend = (pickup // 86400 + 3) % 7 >= 5  # the epoch was a Thursday
    size = len(pickup)

    vendor = _choose(rng, size, (0.47, 0.53)) + 1
    passengers = _choose(rng, size, (0.0006, 0.70, 0.14, 0.043, 0.0204, 0.058, 0.038))
    miles, start, end, airport = _trips(rng, size)
    seconds = _durations(rng, miles, hour, weekend=weekend)
    rate, fare = _fares(rng, miles, seconds, airport)
    extra = _extras(hour, rate, weekend=weekend)
    mta_tax = np.where(rate == 3, 0, 50)
    surcharge = np.full(size, 30)
    tolls = _tolls(rng, month, rate, airport)
    payment = _choose(rng, size, (0.632, 0.363, 0.004, 0.001)) + 1
    before_tip = fare + extra + mta_tax + tolls + surcharge
    tip = np.where(payment == 1, _tips(rng, before_tip, passengers, hour), 0)

    # Errors of real meters: no position, no distance, a refunded ride.
    lost = rng.random(size) < 0.015
    unmeasured = rng.random(size) < 0.005
    sign = np.where((payment > 2) & (vendor == 2) & (rng.random(size) < 0.3), -1, 1)

    yield _decimals(vendor, 0)
    yield _stamps(pickup)
    yield _stamps(pickup + seconds)
    yield _decimals(passengers, 0)
    yield _decimals(np.where(unmeasured, 0, miles), 2)
    yield from (_decimals(np.where(lost, 0, degrees), 5) for degrees in start)
    yield _decimals(rate, 0)
    yield np.where((vendor == 1) & (rng.random(size) < 0.016), "Y", "N").tolist()
    yield from (_decimals(np.where(lost, 0, degrees), 5) for degrees in end)
    yield _decimals(payment, 0)
    for cents in (fare, extra, mta_tax, tip, tolls, surcharge, before_tip + tip):
        yield _decimals(sign * cents, 2)


def _pickup_times(rng: np.random.Generator, month: int, rides_a_day: int) -> Integers:
    """Return seconds since the epoch, sorted and distributed over the month by weekday and hour."""
    days = monthrange(YEAR, month)[1]
    first = int(np.datetime64(f"{YEAR}-{month:02}-01", "D").astype(int))
    weekday = (first + 3 + np.arange(days)) % 7
    by_hour = np.where((weekday >= 5)[:, None], _WEEKEND / _WEEKEND.sum(), _WEEKDAY / _WEEKDAY.sum())
    weights = (by_hour * _DAY_OF_WEEK[weekday][:, None]).ravel()
    rides = rng.multinomial(days * rides_a_day, weights / weights.sum())
    hours = np.repeat(np.arange(days * 24), rides)
    return np.sort(first * 86400 + hours * 3600 + rng.integers(0, 3600, len(hours)))


def _trips(rng: np.random.Generator, size: int) -> tuple[Integers, list[Integers], list[Integers], Integers]:
    """Return distances in hundredths of miles, starts and ends in 1e-5 degrees, and the ride's airport."""
    _, longitudes, latitudes, spreads = _QUARTERS[_choose(rng, size, tuple(_QUARTERS[:, 0]))].T
    here = [longitudes + spreads * rng.normal(size=size), latitudes + spreads * rng.normal(size=size)]
    airport = _choose(rng, size, (0.955, 0.02, 0.025))
    miles = np.choose(airport, (
        rng.lognormal(math.log(1.62), 0.75, size),
        rng.lognormal(math.log(17.3), 0.09, size),
        rng.lognormal(math.log(9.6), 0.14, size),
    ))  # fmt: skip
    there = _along_the_avenues(rng, here, miles)
    for code, place in _AIRPORTS.items():
        jitter = 0.002 * rng.normal(size=(2, size))
        there = [np.where(airport == code, place[i] + jitter[i], there[i]) for i in (0, 1)]
    outward = (airport == _CITY) | (rng.random(size) < 0.45)
    start = [_fixed(np.clip(np.where(outward, here[i], there[i]), *_BOX[i]), 5) for i in (0, 1)]
    stop = [_fixed(np.clip(np.where(outward, there[i], here[i]), *_BOX[i]), 5) for i in (0, 1)]
    return np.clip(_fixed(miles, 2), 10, 4000), start, stop, airport


def _along_the_avenues(rng: np.random.Generator, here: list[Floats], miles: Floats) -> list[Floats]:
    """Return the ends of rides along the avenues, which point 29 degrees east of north."""
    longitude, latitude = here
    uptown = rng.random(longitude.size) < np.clip((40.80 - latitude) / 0.09, 0.05, 0.95)
    bearing = np.radians(29 + 32 * rng.normal(size=longitude.size) + np.where(uptown, 0, 180))
    straight = miles / 1.35
    return [
        longitude + straight * np.sin(bearing) / _MILES_PER_DEGREE[0],
        latitude + straight * np.cos(bearing) / _MILES_PER_DEGREE[1],
    ]


def _durations(rng: np.random.Generator, miles: Integers, hour: Integers, *, weekend: Booleans) -> Integers:
    """Return durations in seconds: slower by day, faster at weekends and over longer distances."""
    speed = _SPEED[hour] * np.where(weekend, 1.0, 0.88) * np.clip((miles / 200) ** 0.28, 0.6, 2.2)
    return np.clip(_fixed(miles * 36 / speed * rng.lognormal(0, 0.22, miles.size), 0), 30, 3 * 3600)


def _fares(
    rng: np.random.Generator, miles: Integers, seconds: Integers, airport: Integers
) -> tuple[Integers, Integers]:
    """Return rate codes and fares in cents, by the tariff of 2015.

    $2.50, then $0.50 for each fifth of a mile or minute in slow traffic; $52 flat between JFK and Manhattan
    (code 2); Newark adds $17.50 (3); a few are negotiated (5).
    """
    slow_seconds = np.maximum(seconds - miles * 1.8, 0)  # the time beyond driving at 20 miles an hour
    metered = 250 + 50 * _fixed(0.95 * (miles / 20 + slow_seconds / 60), 0)
    draw = rng.random(miles.size)
    rate = np.select([airport == _JFK, draw < 0.0016, draw < 0.0045], [2, 3, 5], 1)
    negotiated = 100 * rng.integers(5, 120, miles.size)
    fare = np.select([rate == 2, rate == 3, rate == 5], [5200, metered + 1750, negotiated], metered)
    return rate, fare


def _extras(hour: Integers, rate: Integers, *, weekend: Booleans) -> Integers:
    """Return surcharges in cents: 50 at night, 100 at rush hour; none on flat and negotiated fares."""
    night, rush = (hour >= 20) | (hour < 6), (hour >= 16) & (hour < 20) & ~weekend
    return np.where((rate == 2) | (rate == 5), 0, np.select([night, rush], [50, 100], 0))


def _tolls(rng: np.random.Generator, month: int, rate: Integers, airport: Integers) -> Integers:
    """Return tolls in cents, which were raised after March."""
    chance = np.select([rate == 3, airport == _JFK, airport == _LA_GUARDIA], [0.95, 0.62, 0.55], 0.008)
    return np.where(rng.random(rate.size) < chance, 533 if month <= 3 else 554, 0)


def _tips(rng: np.random.Generator, before_tip: Integers, passengers: Integers, hour: Integers) -> Integers:
    """Return tips by card in cents: mostly one of the screen's three buttons, sometimes nothing."""
    button = np.array([0.0, 0.20, 0.25, 0.30])[_choose(rng, hour.size, (0.045, 0.71, 0.17, 0.075))]
    custom = np.where(rng.random(hour.size) < 0.25, rng.uniform(0.05, 0.28, hour.size), button)
    generosity = _GENEROSITY_BY_PASSENGERS[passengers] * _GENEROSITY_BY_HOUR[hour]
    typing_error = np.where(rng.random(hour.size) < 0.0004, 10, 1)
    return _fixed(before_tip * custom * generosity, 0) * typing_error


def _choose(rng: np.random.Generator, size: int, weights: tuple[float, ...]) -> Integers:
    """Draw indices into the weights, with these weights."""
    limits: Floats = np.cumsum(weights)
    chosen: Integers = np.searchsorted(limits[:-1], rng.random(size) * limits[-1], side="right")
    return chosen


def _fixed(values: Floats, places: int) -> Integers:
    """Return fixed-point integers with the given number of decimal places."""
    fixed: Integers = np.rint(values * 10**places).astype(np.int64)
    return fixed


def _decimals(values: Integers, places: int) -> list[str]:
    """Return the texts of fixed-point integers: ``1250`` with 2 places is ``12.5``."""
    low, high = int(values.min()), int(values.max())
    if high - low > 2**20:  # positions and zeros for missing ones: a table of the distinct values is small
        distinct, index = np.unique(values, return_inverse=True)
    else:
        distinct, index = np.arange(low, high + 1), values - low
    table = np.array([_decimal(value, places) for value in distinct.tolist()], dtype=object)
    texts: list[str] = table[index].tolist()
    return texts


def _decimal(value: int, places: int) -> str:
    whole, part = divmod(abs(value), 10**places)
    digits = f"{part:0{places}}".rstrip("0") if part else ""
    return f"{'-' if value < 0 else ''}{whole}{'.' if digits else ''}{digits}"


def _stamps(seconds: Integers) -> list[str]:
    """Return times in the form ``2015-01-31 23:59:59``."""
    stamps = np.datetime_as_string(seconds.astype("datetime64[s]"))
    texts: list[str] = np.strings.replace(stamps, "T", " ").tolist()
    return texts
