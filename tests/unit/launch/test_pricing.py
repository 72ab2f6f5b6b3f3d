"""The cost of a cluster, from AWS's prices."""

import json
import threading
from dataclasses import replace

import pytest

from dask_bake.ec2.prices import PriceList
from dask_bake.errors import BakeError
from dask_bake.launch.pricing import (
    FREE,
    Cost,
    Item,
    Prices,
    amount,
    cost,
    dollars,
    in_words,
    look_up_prices,
    running_cost,
    running_costs,
)
from dask_bake.models.cloud import Connect, Market
from dask_bake.view.cluster_json import cost_document
from fakes import IMAGE, a_cluster, a_plan

SIZED = replace(IMAGE, root_size=73)
ALL = Prices(head=0.4, worker=0.1, disk=0.1, address=0.005)


def product(price: str, usage: str = "BoxUsage:m6i.2xlarge") -> str:
    """Return an entry of AWS's price list."""
    dimensions = {"x.y": {"unit": "Hrs", "pricePerUnit": {"USD": price}}}
    terms = {"OnDemand": {"x": {"priceDimensions": dimensions}}, "Reserved": {}}
    return json.dumps({"product": {"attributes": {"usagetype": usage}}, "terms": terms})


class FakePrices:
    """Price list and spot prices; ``requested`` are the filters of each request."""

    def __init__(self, **answers):
        self.answers = answers
        self.requested = []

    def __call__(self, service):
        return self

    def get_products(self, ServiceCode, Filters):  # noqa: N803 - boto3's names
        wanted = {each["Field"]: each["Value"] for each in Filters}
        self.requested.append((ServiceCode, wanted))
        key = wanted.get("instanceType") or wanted.get("volumeApiName") or wanted["group"]
        answer = self.answers.get(key, [])
        if isinstance(answer, Exception):
            raise answer
        return {"PriceList": answer}

    def describe_spot_price_history(self, **wanted):
        self.requested.append(("spot", wanted["InstanceTypes"], wanted["AvailabilityZone"]))
        return {"SpotPriceHistory": self.answers["spot"]}


def test_the_cost_of_a_cluster_is_that_of_its_nodes_volumes_and_addresses():
    found = cost(a_plan(count=3, image=SIZED), ALL)

    assert found == Cost(
        (
            Item("head, m6i.2xlarge", 1, 0.4),
            Item("workers, m6i.2xlarge", 2, 0.1),
            Item("root volumes, gp3 of 73 GiB", 3, pytest.approx(0.01)),
            Item("public addresses", 3, 0.005),
        )
    )
    assert in_words(found) == "$0.65 an hour"


def test_the_cost_depends_on_market_volume_size_and_public_addresses():
    plan = a_plan(image=SIZED, spot=True, volume_size=146, private=True, connect=Connect.EICE)

    assert [(item.what, item.each) for item in cost(plan, ALL).items] == [
        ("head, m6i.2xlarge", 0.4),
        ("workers, m6i.2xlarge on spot", 0.1),
        ("root volumes, gp3 of 146 GiB", pytest.approx(0.02)),
    ]


def test_unknown_prices_are_named_and_not_estimated():
    found = cost(a_plan(image=SIZED), replace(ALL, worker=None, address=None))

    assert (found.total, found.known) == (None, pytest.approx(0.43))
    assert in_words(found) == ("$0.43 an hour, and what is unknown: workers, m6i.2xlarge; public addresses")
    assert in_words(cost(a_plan(), Prices())) == "unknown"
    assert in_words(cost(a_plan(), ALL)).endswith("unknown: root volumes, gp3 of ? GiB")


def test_a_free_cluster_costs_nothing():
    assert in_words(FREE) == "nothing"
    assert cost_document(FREE) == {"dollars_per_hour": 0, "items": []}


@pytest.mark.parametrize(("amount", "shown"), [(12.345, "$12.35"), (0.1, "$0.10"), (0.0052, "$0.0052")])
def test_small_amounts_have_four_decimal_places(amount, shown):
    assert dollars(amount) == shown


