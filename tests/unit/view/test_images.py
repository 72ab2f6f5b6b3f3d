"""Images as text, at 80 columns and without colour, and as data."""

from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import RenderableType

from dask_bake.images.copy_plan import CopyPlan, CopyStep
from dask_bake.images.differences import Change, Difference, Differences
from dask_bake.images.prune import PrunePlan, plan_prune
from dask_bake.images.share import SharePlan
from dask_bake.models.ec2 import ImageSettings
from dask_bake.view import image_json
from dask_bake.view.image_plans import copied_view, copies_view, counted, prune_view, share_view
from dask_bake.view.images import diff_view, differences_view, image_view, images_table
from fake_images import NEWER_BASE, NOW, a_snapshot, an_image, holding, some_facts
from rendering import rendered

DIFFERENCES = Differences(
    inputs=(Difference("base_image", Change.CHANGED, "ami-old", "ami-new"),),
    files=(Difference("scripts/20-new.sh", Change.ADDED, after="bbbbbbbbbbbb"),),
    packages=(
        Difference("dask", Change.CHANGED, "2026.7.0", "2026.8.0"),
        Difference("toolz", Change.REMOVED, before="1.0"),
    ),
)
COPY = CopyPlan(an_image(), "us-east-1", "eu-west-1", CopyStep.COPY, "dask-bake-000000000001", "", (), (), ())


def shown(renderable: RenderableType) -> str:
    """Return the rendered text, with a final newline."""
    return rendered(renderable) + "\n"


def test_the_list_has_two_lines_for_each_image():
    facts = [
        some_facts(1, days=0.1, verified=None, environment="gpu"),
        some_facts(2, days=3, users=("docs", "taxi"), newest_base=NEWER_BASE, environment="dask"),
        replace(some_facts(3, days=40, verified="skipped", distributed="2026.7.0"), snapshot=None),
        some_facts(4, days=50, state="failed", base_name=None),
    ]
    assert (
        shown(images_table(facts, NOW))
        == """\
image                   age      size  base            verified  in use by
────────────────────────────────────────────────────────────────────────────────
ami-00000000000000001   2 h    1.2 GB  12 2026-07-01   no
  dask-bake-000000000001, gpu, Python 3.11.2, dask 2026.8.0
ami-00000000000000002   3 d    1.2 GB  12 2026-07-01*  yes       docs, taxi
  dask-bake-000000000002, dask, Python 3.11.2, dask 2026.8.0
ami-00000000000000003  40 d  ≤ 10 GiB  12 2026-07-01   skipped
  dask-bake-000000000003, Python 3.11.2, dask 2026.8.0, distributed 2026.7.0
ami-00000000000000004  50 d    1.2 GB  ?               failed
  dask-bake-000000000004, Python 3.11.2, dask 2026.8.0

* A newer base image exists: dask-bake bake uses it.
"""
    )


def test_an_empty_list_names_the_command_that_bakes_an_image():
    assert shown(images_table([], NOW)) == "There are no images in this region. dask-bake bake makes one.\n"


def test_one_image_is_shown_with_its_contents():
    facts = holding(some_facts(users=("docs",), newest_base=NEWER_BASE, environment="dask"))
    settings = ImageSettings("[a] bake", NOW + timedelta(days=90), True, ("111111111111",))
    assert (
        shown(image_view(facts, settings, NOW))
        == """\
image         ami-00000000000000001
name          dask-bake-000000000001
description   [a] bake
digest        ed445aa9bbd40000000000000000000000000000000000000000000000000000
state         available
verified      yes
created       2026-08-02 12:00 UTC, 24 h ago
deprecation   2026-11-01
architecture  x86_64
environment   dask
installer     pip
python        3.11.2
dask          2026.8.0
distributed   2026.8.0
base          ami-base debian-12-amd64-20260701-2100, superseded by
              debian-12-amd64-20260801-2200
snapshot      snap-00000000000000001, 1.2 GB, encrypted
metadata      IMDSv2 required
in use by     docs
shared with   111111111111

inputs
  base_image  ami-base
  installer   pip

files, * executable
  eeeeeeee  environment.yml
  aaaaaaaa  scripts/10-system.sh*

2 packages
  dask 2026.8.0  numpy 2.3.0 py311_0
"""
    )


