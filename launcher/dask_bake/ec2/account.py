"""What other services than EC2 know of the account: quotas and instance profiles, where they may be read."""

from collections.abc import Callable
from typing import Any

from dask_bake.ec2.errors import code_of, translated
from dask_bake.errors import BakeError
from dask_bake.models.ec2 import Quota


class AccountLookUps:
    """Questions whose answers a launch can do without: what cannot be read is ``None``.

    Args:
        other: a client for a service; ``None`` where no service but EC2 is to be asked.
    """

    def __init__(self, other: Callable[[str], Any] | None) -> None:
        self._other = other

    def quota(self, code: str) -> Quota | None:
        """EC2's quota of that code."""
        if self._other is None:
            return None
        try:
            with translated("GetServiceQuota"):
                client = self._other("service-quotas")
                found = client.get_service_quota(ServiceCode="ec2", QuotaCode=code).get("Quota", {})
        except BakeError:
            return None
        if "Value" not in found:  # it was a proxy that answered
            return None
        return Quota(code, name=found.get("QuotaName", ""), value=found["Value"])

    def has_instance_profile(self, name: str) -> bool | None:
        """Whether IAM has an instance profile of that name."""
        if self._other is None:
            return None
        try:
            with translated("GetInstanceProfile"):
                self._other("iam").get_instance_profile(InstanceProfileName=name)
        except BakeError as error:
            return False if code_of(error.__cause__) == "NoSuchEntity" else None
        return True
