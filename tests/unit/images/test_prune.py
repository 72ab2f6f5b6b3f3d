"""The choice of images to remove, and their removal."""

from dataclasses import replace

import pytest

from dask_bake.errors import LeftoverError, UsageError
from dask_bake.events import Note
from dask_bake.images.facts import ImageFacts
from dask_bake.images.prune import Verdict, check_keep, look_up_prune, plan_prune, plan_removal, prune
from dask_bake.models.ec2 import ImageSettings
from fake_images import NOW, FakeImages, a_snapshot, an_image, refused, some_facts


def going(facts, **options) -> list[tuple[int, str]]:
    """Return the numbers of the images to remove, with the reason."""
    plan = plan_prune(facts, **{"keep": 1, "now": NOW, **options})
    return [(int(verdict.facts.image.id[4:], 16), verdict.why) for verdict in plan.remove]


def staying(facts, **options) -> list[tuple[int, str]]:
    plan = plan_prune(facts, **{"keep": 1, "now": NOW, **options})
    return [(int(verdict.facts.image.id[4:], 16), verdict.why) for verdict in plan.keep]


def test_the_newest_images_of_each_environment_and_architecture_are_kept():
    arm = replace(some_facts(5, days=5), image=replace(an_image(5, days=5), architecture="arm64"))
    facts = [
        some_facts(1, days=1),
        some_facts(2, days=2),
        some_facts(3, days=3, environment="gpu"),
        some_facts(4, days=4),
        arm,
        some_facts(6, days=6, environment="gpu"),
    ]
    assert going(facts) == [(2, "not the newest"), (4, "not the newest"), (6, "not the newest")]
    assert going(facts, keep=2) == [(4, "not one of the newest 2")]
    assert staying(facts) == [(1, "the newest"), (3, "the newest"), (5, "the newest")]
    assert staying(facts, keep=2)[1] == (2, "one of the newest 2")


def test_an_image_in_use_is_kept():
    facts = [some_facts(1), some_facts(2, days=2, users=("docs", "i-1"))]
    assert staying(facts) == [(1, "the newest"), (2, "in use by docs, i-1")]


def test_a_shared_image_is_kept_because_other_accounts_may_use_it():
    facts = [some_facts(1), replace(some_facts(2, days=2), shared_with=("123456789012",))]
    assert staying(facts)[1] == (2, "shared with 123456789012")


def test_the_newest_verified_image_is_kept_beside_newer_unverified_ones():
    facts = [
        some_facts(1, days=1, verified="skipped"),
        some_facts(2, days=2, verified="skipped"),
        some_facts(3, days=3),
        some_facts(4, days=4),
    ]
    assert staying(facts) == [(1, "the newest"), (3, "the newest verified one")]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"verified": None}, "not verified for more than 24 h"),
        ({"state": "failed"}, "failed for more than 24 h"),
        ({"state": "pending"}, "pending for more than 24 h"),
    ],
)
def test_unverified_and_failed_images_are_removed_when_a_day_old_and_not_counted_as_kept(image, reason):
    young, ready = some_facts(1, days=0.99, **image), some_facts(3, days=3)
    old = some_facts(2, days=1.01, **image)
    assert going([young, old, ready]) == [(2, reason)]
    assert staying([young, old, ready]) == [
        (1, "not verified: it may still be in progress"),
        (3, "the newest"),
    ]


def test_a_disabled_image_is_kept():
    assert staying([some_facts(1), some_facts(2, days=9, state="disabled")])[1] == (2, "disabled")


def test_a_snapshot_without_an_image_is_removed_when_it_is_a_day_old():
    snapshots = [a_snapshot(1, days=9), a_snapshot(2, days=0.5), a_snapshot(3, days=2)]
    plan = plan_prune([some_facts(1)], keep=1, now=NOW, snapshots=snapshots)
    assert (plan.loose, plan.remove, plan.bytes) == ((snapshots[2],), (), 1_234_000_000)
    assert plan


@pytest.mark.parametrize("keep", [0, -3])
def test_keep_must_be_at_least_one(keep):
    with pytest.raises(UsageError, match=f"at least 1, not {keep}"):
        check_keep(keep)


