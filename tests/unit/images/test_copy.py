"""Copies of images in other regions: complete, or removed again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dask_bake.errors import BakeError, CommandInterruptedError, LeftoverError, OutcomeUnknownError
from dask_bake.events import PhaseEnded, PhaseStarted
from dask_bake.images import copy
from dask_bake.images.copy_plan import CopyStep
from dask_bake.models.tags import Tag
from fake_images import NOW, FakeImages, a_copy_plan, an_image, refused
from fakes import hint_of

TOKEN = iter(f"token-{number}" for number in range(1000))


def carry_out(plans, apis, events=None):
    notify = (lambda _: None) if events is None else events.append
    return copy.copy(plans, apis, notify=notify, clock=lambda: 1.0, new_token=lambda: next(TOKEN))


def test_an_existing_copy_is_not_made_again():
    there = replace(an_image(), id="ami-there", name="theirs")
    plan = a_copy_plan(there=(an_image(2), there))
    assert (plan.step, plan.there, plan.name) == (CopyStep.NOTHING, there, "theirs")

    ec2 = FakeImages()
    assert carry_out([plan], {"eu-west-1": ec2}) == (there,)
    assert ec2.calls == []


@pytest.mark.parametrize("state", ["available", "pending"])
def test_an_unfinished_copy_is_completed(state):
    begun = replace(an_image(verified=None, state=state), id="ami-begun")
    ec2 = FakeImages(images=[begun])
    plan = a_copy_plan(there=ec2.mine())
    assert plan.step is CopyStep.FINISH

    (copied,) = carry_out([plan], {"eu-west-1": ec2})
    assert (copied.id, copied.tag(Tag.VERIFIED)) == ("ami-begun", "yes")
    assert "copy" not in [call[0] for call in ec2.calls]


def test_a_copy_gets_imdsv2_and_deprecation_of_its_source_and_then_the_verified_tag():
    ec2, events = FakeImages(), []
    later = NOW + timedelta(days=90)
    (copied,) = carry_out([a_copy_plan(deprecation=later)], {"eu-west-1": ec2}, events)

    assert ec2.calls == [
        ("copy", an_image().id, "dask-bake-000000000001"),
        ("wait_available", "ami-copy0"),
        ("require_imdsv2", "ami-copy0"),
        ("deprecate", "ami-copy0", later),
        ("tag", "snap-copy"),
        ("tag", "ami-copy0"),
    ]
    assert copied == ec2.images[0]
    assert dict(copied.tags) == {**dict(an_image().tags), "Name": "dask-bake-000000000001"}
    assert events == [PhaseStarted("copy to eu-west-1"), PhaseEnded("copy to eu-west-1", 0.0)]


@pytest.mark.parametrize("operation", ["wait_available", "require_imdsv2", "tag"])
def test_a_copy_that_fails_is_removed_and_the_others_are_made(operation):
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


def test_a_refused_copy_is_not_retried():
    ec2 = FakeImages(faults={"copy": [refused("quota")]})
    with pytest.raises(BakeError, match="no copy in eu-west-1: quota"):
        carry_out([a_copy_plan()], {"eu-west-1": ec2})
    assert [call[0] for call in ec2.calls] == ["copy"]


def unheard() -> BakeError:
    """Return a refusal after an attempt of unknown outcome."""
    error = refused("you may not")
    error.may_have_happened = True
    return error


@pytest.mark.parametrize("error", [OutcomeUnknownError("no answer"), unheard(), KeyboardInterrupt()])
def test_a_copy_that_may_have_started_is_found_by_its_client_token_and_removed(error):
    ec2 = FakeImages(faults={"copy": [error]})
    with pytest.raises((BakeError, KeyboardInterrupt)):
        carry_out([a_copy_plan()], {"eu-west-1": ec2})
    assert (ec2.images, ec2.calls[-1]) == ([], ("remove", "ami-copy0"))


def test_an_interrupt_removes_unfinished_copies_and_keeps_completed_ones():
    done, going_on = FakeImages(), FakeImages(faults={"wait_available": [KeyboardInterrupt()]})
    with pytest.raises(CommandInterruptedError, match="finished copies remain: ami-copy0 in eu-west-1"):
        carry_out(
            [a_copy_plan(), a_copy_plan(region="us-west-2")], {"eu-west-1": done, "us-west-2": going_on}
        )
    assert (len(done.images), going_on.images) == (1, [])


def test_an_interrupt_does_not_remove_a_copy_that_another_command_started():
    begun = replace(an_image(verified=None), id="ami-begun")
    ec2 = FakeImages(images=[begun], faults={"wait_available": [KeyboardInterrupt()]})
    with pytest.raises(KeyboardInterrupt):
        carry_out([a_copy_plan(there=ec2.mine())], {"eu-west-1": ec2})
    assert ec2.images == [begun]


@pytest.mark.parametrize("error", [refused("broken"), KeyboardInterrupt()])
def test_a_failed_copy_that_cannot_be_removed_is_named(error):
    ec2 = FakeImages(faults={"wait_available": [error], "remove": [refused("no")]})
    with pytest.raises(LeftoverError, match="something may be left that costs money: ami-copy0 in eu-west-1"):
        carry_out([a_copy_plan()], {"eu-west-1": ec2})
