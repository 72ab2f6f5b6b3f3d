"""With whom an image is to be shared, decided before it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from dask_bake.ec2.protocols import ImageApi
from dask_bake.errors import BakeError, UsageError
from dask_bake.hints import command_line
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


def share(plan: SharePlan, edge: ImageApi) -> None:
    """The accounts can use the image, or no longer; for all of them, or for none."""
    if not plan.accounts:
        return
    if plan.stop:
        edge.unshare(plan.image, plan.accounts)
        return
    try:
        edge.share(plan.image, plan.accounts)
    except (BakeError, KeyboardInterrupt) as error:
        try:
            edge.unshare(plan.image, plan.accounts)
        except (BakeError, KeyboardInterrupt):
            named = (word for each in plan.accounts for word in ("--with", each))
            words = ("images", "share", plan.image.id, *named, "--stop")
            why = f"{error.message}; " if isinstance(error, BakeError) else "interrupted; "
            raise BakeError(
                f"{why}{', '.join(plan.accounts)} may have access to {plan.image.id} all the same",
                hint=f"{command_line(*words)} ends that",
            ) from error
        raise
