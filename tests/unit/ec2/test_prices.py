"""Prices of AWS's price list: exact requests, and the values made of the responses."""

import json

from dask_bake.ec2.prices import prices_of


def product(price: str, usage: str = "BoxUsage:m6i.2xlarge") -> str:
    """Return an entry of AWS's price list."""
    dimensions = {"x.y": {"unit": "Hrs", "pricePerUnit": {"USD": price}}}
    terms = {"OnDemand": {"x": {"priceDimensions": dimensions}}, "Reserved": {}}
    return json.dumps({"product": {"attributes": {"usagetype": usage}}, "terms": terms})


def test_only_on_demand_terms_have_a_price():
    assert list(prices_of(json.loads(product("0.384")))) == [0.384]
    assert list(prices_of({})) == []
