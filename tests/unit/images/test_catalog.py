"""Which images go, are copied and shared; what is done for it; and that nothing half done is left."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dask_bake.environment.pip_lock import Package
from dask_bake.errors import (
    BakeError,
    CommandInterruptedError,
    LeftoverError,
    OutcomeUnknownError,
    UsageError,
)
from dask_bake.events import Note, PhaseEnded, PhaseStarted
from dask_bake.images import catalog, copy
from dask_bake.images.copy_plan import CopyPlan, CopyStep, check_regions, plan_copy
from dask_bake.images.differences import Change, Difference, Differences, differences
from dask_bake.images.facts import ImageFacts, choose, family, require_manifest
from dask_bake.images.manifest import File
from dask_bake.images.prune import Verdict, check_keep, look_up_prune, plan_prune, plan_removal, prune
from dask_bake.images.share import SharePlan, check_accounts, plan_share, share
from dask_bake.models.ec2 import ImageSettings
from dask_bake.models.tags import Tag
from fake_images import (
    BASE,
    MANIFEST,
    NEWER_BASE,
    NOW,
    FakeImages,
    a_snapshot,
    an_image,
    holding,
    refused,
    some_facts,
)
from fakes import hint_of

TOKEN = iter(f"token-{number}" for number in range(1000))


def going(facts, **options) -> list[tuple[int, str]]:
    """The numbers of the images that would go, with the reason."""
    plan = plan_prune(facts, **{"keep": 1, "now": NOW, **options})
    return [(int(verdict.facts.image.id[4:], 16), verdict.why) for verdict in plan.remove]


def staying(facts, **options) -> list[tuple[int, str]]:
    plan = plan_prune(facts, **{"keep": 1, "now": NOW, **options})
    return [(int(verdict.facts.image.id[4:], 16), verdict.why) for verdict in plan.keep]


# What is known of images


def test_images_are_looked_up_with_their_snapshots_users_and_newest_base():
    old, new = an_image(1, days=9), an_image(2)
    edge = FakeImages(
        images=[old, new],
        snapshot_list=[a_snapshot(1)],
        users={new.id: ("docs",)},
        bases=(replace(an_image(8), name=NEWER_BASE), replace(an_image(9), name=BASE)),
    )

    assert catalog.look_up(edge) == (
        ImageFacts(new, None, ("docs",), NEWER_BASE),
        ImageFacts(old, a_snapshot(1), (), NEWER_BASE),
    )
    assert edge.calls == [("published", ("debian-12-amd64-*",))]


def test_without_images_nothing_else_is_asked():
    edge = FakeImages()
    assert (catalog.look_up(edge), edge.calls) == ((), [])


@pytest.mark.parametrize(
    ("base", "newest", "superseded"),
    [(BASE, NEWER_BASE, True), (BASE, BASE, False), (BASE, "", None), (None, NEWER_BASE, None)],
)
def test_a_base_is_superseded_by_a_newer_one_of_its_family(base, newest, superseded):
    assert some_facts(base_name=base, newest_base=newest).is_superseded is superseded


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (BASE, "debian-12-amd64-*"),
        ("debian-12-amd64-20260701-local", "debian-12-amd64-*"),
        ("debian-13-arm64-20260701", "debian-13-arm64-*"),
        ("our-own-base", ""),
        ("", ""),
    ],
)
def test_a_family_is_the_name_without_its_date(name, pattern):
    assert family(name) == pattern


def test_a_manifest_is_read_from_the_image_and_its_snapshot_however_both_are_tagged():
    facts = holding(some_facts())
    doubled = replace(facts, snapshot=a_snapshot(tags=facts.image.tags))
    assert (facts.manifest, doubled.manifest) == (MANIFEST, MANIFEST)


def test_an_image_without_a_manifest_is_told_how_to_get_one():
    with pytest.raises(BakeError, match="has no manifest: an older version baked it") as caught:
        require_manifest(some_facts())
    assert hint_of(caught.value) == "dask-bake bake --force bakes it anew, with one"


# Which image is meant


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        (None, 2),
        ("ami-00000000000000003", 3),
        ("dask-bake-000000000003", 3),
        ("33", 3),
        ("A", 10),
        ("1", 1),
    ],
)
def test_an_image_is_named_by_id_name_or_digest_and_is_else_the_newest_that_is_ready(reference, number):
    facts = [some_facts(1, verified=None), some_facts(2), some_facts(3), some_facts(10)]
    assert choose(facts, reference).image == an_image(number, **({"verified": None} if number == 1 else {}))


def test_of_two_images_of_one_digest_the_ready_one_is_meant():
    facts = [some_facts(1, digest="f" * 64, state="pending"), some_facts(2, digest="f" * 64)]
    assert choose(facts, "fff").image.id == facts[1].image.id


@pytest.mark.parametrize("reference", ["ami-1", "nope", "", "dask-bake-"])
def test_an_image_that_is_not_there_is_wrong_use(reference):
    with pytest.raises(UsageError, match="there is no image"):
        choose([some_facts()], reference)


def test_the_beginning_of_two_digests_is_wrong_use():
    facts = [some_facts(1, digest="abc1" + "0" * 60), some_facts(2, digest="abc2" + "0" * 60)]
    with pytest.raises(UsageError, match="'abc' begins more than one digest: abc100000, abc200000"):
        choose(facts, "abc")


@pytest.mark.parametrize("facts", [[], [some_facts(verified=None)], [some_facts(state="pending")]])
def test_without_a_ready_image_the_way_to_one_is_told(facts):
    with pytest.raises(BakeError, match="there is no image") as caught:
        choose(facts, None)
    assert (hint_of(caught.value), caught.value.exit_code) == ("dask-bake bake makes one", 1)


# What differs


def test_equal_manifests_do_not_differ():
    assert differences(MANIFEST, MANIFEST) == Differences()
    assert not differences(MANIFEST, MANIFEST)


def test_inputs_files_and_packages_are_compared_one_by_one():
    after = replace(
        MANIFEST,
        python="3.13.1",
        inputs=(("base_image", "ami-new"), ("volume_size", "12")),
        files=(File("environment.yml", "f" * 64), File("scripts/20-new.sh", "b" * 64)),
        packages=(
            Package("dask", "2026.9.0", "1" * 64),
            Package("numpy", "2.3.0", "2" * 64, "conda", "py313_0", "conda-forge", "linux-64"),
            Package("pip", "26.3", "3" * 64),
        ),
    )
    assert differences(MANIFEST, after) == Differences(
        inputs=(
            Difference("base_image", Change.CHANGED, "ami-base", "ami-new"),
            Difference("installer", Change.REMOVED, before="pip"),
            Difference("python", Change.CHANGED, "3.11.2", "3.13.1"),
            Difference("volume_size", Change.ADDED, after="12"),
        ),
        files=(
            Difference("environment.yml", Change.CHANGED, "eeeeeeeeeeee", "ffffffffffff"),
            Difference("scripts/10-system.sh", Change.REMOVED, before="aaaaaaaaaaaa executable"),
            Difference("scripts/20-new.sh", Change.ADDED, after="bbbbbbbbbbbb"),
        ),
        packages=(
            Difference("dask", Change.CHANGED, "2026.8.0", "2026.9.0"),
            Difference("numpy", Change.CHANGED, "2.3.0 py311_0", "2.3.0 py313_0"),
            Difference("pip", Change.ADDED, after="26.3"),
        ),
    )


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"sha256": "9" * 64}, ("2.3.0 cccccccccccc", "2.3.0 999999999999")),
        ({"channel": "main"}, ("2.3.0 of conda-forge linux-64", "2.3.0 of main linux-64")),
        ({"sha256": ""}, None),
    ],
)
def test_a_package_of_the_same_version_differs_by_where_it_is_from_or_by_its_content(after, said):
    numpy = MANIFEST.packages[1]
    found = differences(
        replace(MANIFEST, packages=(numpy,)), replace(MANIFEST, packages=(replace(numpy, **after),))
    )
    assert found.packages == ((Difference("numpy", Change.CHANGED, *said),) if said else ())


def test_a_wheel_in_the_place_of_a_conda_package_is_another_package():
    numpy = MANIFEST.packages[1]
    wheel = Package("numpy", "2.3.0", "c" * 64)
    found = differences(replace(MANIFEST, packages=(numpy,)), replace(MANIFEST, packages=(wheel,)))
    assert found.packages == (
        Difference("numpy", Change.REMOVED, before="2.3.0 py311_0"),
        Difference("numpy", Change.ADDED, after="2.3.0"),
    )


# Which images go


def test_the_newest_of_each_environment_and_architecture_stay():
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


def test_an_image_in_use_stays():
    facts = [some_facts(1), some_facts(2, days=2, users=("docs", "i-1"))]
    assert staying(facts) == [(1, "the newest"), (2, "in use by docs, i-1")]


def test_a_shared_image_stays_for_nobody_sees_the_instances_of_others():
    facts = [some_facts(1), replace(some_facts(2, days=2), shared_with=("123456789012",))]
    assert staying(facts)[1] == (2, "shared with 123456789012")


def test_the_newest_image_that_was_checked_stays_behind_newer_ones_that_were_not():
    facts = [
        some_facts(1, days=1, verified="skipped"),
        some_facts(2, days=2, verified="skipped"),
        some_facts(3, days=3),
        some_facts(4, days=4),
    ]
    assert staying(facts) == [(1, "the newest"), (3, "the newest that was checked")]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"verified": None}, "not verified for more than 24 h"),
        ({"state": "failed"}, "failed for more than 24 h"),
        ({"state": "pending"}, "pending for more than 24 h"),
    ],
)
def test_what_was_given_up_goes_when_it_is_a_day_old_and_does_not_count_as_kept(image, reason):
    young, ready = some_facts(1, days=0.99, **image), some_facts(3, days=3)
    old = some_facts(2, days=1.01, **image)
    assert going([young, old, ready]) == [(2, reason)]
    assert staying([young, old, ready]) == [
        (1, "not verified: it may be in the making"),
        (3, "the newest"),
    ]


def test_an_image_that_somebody_disabled_stays():
    assert staying([some_facts(1), some_facts(2, days=9, state="disabled")])[1] == (2, "disabled by somebody")


def test_a_snapshot_whose_image_is_gone_goes_when_it_is_a_day_old():
    snapshots = [a_snapshot(1, days=9), a_snapshot(2, days=0.5), a_snapshot(3, days=2)]
    plan = plan_prune([some_facts(1)], keep=1, now=NOW, snapshots=snapshots)
    assert (plan.loose, plan.remove, plan.bytes) == ((snapshots[2],), (), 1_234_000_000)
    assert plan


@pytest.mark.parametrize("keep", [0, -3])
def test_less_than_one_cannot_be_kept(keep):
    with pytest.raises(UsageError, match=f"at least 1, not {keep}"):
        check_keep(keep)


def test_with_whom_it_is_shared_is_asked_only_of_what_would_go():
    edge = FakeImages(
        images=[an_image(1), an_image(2, days=2), an_image(3, days=3), an_image(4, days=4, verified=None)],
        settings={an_image(2).id: ImageSettings(shared_with=("123456789012",))},
    )
    plan = look_up_prune(edge, keep=1, now=NOW)
    assert [verdict.facts.image.id[-1] for verdict in plan.remove] == ["3", "4"]
    assert [call[1][-1] for call in edge.calls if call[0] == "settings_of"] == ["2", "3"]


# Shared


@pytest.mark.parametrize("error", [refused("broken"), KeyboardInterrupt()])
def test_who_may_have_access_all_the_same_is_told(error):
    edge = FakeImages(faults={"share": [error], "unshare": [refused("you may not")]})
    with pytest.raises(BakeError, match="123456789012 may have access to ami-") as caught:
        share(SharePlan(an_image(), ("123456789012",), same=(), stop=False), edge)
    assert hint_of(caught.value) == (
        f"dask-bake images share {an_image().id} --with 123456789012 --stop ends that"
    )


# Removed


def a_prune(edge):
    return look_up_prune(edge, keep=1, now=NOW)


def test_images_go_with_their_snapshots_and_so_do_snapshots_alone():
    edge = FakeImages(
        images=[an_image(1), an_image(2, days=2)],
        snapshot_list=[a_snapshot(1), a_snapshot(2), a_snapshot(7, days=7)],
    )
    removed = prune(a_prune(edge), edge, notify=lambda _: None)
    assert removed == (an_image(2, days=2),)
    assert (edge.images, edge.snapshot_list) == ([an_image(1)], [a_snapshot(1)])


def test_what_has_come_into_use_since_it_was_shown_stays():
    told = []
    edge = FakeImages(images=[an_image(1), an_image(2, days=2)])
    plan = a_prune(edge)
    edge.users = {an_image(2).id: ("taxi",)}

    assert prune(plan, edge, notify=told.append) == ()
    assert told == [Note("ami-00000000000000002 stays: it has come into use by taxi.")]
    assert len(edge.images) == 2


def test_what_cannot_be_removed_is_named_and_all_else_goes():
    edge = FakeImages(
        images=[an_image(1), an_image(2, days=2), an_image(3, days=3)],
        snapshot_list=[a_snapshot(7, days=7)],
        faults={"remove": [refused("in use")], "remove_snapshot": [refused("locked")]},
    )
    with pytest.raises(LeftoverError) as caught:
        prune(a_prune(edge), edge, notify=lambda _: None)
    assert caught.value.message == (
        "something could not be removed: image ami-00000000000000002 or its snapshot snap-00000000000000002:"
        " in use; snapshot snap-00000000000000007: locked"
    )
    assert ("remove", an_image(3).id) in edge.calls


def test_an_interrupt_does_not_leave_half_a_removal():
    edge = FakeImages(
        images=[an_image(1), an_image(2, days=2), an_image(3, days=3)],
        snapshot_list=[a_snapshot(2), a_snapshot(3)],
        faults={"remove": [KeyboardInterrupt()]},
    )
    with pytest.raises(KeyboardInterrupt):
        prune(a_prune(edge), edge, notify=lambda _: None)
    assert [each.id[-1] for each in edge.images] == ["1", "3"]
    assert [each.id[-1] for each in edge.snapshot_list] == ["3"]


@pytest.mark.parametrize("again", [refused("no network"), KeyboardInterrupt()])
def test_an_interrupt_after_which_nothing_can_be_removed_ends_it_and_names_what_may_be_left(again):
    edge = FakeImages(
        images=[an_image(1), an_image(2, days=2), an_image(3, days=3)],
        snapshot_list=[a_snapshot(7, days=7)],
        faults={"remove": [KeyboardInterrupt(), again]},
    )
    with pytest.raises(LeftoverError, match="image ami-00000000000000002 or its snapshot"):
        prune(a_prune(edge), edge, notify=lambda _: None)
    assert [each.id[-1] for each in edge.images] == ["1", "3"]
    assert [each.id[-1] for each in edge.snapshot_list] == ["7"]


# Copied


def a_copy_plan(facts=None, *, there=(), region="eu-west-1", **settings) -> CopyPlan:
    return plan_copy(
        facts or some_facts(),
        ImageSettings(**settings),
        from_region="us-east-1",
        to_region=region,
        there=there,
        now=NOW,
    )


def carry_out(plans, edges, told=None):
    notify = (lambda _: None) if told is None else told.append
    return copy.copy(plans, edges, notify=notify, clock=lambda: 1.0, new_token=lambda: next(TOKEN))


def test_a_copy_has_all_tags_but_that_it_is_verified_until_it_is_whole():
    source = replace(
        some_facts(),
        image=replace(an_image(), tags=(("aws:own", "x"), *an_image().tags)),
        snapshot=a_snapshot(tags=((Tag.MANAGED, "true"), (f"{Tag.MANIFEST}30", "AAAA"))),
    )
    kept = tuple((key, value) for key, value in an_image().tags if key != Tag.VERIFIED)

    assert a_copy_plan(source, description="a bake", deprecation=NOW + timedelta(days=90)) == CopyPlan(
        source=source.image,
        from_region="us-east-1",
        to_region="eu-west-1",
        step=CopyStep.COPY,
        name="dask-bake-000000000001",
        description="a bake",
        tags=(("Name", "dask-bake-000000000001"), *kept),
        snapshot_tags=(
            ("Name", "dask-bake-000000000001"),
            (Tag.MANAGED, "true"),
            (f"{Tag.MANIFEST}30", "AAAA"),
        ),
        verified=((Tag.VERIFIED, "yes"),),
        deprecation=NOW + timedelta(days=90),
    )


def test_a_deprecation_that_has_passed_becomes_one_that_ec2_takes():
    assert a_copy_plan(deprecation=NOW - timedelta(days=9)).deprecation == NOW + timedelta(minutes=5)


def test_a_copy_that_is_there_is_not_made_again():
    there = replace(an_image(), id="ami-there", name="theirs")
    plan = a_copy_plan(there=(an_image(2), there))
    assert (plan.step, plan.there, plan.name) == (CopyStep.NOTHING, there, "theirs")

    edge = FakeImages()
    assert carry_out([plan], {"eu-west-1": edge}) == (there,)
    assert edge.calls == []


@pytest.mark.parametrize("state", ["available", "pending"])
def test_a_copy_that_was_begun_is_finished(state):
    begun = replace(an_image(verified=None, state=state), id="ami-begun")
    edge = FakeImages(images=[begun])
    plan = a_copy_plan(there=edge.mine())
    assert plan.step is CopyStep.FINISH

    (copied,) = carry_out([plan], {"eu-west-1": edge})
    assert (copied.id, copied.tag(Tag.VERIFIED)) == ("ami-begun", "yes")
    assert "copy" not in [call[0] for call in edge.calls]


def test_a_copy_that_failed_is_made_again_under_another_name():
    failed = an_image(state="failed", verified=None)
    plan = a_copy_plan(there=(failed,))
    assert (plan.step, plan.name) == (CopyStep.COPY, "dask-bake-000000000001-2")


@pytest.mark.parametrize("image", [{"verified": None}, {"state": "pending"}])
def test_what_is_not_verified_is_not_copied(image):
    with pytest.raises(BakeError, match="is not verified"):
        a_copy_plan(some_facts(**image))


def test_a_copy_is_verified_last_and_as_closed_and_as_short_lived_as_its_source():
    edge, told = FakeImages(), []
    later = NOW + timedelta(days=90)
    (copied,) = carry_out([a_copy_plan(deprecation=later)], {"eu-west-1": edge}, told)

    assert edge.calls == [
        ("copy", an_image().id, "dask-bake-000000000001"),
        ("wait_available", "ami-copy0"),
        ("require_imdsv2", "ami-copy0"),
        ("deprecate", "ami-copy0", later),
        ("tag", "snap-copy"),
        ("tag", "ami-copy0"),
    ]
    assert copied == edge.images[0]
    assert dict(copied.tags) == {**dict(an_image().tags), "Name": "dask-bake-000000000001"}
    assert told == [PhaseStarted("copy to eu-west-1"), PhaseEnded("copy to eu-west-1", 0.0)]


@pytest.mark.parametrize("operation", ["wait_available", "require_imdsv2", "tag"])
def test_a_copy_that_fails_is_taken_back_and_the_others_are_made(operation):
    broken, whole = FakeImages(faults={operation: [refused("not now")]}), FakeImages()
    plans = [a_copy_plan(), a_copy_plan(region="us-west-2")]

    with pytest.raises(BakeError) as caught:
        carry_out(plans, {"eu-west-1": broken, "us-west-2": whole})

    assert (caught.value.message, hint_of(caught.value), caught.value.exit_code) == (
        "no copy in eu-west-1: not now",
        "a way out",
        1,
    )
    assert (broken.images, [each.tag(Tag.VERIFIED) for each in whole.images]) == ([], ["yes"])


def test_a_copy_that_is_refused_is_not_asked_for_again():
    edge = FakeImages(faults={"copy": [refused("quota")]})
    with pytest.raises(BakeError, match="no copy in eu-west-1: quota"):
        carry_out([a_copy_plan()], {"eu-west-1": edge})
    assert [call[0] for call in edge.calls] == ["copy"]


def unheard() -> BakeError:
    """What is refused at last, after a try whose answer was lost."""
    error = refused("you may not")
    error.may_have_happened = True
    return error


@pytest.mark.parametrize("error", [OutcomeUnknownError("no answer"), unheard(), KeyboardInterrupt()])
def test_a_copy_that_may_have_begun_is_found_by_its_token_and_taken_back(error):
    edge = FakeImages(faults={"copy": [error]})
    with pytest.raises((BakeError, KeyboardInterrupt)):
        carry_out([a_copy_plan()], {"eu-west-1": edge})
    assert (edge.images, edge.calls[-1]) == ([], ("remove", "ami-copy0"))


def test_an_interrupt_takes_back_every_copy_that_goes_on_and_leaves_those_that_are_done():
    done, going_on = FakeImages(), FakeImages(faults={"wait_available": [KeyboardInterrupt()]})
    with pytest.raises(CommandInterruptedError, match="what was copied stays: ami-copy0 in eu-west-1"):
        carry_out(
            [a_copy_plan(), a_copy_plan(region="us-west-2")], {"eu-west-1": done, "us-west-2": going_on}
        )
    assert (len(done.images), going_on.images) == (1, [])


def test_a_copy_that_somebody_else_began_is_not_taken_back():
    begun = replace(an_image(verified=None), id="ami-begun")
    edge = FakeImages(images=[begun], faults={"wait_available": [KeyboardInterrupt()]})
    with pytest.raises(KeyboardInterrupt):
        carry_out([a_copy_plan(there=edge.mine())], {"eu-west-1": edge})
    assert edge.images == [begun]


@pytest.mark.parametrize("error", [refused("broken"), KeyboardInterrupt()])
def test_a_copy_that_cannot_be_taken_back_is_named(error):
    edge = FakeImages(faults={"wait_available": [error], "remove": [refused("no")]})
    with pytest.raises(LeftoverError, match="something may be left that costs money: ami-copy0 in eu-west-1"):
        carry_out([a_copy_plan()], {"eu-west-1": edge})


def test_regions_are_checked_and_each_is_taken_once():
    known = ("eu-west-1", "us-east-1", "us-west-2")
    assert check_regions(["us-west-2", "eu-west-1", "us-west-2"], source="us-east-1", known=known) == (
        "us-west-2",
        "eu-west-1",
    )
    with pytest.raises(UsageError, match="there is no region 'eu-west-9' for this account"):
        check_regions(["eu-west-9"], source="us-east-1", known=known)
    with pytest.raises(UsageError, match="the image is in us-east-1 already"):
        check_regions(["us-east-1"], source="us-east-1", known=known)


# Shared

ONE, TWO = "111111111111", "222222222222"


def test_only_what_changes_is_asked_for():
    assert plan_share(an_image(), [ONE, TWO, ONE], shared_with=[TWO], stop=False) == SharePlan(
        an_image(), (ONE,), (TWO,)
    )
    assert plan_share(an_image(), [ONE, TWO], shared_with=[TWO], stop=True) == SharePlan(
        an_image(), (TWO,), (ONE,), stop=True
    )


def test_sharing_that_fails_halfway_is_undone():
    edge = FakeImages(faults={"share": [refused("own key")]})
    with pytest.raises(BakeError, match="own key"):
        share(SharePlan(an_image(), (ONE,), ()), edge)
    assert edge.calls == [("share", an_image().id, ONE), ("unshare", an_image().id, ONE)]


@pytest.mark.parametrize(
    ("plan", "calls"),
    [
        (SharePlan(an_image(), (ONE, TWO), ()), [("share", an_image().id, ONE, TWO)]),
        (SharePlan(an_image(), (ONE,), (), stop=True), [("unshare", an_image().id, ONE)]),
        (SharePlan(an_image(), (), (ONE,)), []),
    ],
)
def test_sharing_is_one_step_for_all_accounts(plan, calls):
    edge = FakeImages()
    share(plan, edge)
    assert edge.calls == calls


@pytest.mark.parametrize("account", ["1111-1111-1111", "12345678901", "self", "", "12345678901\u0662"])
def test_an_account_is_a_number_of_twelve_digits(account):
    with pytest.raises(UsageError, match="is not the number of an AWS account"):
        check_accounts([ONE, account])


# What is removed because somebody says so


def test_a_removal_takes_just_what_it_is_told_each_once():
    one, other = ImageFacts(an_image(1), a_snapshot(1)), ImageFacts(an_image(2))
    plan = plan_removal([one, other, one])
    assert plan.remove == (Verdict(one, "asked for"), Verdict(other, "asked for"))
    assert (plan.keep, plan.loose) == ((), ())


def test_an_image_in_use_is_not_removed():
    with pytest.raises(UsageError) as caught:
        plan_removal([ImageFacts(an_image(1)), ImageFacts(an_image(2), users=("docs", "taxi"))])
    assert caught.value.message == f"{an_image(2).id} is in use by docs, taxi"
