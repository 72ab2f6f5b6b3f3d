"""When an image is to be deprecated, as EnableImageDeprecation takes it."""

from datetime import UTC, datetime, timedelta

from dask_bake.local.query_protocol import Refusal

LIMIT = timedelta(days=3653)
"""Ten years."""


def deprecation_time(text: str, now: datetime | None = None) -> str:
    """The moment, rounded to the nearest minute, as DescribeImages says it.

    Raises:
        Refusal: when it is none, has passed, or is more than ten years away.
    """
    now = now or datetime.now(UTC)
    try:
        asked = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(
            "InvalidParameterValue", f"Value ({text}) for parameter DeprecateAt is invalid."
        ) from None
    asked = asked if asked.tzinfo else asked.replace(tzinfo=UTC)
    if asked <= now:
        raise Refusal("InvalidParameterValue", f"DeprecateAt ({text}) is in the past.")
    if asked > now + LIMIT:
        raise Refusal("InvalidParameterValue", f"DeprecateAt ({text}) is more than 10 years from now.")
    nearest = (asked.astimezone(UTC) + timedelta(seconds=30)).replace(second=0, microsecond=0)
    return nearest.strftime("%Y-%m-%dT%H:%M:%S.000Z")
