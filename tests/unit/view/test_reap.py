"""Orphaned resources, as text and as JSON."""

from dask_bake.clusters.orphans import ReapPlan, plan_reap
from dask_bake.models.resources import Resource, ResourceKind
from dask_bake.view.reap import reap_document, reap_view
from orphans import NOW, resource
from rendering import rendered


def plan(*resources: Resource) -> ReapPlan:
    return plan_reap("us-east-1", resources, NOW)


FOUND = plan(
    resource(ResourceKind.INSTANCE, type="m6i.large", id="i-0123456789abcdef0"),
    resource(ResourceKind.VOLUME, type="gp3", size=10, id="vol-0123456789abcdef0"),
    resource(ResourceKind.GROUP, name="dask-bake-taxi", created=None, id="sg-0123456789abcdef0"),
    resource(ResourceKind.GROUP, cluster="young", created=NOW),
)


def test_orphans_are_shown_with_age_and_cost():
    costs = {"i-0123456789abcdef0": 0.096, "vol-0123456789abcdef0": None}

    assert rendered(reap_view(FOUND, costs, NOW)) == (
        "taxi  us-east-1, inactive for 3 h\n"
        "  instance        i-0123456789abcdef0    m6i.large       3 h  $0.0960/h\n"
        "  volume          vol-0123456789abcdef0  gp3 10 GiB      3 h          ?\n"
        "  security group  sg-0123456789abcdef0   dask-bake-taxi    ?\n"
        "left alone\n"
        "  young  us-east-1  it may be starting or ending\n"
        "1 instance, 1 volume and 1 security group are to be removed, $0.0960 an hour\n"
        "plus unknown costs."
    )


def test_without_prices_no_cost_is_shown():
    assert "hour" not in rendered(reap_view(FOUND, {}, NOW))
    assert "unknown" not in rendered(reap_view(ReapPlan(), {}, NOW))


def test_the_json_document_has_orphans_and_skipped_clusters():
    document = reap_document(FOUND, {}, NOW, unreadable={}, removed=False)

    assert document["left_alone"] == [
        {"region": "us-east-1", "cluster": "young", "why": "it may be starting or ending"}
    ]
    (left,) = document["leftovers"]
    assert (left["launch_id"], left["silent_seconds"]) == ("of-taxi", 3 * 3600)
    assert left["pieces"][2] == {
        "kind": "security group",
        "id": "sg-0123456789abcdef0",
        "name": "dask-bake-taxi",
        "type": None,
        "age_seconds": None,
        "cost_an_hour": None,
    }
