"""Quotas in Service Quotas and their effect on RunInstances."""

import pytest

from fake_local_cloud import refusal

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


def quota(cloud, code: str) -> dict:
    return cloud.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]


@pytest.mark.parametrize("code", ["L-1216C47A", "L-34B43A08"])
def test_a_quota_has_a_name_and_the_configured_value(cloud, code):
    cloud.set_quotas(**{code.replace("-", "_"): 32})

    described = quota(cloud, code)

    assert (described["ServiceCode"], described["QuotaCode"], described["Value"]) == ("ec2", code, 32.0)
    assert "Standard (A, C, D, H, I, M, R, T, Z)" in described["QuotaName"]


def test_an_unknown_quota_is_refused(cloud):
    call = cloud.client("service-quotas").get_service_quota

    assert refusal(call, ServiceCode="ec2", QuotaCode="L-00000000") == "NoSuchResourceException"


def test_instances_beyond_the_quota_are_refused_until_others_terminate(cloud):
    cloud.set_quotas(L_1216C47A=4)
    first = cloud.running()
    assert len(cloud.run(MinCount=1, MaxCount=5)) == 1
    assert refusal(cloud.run) == "VcpuLimitExceeded"

    cloud.terminate(first)
    cloud.until(first, "terminated")

    assert len(cloud.run()) == 1


def test_spot_instances_have_a_quota_of_their_own(cloud):
    cloud.set_quotas(L_1216C47A=2, L_34B43A08=2)
    cloud.run()
    cloud.run(**SPOT)

    assert refusal(cloud.run, **SPOT) == "MaxSpotInstanceCountExceeded"
    assert refusal(cloud.run) == "VcpuLimitExceeded"