def test_share_settings_are_requested_only_for_images_to_remove():
    ec2 = FakeImages(
        images=[an_image(1), an_image(2, days=2), an_image(3, days=3), an_image(4, days=4, verified=None)],
        settings={an_image(2).id: ImageSettings(shared_with=("123456789012",))},
    )
    plan = look_up_prune(ec2, keep=1, now=NOW)
    assert [verdict.facts.image.id[-1] for verdict in plan.remove] == ["3", "4"]
    assert [call[1][-1] for call in ec2.calls if call[0] == "settings_of"] == ["2", "3"]


def a_prune(ec2):
    return look_up_prune(ec2, keep=1, now=NOW)


def test_images_are_removed_with_their_snapshots_and_snapshots_without_an_image_too():
    ec2 = FakeImages(
        images=[an_image(1), an_image(2, days=2)],
        snapshot_list=[a_snapshot(1), a_snapshot(2), a_snapshot(7, days=7)],
    )
    removed = prune(a_prune(ec2), ec2, notify=lambda _: None)
    assert removed == (an_image(2, days=2),)
    assert (ec2.images, ec2.snapshot_list) == ([an_image(1)], [a_snapshot(1)])


def test_an_image_that_is_in_use_since_the_plan_was_made_is_kept():
    events = []
    ec2 = FakeImages(images=[an_image(1), an_image(2, days=2)])
    plan = a_prune(ec2)
    ec2.users = {an_image(2).id: ("taxi",)}

    assert prune(plan, ec2, notify=events.append) == ()
    assert events == [Note("ami-00000000000000002 stays: it has come into use by taxi.")]
    assert len(ec2.images) == 2


def test_images_that_cannot_be_removed_are_named_and_the_rest_is_removed():
    ec2 = FakeImages(
        images=[an_image(1), an_image(2, days=2), an_image(3, days=3)],
        snapshot_list=[a_snapshot(7, days=7)],
        faults={"remove": [refused("in use")], "remove_snapshot": [refused("locked")]},
    )
    with pytest.raises(LeftoverError) as caught:
        prune(a_prune(ec2), ec2, notify=lambda _: None)
    assert caught.value.message == (
        "something could not be removed: image ami-00000000000000002 or its snapshot snap-00000000000000002:"
        " in use; snapshot snap-00000000000000007: locked"
    )
    assert ("remove", an_image(3).id) in ec2.calls


def test_an_interrupt_completes_the_removal_of_the_current_image():
    ec2 = FakeImages(
        images=[an_image(1), an_image(2, days=2), an_image(3, days=3)],
        snapshot_list=[a_snapshot(2), a_snapshot(3)],
        faults={"remove": [KeyboardInterrupt()]},
    )
    with pytest.raises(KeyboardInterrupt):
        prune(a_prune(ec2), ec2, notify=lambda _: None)
    assert [each.id[-1] for each in ec2.images] == ["1", "3"]
    assert [each.id[-1] for each in ec2.snapshot_list] == ["3"]


@pytest.mark.parametrize("again", [refused("no network"), KeyboardInterrupt()])
def test_if_the_removal_fails_after_an_interrupt_the_error_names_what_may_be_left(again):
    ec2 = FakeImages(
        images=[an_image(1), an_image(2, days=2), an_image(3, days=3)],
        snapshot_list=[a_snapshot(7, days=7)],
        faults={"remove": [KeyboardInterrupt(), again]},
    )
    with pytest.raises(LeftoverError, match="image ami-00000000000000002 or its snapshot"):
        prune(a_prune(ec2), ec2, notify=lambda _: None)
    assert [each.id[-1] for each in ec2.images] == ["1", "3"]
    assert [each.id[-1] for each in ec2.snapshot_list] == ["7"]


def test_only_the_given_images_are_removed_each_once():
    one, other = ImageFacts(an_image(1), a_snapshot(1)), ImageFacts(an_image(2))
    plan = plan_removal([one, other, one])
    assert plan.remove == (Verdict(one, "requested"), Verdict(other, "requested"))
    assert (plan.keep, plan.loose) == ((), ())


def test_an_image_in_use_is_not_removed():
    with pytest.raises(UsageError) as caught:
        plan_removal([ImageFacts(an_image(1)), ImageFacts(an_image(2), users=("docs", "taxi"))])
    assert caught.value.message == f"{an_image(2).id} is in use by docs, taxi"
