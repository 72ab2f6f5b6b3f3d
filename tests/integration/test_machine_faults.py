"""Fault rules and booted machines: metadata, boot, termination."""

import re

import pytest

from base_release import BASE
from polling import until

pytestmark = pytest.mark.slow

AMI = f"{BASE.name}-amd64-*"


@pytest.fixture
def launch(cloud):
    """Launch instances of Debian's image with plain user-data; they and the rules end with the test."""
    ec2, ids = cloud.ec2(), []
    image = ec2.describe_images(Filters=[{"Name": "name", "Values": [AMI]}])["Images"][0]["ImageId"]

    def launch(**parameters):
        wanted = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, **parameters}
        found = ec2.run_instances(**wanted)["Instances"]
        ids.extend(instance["InstanceId"] for instance in found)
        return ids[-1]

    yield launch
    cloud.clear_faults()
    if ids:
        ec2.terminate_instances(InstanceIds=ids)
        until(lambda: not set(ids) & set(cloud.live_instances()), timeout=30)


def described(cloud, instance: str) -> dict:
    return cloud.ec2().describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def state(cloud, instance: str) -> str:
    return described(cloud, instance)["State"]["Name"]


def source_of_data(cloud, instance: str) -> str:
    """Return cloud-init's data source, once it is on the console."""

    def find() -> list[str]:
        console = cloud.ec2().get_console_output(InstanceId=instance).get("Output", "")
        return re.findall(r"finished at .* Datasource (\w+)", console)

    return until(find, timeout=120)[0]


def test_an_instance_boots_in_the_requested_zone_and_reaches_its_metadata(cloud, launch):
    instance = launch(Placement={"AvailabilityZone": "us-east-1c"})

    assert source_of_data(cloud, instance) == "DataSourceEc2Local"
    assert described(cloud, instance)["Placement"]["AvailabilityZone"] == "us-east-1c"


def test_a_fault_ends_a_running_machine_with_its_reason(cloud, launch):
    instance = launch()
    until(lambda: state(cloud, instance) == "running", timeout=30)

    cloud.fault("terminated", "--instance", instance, "--code", "Server.InternalError")

    until(lambda: state(cloud, instance) == "terminated", timeout=30)
    assert described(cloud, instance)["StateReason"]["Code"] == "Server.InternalError"


def test_a_machine_without_metadata_boots_and_is_never_configured(cloud, launch):
    cloud.fault("unhealthy")
    instance = launch()

    assert source_of_data(cloud, instance) == "DataSourceNone"
    statuses = cloud.ec2().describe_instance_status(InstanceIds=[instance])["InstanceStatuses"]
    assert statuses[0]["InstanceStatus"]["Status"] == "impaired"
