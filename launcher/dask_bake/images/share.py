"""With whom an image is to be shared, decided before it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from dask_bake.errors import UsageError
from dask_bake.models.ec2 import Image


@dataclass(frozen=True)
class SharePlan:
    """With whom an image is shared from now on, or no longer; ``same`` are those for whom nothing changes."""

    image: Image
    accounts: tuple[str, ...]
    same: tuple[str, ...]
    stop: bool = False


def plan_share(image: Image, accounts: Sequence[str], *, shared_with: Sequence[str], stop: bool) -> SharePlan:
    """What has to change for it."""
    wanted = tuple(dict.fromkeys(accounts))
    changing = tuple(each for each in wanted if (each in shared_with) == stop)
    return SharePlan(image, changing, tuple(each for each in wanted if each not in changing), stop)


def check_accounts(accounts: Sequence[str]) -> tuple[str, ...]:
    """The AWS accounts' numbers."""
    for account in accounts:
        if len(account) != 12 or not (account.isascii() and account.isdigit()):
            raise UsageError(
                f"{account!r} is not the number of an AWS account", hint="it has 12 digits, without dashes"
            )
    return tuple(accounts)
