"""The account's quotas for EC2: how many vCPUs may run, as Service Quotas tells it and RunInstances obeys."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from werkzeug.wrappers import Response

from dask_bake.errors import UsageError
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.instance_types import vcpus
from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID
from dask_bake.local.query_protocol import Refusal

ON_DEMAND = "L-1216C47A"
SPOT = "L-34B43A08"
NAMES = {
    ON_DEMAND: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    SPOT: "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
}
AT_FIRST = 100_000.0
STANDARD = frozenset({"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"})
"""The families that share these quotas (user guide, "Amazon EC2 instance type quotas")."""


@dataclass
class Quotas:
    """The values, which a test may set; those of all regions are the same."""

    values: dict[str, float] = field(default_factory=lambda: dict.fromkeys(NAMES, AT_FIRST))

    def set(self, said: Mapping[str, object]) -> None:
        """Change values.

        Raises:
            UsageError: when there is no such quota, or the value is none.
        """
        for code, value in said.items():
            if (
                code not in NAMES
                or isinstance(value, bool)
                or not isinstance(value, int | float)
                or value < 0
            ):
                raise UsageError(f"{code}={value!r} is no quota.", hint=f"Set one of {', '.join(NAMES)}.")
        self.values |= {code: float(str(value)) for code, value in said.items()}

    def room(self, ec2: MotoEc2, region: str, instance_type: str, *, spot: bool) -> int:
        """How many more instances of that type may run."""
        if not _is_standard(instance_type):
            return 1_000_000
        used = sum(
            vcpus(instance.instance_type)
            for instance in ec2.instances.all()
            if instance.region_name == region
            and instance.state in ("pending", "running")
            and instance.is_spot is spot
            and _is_standard(instance.instance_type)
        )
        return int((self.values[SPOT if spot else ON_DEMAND] - used) // vcpus(instance_type))

    def refusal(self, *, spot: bool) -> Refusal:
        """What EC2 says to a launch for which there is no room."""
        if spot:
            return Refusal("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        return Refusal(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of "
            f"{self.values[ON_DEMAND]:.0f} allows for the instance bucket that the specified instance type "
            "belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment "
            "to this limit.",
        )

    def answer(self, region: str, code: str) -> Response:
        """GetServiceQuota's answer, for EC2."""
        if code not in self.values:
            problem = {
                "__type": "NoSuchResourceException",
                "Message": "The request failed because of no quota.",
            }
            return Response(json.dumps(problem), status=400, mimetype="application/x-amz-json-1.1")
        quota = {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{region}:{DEFAULT_ACCOUNT_ID}:ec2/{code}",
            "QuotaCode": code,
            "QuotaName": NAMES[code],
            "Value": self.values[code],
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
        return Response(json.dumps({"Quota": quota}), mimetype="application/x-amz-json-1.1")


def _is_standard(instance_type: str) -> bool:
    family = re.match(r"[a-z]+", instance_type)
    return family is not None and family[0] in STANDARD
