"""Sharing an image with other accounts."""

import pytest

from dask_bake.errors import BakeError, UsageError
from dask_bake.images.share import SharePlan, check_accounts, plan_share, share
from fake_images import FakeImages, an_image, refused
from fakes import hint_of


@pytest.mark.parametrize("error", [refused("broken"), KeyboardInterrupt()])
def test_if_a_share_cannot_be_undone_the_accounts_that_may_have_access_are_named(error):
    ec2 = FakeImages(faults={"share": [error], "unshare": [refused("you may not")]})
    with pytest.raises(BakeError, match="123456789012 may still have access to ami-") as caught:
        share(SharePlan(an_image(), ("123456789012",), same=(), stop=False), ec2)
    assert hint_of(caught.value) == (
        f"dask-bake images share {an_image().id} --with 123456789012 --stop revokes it"
    )


ONE, TWO = "111111111111", "222222222222"


def test_a_share_plan_has_only_accounts_that_change():
    assert plan_share(an_image(), [ONE, TWO, ONE], shared_with=[TWO], stop=False) == SharePlan(
        an_image(), (ONE,), (TWO,)
    )
    assert plan_share(an_image(), [ONE, TWO], shared_with=[TWO], stop=True) == SharePlan(
        an_image(), (TWO,), (ONE,), stop=True
    )


def test_sharing_that_fails_halfway_is_undone():
    ec2 = FakeImages(faults={"share": [refused("own key")]})
    with pytest.raises(BakeError, match="own key"):
        share(SharePlan(an_image(), (ONE,), ()), ec2)
    assert ec2.calls == [("share", an_image().id, ONE), ("unshare", an_image().id, ONE)]


@pytest.mark.parametrize(
    ("plan", "calls"),
    [
        (SharePlan(an_image(), (ONE, TWO), ()), [("share", an_image().id, ONE, TWO)]),
        (SharePlan(an_image(), (ONE,), (), stop=True), [("unshare", an_image().id, ONE)]),
        (SharePlan(an_image(), (), (ONE,)), []),
    ],
)
def test_all_accounts_are_shared_with_in_one_call(plan, calls):
    ec2 = FakeImages()
    share(plan, ec2)
    assert ec2.calls == calls


@pytest.mark.parametrize("account", ["1111-1111-1111", "12345678901", "self", "", "12345678901\u0662"])
def test_an_account_must_have_twelve_digits(account):
    with pytest.raises(UsageError, match=f"^'{account}' is not"):
        check_accounts([ONE, account])