def test_prices_are_requested_for_the_region_linux_and_shared_tenancy():
    other = FakePrices(
        **{
            "m6i.large": [product("0.0960000000")],
            "m6i.2xlarge": [product("0.3840000000")],
            "gp3": [product("0.0800000000", "EBS:VolumeUsage.gp3")],
            "VPCPublicIPv4Address": [
                product("0.0050000000", "USE1-PublicIPv4:InUseAddress"),
                product("0.0050000001", "USE1-PublicIPv4:IdleAddress"),
            ],
        }
    )

    prices = look_up_prices(PriceList(other, "us-east-1"), a_plan(head_type=("m6i.large",)))

    assert prices == Prices(head=0.096, worker=0.384, disk=0.08, address=0.005)
    machine = {
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "regionCode": "us-east-1",
    }
    assert sorted(other.requested, key=str) == sorted(
        [
            ("AmazonEC2", {"instanceType": "m6i.large", **machine}),
            ("AmazonEC2", {"instanceType": "m6i.2xlarge", **machine}),
            ("AmazonEC2", {"productFamily": "Storage", "volumeApiName": "gp3", "regionCode": "us-east-1"}),
            ("AmazonVPC", {"group": "VPCPublicIPv4Address", "regionCode": "us-east-1"}),
        ],
        key=str,
    )


def test_the_spot_price_is_the_latest_in_the_first_zone():
    history = [{"Timestamp": 2, "SpotPrice": "0.15"}, {"Timestamp": 1, "SpotPrice": "0.25"}]
    other = FakePrices(spot=history)

    prices = look_up_prices(PriceList(other, "us-east-1"), a_plan(spot=True, zone=("us-east-1b",)))

    assert prices.worker == 0.15
    assert ("spot", ["m6i.2xlarge"], "us-east-1b") in other.requested


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [product("0.1"), product("0.2")],
        [product("0.0000000000")],
        [json.dumps({"product": {}, "terms": {}})],
        BakeError("these AWS credentials may not call ec2:GetProducts"),
    ],
)
def test_a_missing_ambiguous_or_zero_price_is_unknown(answer):
    prices = look_up_prices(PriceList(FakePrices(**{"m6i.2xlarge": answer}), "us-east-1"), a_plan())

    assert prices == Prices()


def test_a_price_that_does_not_arrive_in_time_is_unknown():
    may_answer = threading.Event()

    class Slow(FakePrices):
        def get_products(self, ServiceCode, Filters):  # noqa: N803 - boto3's names
            if ServiceCode == "AmazonVPC":
                may_answer.wait()
            return {"PriceList": [product("0.5")]}

    prices = look_up_prices(PriceList(Slow(), "us-east-1", timeout=0.2), a_plan())
    may_answer.set()

    assert prices == Prices(head=0.5, worker=0.5, disk=0.5, address=None)


def test_the_cost_of_a_running_cluster_is_that_of_its_live_instances_by_type_and_market():
    cluster = a_cluster(a_plan(count=4))
    head, first, second, third = cluster.nodes
    nodes = (
        head,
        replace(first, market=Market.SPOT),
        replace(second, market=Market.SPOT),
        replace(third, state="shutting-down"),
    )
    fake = FakePrices(**{"m6i.2xlarge": [product("0.384")]}, spot=[{"SpotPrice": "0.1", "Timestamp": 1}])

    found = running_cost(replace(cluster, nodes=nodes), PriceList(fake, "us-east-1"))

    assert found == Cost((Item("m6i.2xlarge", 1, 0.384), Item("m6i.2xlarge", 2, 0.1)))
    assert ("spot", ["m6i.2xlarge"], first.zone) in fake.requested
    assert len(fake.requested) == 2


def test_a_price_that_aws_does_not_tell_leaves_the_cost_of_a_running_cluster_unknown():
    fake = FakePrices(**{"m6i.2xlarge": BakeError("you may not")})

    found = running_cost(a_cluster(), PriceList(fake, "us-east-1"))

    assert (found.total, in_words(found)) == (None, "unknown")


def test_a_price_is_looked_up_once_for_all_clusters():
    fake = FakePrices(**{"m6i.2xlarge": [product("0.384")]})
    one, two = a_cluster(), a_cluster(a_plan(name="other", count=2))

    found = running_costs((one, two, replace(two, nodes=())), PriceList(fake, "us-east-1"))

    assert found == (Cost((Item("m6i.2xlarge", 3, 0.384),)), Cost((Item("m6i.2xlarge", 2, 0.384),)), Cost())
    assert len(fake.requested) == 1
    assert running_costs((), PriceList(fake, "us-east-1")) == ()


@pytest.mark.parametrize(
    ("items", "shown"),
    [
        ([Item("a", 2, 0.5)], "1.00"),
        ([Item("a", 1, 0.005)], "0.0050"),
        ([Item("a", 1, 0.5), Item("b", 1, None)], "0.50 + ?"),
        ([Item("a", 1, None)], "?"),
        ([], "0"),
    ],
)
def test_a_column_shows_the_cost_as_far_as_it_is_known(items, shown):
    assert amount(Cost(tuple(items))) == shown
