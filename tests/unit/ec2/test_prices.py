"""Prices of AWS's price list."""

from dask_bake.ec2.prices import prices_of


def terms(price: str) -> dict[str, object]:
    """Return the terms of an offer in AWS's price list."""
    return {"x": {"priceDimensions": {"x.y": {"unit": "Hrs", "pricePerUnit": {"USD": price}}}}}


def test_only_on_demand_terms_have_a_price():
    assert list(prices_of({"terms": {"OnDemand": terms("0.384"), "Reserved": terms("0.2")}})) == [0.384]
    assert list(prices_of({"terms": {"Reserved": terms("0.2")}})) == []
    assert list(prices_of({})) == []
