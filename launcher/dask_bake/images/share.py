"""Share an image with other AWS accounts: a plan that can be shown, and a function that carries it out."""

from collections.abc import Sequence
from dataclasses import dataclass

from dask_bake.ec2.protocols import ImageApi
from dask_bake.errors import BakeError, UsageError
from dask_bake.hints import command_line
from dask_bake.models.ec2 import Image


@dataclass(frozen=True)
class SharePlan:
    """The accounts to share an image with, or to stop sharing with; ``same`` need no change."""

    image: Image
    accounts: tuple[str, ...]
    same: tuple[str, ...]
    stop: bool = False


def plan_share(image: Image, accounts: Sequence[str], *, shared_with: Sequence[str], stop: bool) -> SharePlan:
    """Plan the change."""
    wanted = tuple(dict.fromkeys(accounts))
    changing = tuple(each for each in wanted if (each in shared_with) == stop)
    return SharePlan(image, changing, tuple(each for each in wanted if each not in changing), stop)


def check_accounts(accounts: Sequence[str]) -> tuple[str, ...]:
    """Check the numbers of AWS accounts."""
    for account in accounts:
        if len(account) != 12 or not (account.isascii() and account.isdigit()):
            raise UsageError(
                f"{account!r} is not the number of an AWS account", hint="it has 12 digits, without dashes"
            )
    return tuple(accounts)


def share(plan: SharePlan, edge: ImageApi) -> None:
    """Share the image with all of the accounts or with none, or stop sharing."""
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
                f"{why}{', '.join(plan.accounts)} may still have access to {plan.image.id}",
                hint=f"{command_line(*words)} revokes it",
            ) from error
        raise