def test_an_image_without_a_manifest_is_shown_with_its_properties():
    text = shown(image_view(replace(some_facts(), snapshot=None), ImageSettings(), NOW))
    assert text.endswith(
        """\
snapshot      snap-00000000000000001, ≤ 10 GiB, not encrypted
metadata      set by the launch
in use by     nobody
shared with   nobody

The image has no manifest: an older version of dask-bake baked it.
"""
    )


def test_a_difference_is_a_line_with_a_sign():
    assert (
        shown(diff_view(an_image(1), an_image(2), DIFFERENCES))
        == """\
from ami-00000000000000001 (dask-bake-000000000001)
to   ami-00000000000000002 (dask-bake-000000000002)
inputs
  ~  base_image  ami-old → ami-new
files
  +  scripts/20-new.sh  bbbbbbbbbbbb
packages
  ~  dask   2026.7.0 → 2026.8.0
  -  toolz  1.0
"""
    )


def test_no_differences():
    assert shown(differences_view(Differences())) == "Nothing differs.\n"


def a_prune() -> PrunePlan:
    facts = [some_facts(1), some_facts(2, days=2, users=("docs",)), some_facts(3, days=3)]
    return plan_prune(facts, keep=1, now=NOW, snapshots=[a_snapshot(9, days=9, bytes=5_000_000)])


def test_a_prune_shows_what_is_removed_and_kept_with_the_reason():
    assert (
        shown(prune_view(a_prune(), NOW))
        == """\
to be removed
  ami-00000000000000003   3 d  1.2 GB  not the newest
  snap-00000000000000009  9 d  5 MB    its image was removed
to be kept
  ami-00000000000000001  24 h  1.2 GB  the newest
  ami-00000000000000002  2 d   1.2 GB  in use by docs
1 image and 2 snapshots, 1.2 GB, are to be removed.
"""
    )


@pytest.mark.parametrize(
    ("plan", "start"),
    [
        (PrunePlan(), "Nothing is"),
        (PrunePlan(loose=(a_snapshot(bytes=None),)), "1 snapshot is"),
        (PrunePlan(loose=(a_snapshot(1), a_snapshot(2))), "2 snapshots, 2.5 GB, are"),
    ],
)
def test_images_and_snapshots_to_remove_are_counted(plan, start):
    assert counted(plan) == start


def test_copies_are_shown_as_planned_and_as_carried_out():
    there = replace(an_image(), id="ami-there")
    plans = [
        COPY,
        replace(COPY, to_region="us-west-2", step=CopyStep.FINISH, there=there),
        replace(COPY, to_region="sa-east-1", step=CopyStep.NOTHING, there=there),
    ]
    assert (
        shown(copies_view(plans))
        == """\
eu-west-1  copy ami-00000000000000001 as dask-bake-000000000001, encrypted
us-west-2  complete ami-there, an unfinished copy
sa-east-1  nothing to do, ami-there exists
"""
    )
    assert (
        shown(copied_view(plans, [an_image(7), there, there]))
        == """\
eu-west-1  ami-00000000000000007  copied
us-west-2  ami-there              completed
sa-east-1  ami-there              existed already
"""
    )


def test_a_share_has_a_line_for_each_account():
    plan = SharePlan(an_image(), ("111111111111",), ("222222222222",))
    assert (
        shown(share_view(plan))
        == """\
ami-00000000000000001  shared with 111111111111
ami-00000000000000001  already shared with 222222222222, nothing to do
"""
    )
    assert (
        shown(share_view(replace(plan, stop=True)))
        == """\
ami-00000000000000001  no longer shared with 111111111111
ami-00000000000000001  not shared with 222222222222, nothing to do
"""
    )


