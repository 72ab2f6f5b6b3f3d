"""Prices in dollars, from AWS's price list and the spot price history; ``None`` if unknown."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from dask_bake.ec2.errors import translated
from dask_bake.models.cloud import Market

PRICE_LOOKUP_TIMEOUT = 3.0
LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
IN_USE = "PublicIPv4:InUseAddress"


class PriceList:
    """Price look-ups for a region.

    Args:
        other: returns a client with short time-outs for a service.
        timeout: seconds after which a price counts as unknown.
    """

    def __init__(
        self, other: Callable[[str], Any], region: str, timeout: float = PRICE_LOOKUP_TIMEOUT
    ) -> None:
        self._other = other
        self._region = region
        self.timeout = timeout

    def instance(self, name: str, market: Market = Market.ON_DEMAND, zone: str | None = None) -> float | None:
        """Return the price per hour of a Linux instance of that type, on that market."""
        if market is Market.SPOT:
            return self._on_spot(name, zone or "")
        return self._price("AmazonEC2", instanceType=name, **LINUX)

    def disk(self, volume_type: str) -> float | None:
        """Return the price per GiB and month of a volume of that type."""
        return self._price("AmazonEC2", productFamily="Storage", volumeApiName=volume_type)

    def address(self) -> float | None:
        """Return the price per hour of a public address that is in use."""
        return self._price("AmazonVPC", IN_USE, group="VPCPublicIPv4Address")

    def _on_spot(self, name: str, zone: str) -> float | None:
        with translated("DescribeSpotPriceHistory"):
            answer = self._other("ec2").describe_spot_price_history(
                InstanceTypes=[name],
                AvailabilityZone=zone,
                ProductDescriptions=["Linux/UNIX"],
                StartTime=datetime.now(UTC),
            )
        found = sorted(answer.get("SpotPriceHistory", []), key=lambda each: each["Timestamp"])
        return float(found[-1]["SpotPrice"]) if found else None

    def _price(self, service: str, usage: str = "", **wanted: str) -> float | None:
        filters = [
            {"Type": "TERM_MATCH", "Field": key, "Value": value}
            for key, value in {**wanted, "regionCode": self._region}.items()
        ]
        with translated("GetProducts"):
            answer = self._other("pricing").get_products(ServiceCode=service, Filters=filters)
        products = [json.loads(each) for each in answer.get("PriceList", [])]
        found = {price for each in products if usage in _usage(each) for price in prices_of(each)}
        # Several prices belong to several products, and the right one is unknown.
        return found.pop() if len(found) == 1 else None


def prices_of(product: Mapping[str, Any]) -> Iterator[float]:
    """Yield the product's on-demand prices that are not zero."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            if price := float(dimension.get("pricePerUnit", {}).get("USD", 0)):
                yield price


def _usage(product: Mapping[str, Any]) -> str:
    return str(product.get("product", {}).get("attributes", {}).get("usagetype", ""))