def test_unknown_values_of_an_image_are_null():
    facts = replace(some_facts(users=("docs",), base_name=None), snapshot=None)
    assert image_json.image_document(facts, NOW) == {
        "id": "ami-00000000000000001",
        "name": "dask-bake-000000000001",
        "state": "available",
        "digest": "1" * 64,
        "created": "2026-08-02T12:00:00+00:00",
        "age_seconds": 86400,
        "architecture": "x86_64",
        "environment": None,
        "installer": "pip",
        "python": "3.11.2",
        "dask": "2026.8.0",
        "distributed": "2026.8.0",
        "base": "ami-base",
        "base_name": None,
        "base_newest": None,
        "base_superseded": None,
        "verified": "yes",
        "snapshot": "snap-00000000000000001",
        "bytes": None,
        "volume_gib": 10,
        "encrypted": None,
        "in_use_by": ["docs"],
    }


def test_one_image_as_data_has_its_manifest():
    document = image_json.whole_document(holding(some_facts()), ImageSettings(requires_tokens=True), NOW)
    assert document["imdsv2"] is True
    assert document["manifest"]["packages"][0] == {
        "name": "dask",
        "version": "2026.8.0",
        "sha256": "d" * 64,
        "kind": "pypi",
    }
    assert image_json.whole_document(some_facts(), ImageSettings(), NOW)["manifest"] is None


def test_differences_as_data():
    assert image_json.differences_document(an_image(1), an_image(2), DIFFERENCES) == {
        "before": "ami-00000000000000001",
        "after": "ami-00000000000000002",
        "inputs": [{"name": "base_image", "change": "changed", "before": "ami-old", "after": "ami-new"}],
        "files": [{"name": "scripts/20-new.sh", "change": "added", "before": None, "after": "bbbbbbbbbbbb"}],
        "packages": [
            {"name": "dask", "change": "changed", "before": "2026.7.0", "after": "2026.8.0"},
            {"name": "toolz", "change": "removed", "before": "1.0", "after": None},
        ],
    }


def test_a_prune_as_data():
    document = image_json.prune_document(a_prune(), removed=[an_image(3)])
    assert document == {
        "removed": ["ami-00000000000000003"],
        "remove": [
            {
                "id": "ami-00000000000000003",
                "name": "dask-bake-000000000003",
                "snapshot": "snap-00000000000000003",
                "bytes": 1_234_000_000,
                "why": "not the newest",
            }
        ],
        "loose_snapshots": [{"snapshot": "snap-00000000000000009", "bytes": 5_000_000}],
        "keep": [
            {
                "id": f"ami-0000000000000000{number}",
                "name": f"dask-bake-00000000000{number}",
                "snapshot": f"snap-0000000000000000{number}",
                "bytes": 1_234_000_000,
                "why": why,
            }
            for number, why in ((1, "the newest"), (2, "in use by docs"))
        ],
        "bytes": 1_239_000_000,
    }
    assert image_json.prune_document(a_prune(), removed=None)["removed"] is None


def test_copies_and_shares_as_data():
    assert image_json.copies_document([COPY], None) == [
        {
            "source": "ami-00000000000000001",
            "from_region": "us-east-1",
            "region": "eu-west-1",
            "step": "copy",
            "carried_out": False,
            "name": "dask-bake-000000000001",
            "image": None,
            "deprecation": None,
        }
    ]
    (copied,) = image_json.copies_document([replace(COPY, deprecation=NOW)], [an_image(7)])
    assert (copied["image"], copied["carried_out"], copied["deprecation"]) == (
        "ami-00000000000000007",
        True,
        "2026-08-03T12:00:00+00:00",
    )
    assert image_json.share_document(SharePlan(an_image(), ("1",), ("2",)), carried_out=True) == {
        "image": "ami-00000000000000001",
        "snapshot": "snap-00000000000000001",
        "stop": False,
        "accounts": ["1"],
        "unchanged": ["2"],
        "carried_out": True,
    }
