"""The local cloud's endpoints and instances behave as EC2's; machines are pretended."""

import threading
import time
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from dask_bake.errors import BakeError
from dask_bake.local.ec2.api import Ec2Api
from dask_bake.local.gateway.app import Gateway
from dask_bake.local.iam.sessions import Sessions
from dask_bake.local.moto.ec2 import MotoEc2
from fake_local_cloud import DEBIAN, Server, listening_at, refusal
from isolation import KEY_PAIR
from polling import until


def test_an_instance_is_pending_until_its_machine_boots_and_terminates_when_it_is_off(cloud):
    cloud.host.may_boot.clear()
    launched = cloud.run()[0]
    assert (launched["State"]["Name"], cloud.state(launched)) == ("pending", "pending")

    cloud.host.may_boot.set()
    assert "StateReason" not in cloud.until(launched, "running")
    cloud.host.may_end.clear()
    cloud.terminate(launched)
    assert cloud.state(launched) == "shutting-down"

    cloud.host.may_end.set()
    assert cloud.until(launched, "terminated")["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


def test_an_instance_has_an_address_of_the_block_and_never_a_public_one(cloud):
    plain = cloud.running()
    interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": True}
    requesting = cloud.running(NetworkInterfaces=[interface])

    assert (plain["PrivateIpAddress"], requesting["PrivateIpAddress"]) == ("10.9.0.4", "10.9.0.5")
    assert [instance.get("PublicIpAddress") for instance in (plain, requesting)] == [None, None]
    assert not requesting["NetworkInterfaces"][0].get("Association")


def test_max_count_instances_are_launched(cloud):
    assert len(cloud.run(MinCount=1, MaxCount=3)) == 3


@pytest.mark.parametrize(("least", "most"), [(0, 1), (2, 1)])
def test_invalid_counts_are_refused(cloud, least, most):
    assert refusal(cloud.run, MinCount=least, MaxCount=most) == "InvalidParameterValue"


def test_addresses_run_out_at_the_end_of_the_block_and_are_reused_after_termination(serve):
    with serve("10.9.0.0/26") as cloud:
        instances = cloud.run(MinCount=1, MaxCount=40)
        assert len(instances) == 11
        assert refusal(cloud.run) == "InsufficientFreeAddressesInSubnet"

        cloud.until(instances[3], "running")
        cloud.terminate(instances[3])
        cloud.until(instances[3], "terminated")

        assert run_when_free(cloud)["PrivateIpAddress"] == instances[3]["PrivateIpAddress"]


def run_when_free(cloud: Server) -> dict[str, Any]:
    """Return an instance as soon as an address is free."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return cloud.run()[0]
        except ClientError:
            assert time.monotonic() < deadline


def test_an_address_is_not_reused_before_its_machine_is_off(cloud):
    interface = {"DeviceIndex": 0, "DeleteOnTermination": True}
    ending = cloud.running(NetworkInterfaces=[interface])
    cloud.host.may_end.clear()
    cloud.terminate(ending)

    assert cloud.run()[0]["PrivateIpAddress"] != ending["PrivateIpAddress"]


def test_a_client_token_launches_once_and_cannot_be_used_for_another_request(cloud):
    first = cloud.run(ClientToken="once")
    again = cloud.run(ClientToken="once")

    assert [instance["InstanceId"] for instance in again] == [first[0]["InstanceId"]]
    assert len(cloud.ec2.describe_instances()["Reservations"]) == 1
    assert refusal(cloud.run, ClientToken="once", MaxCount=2) == "IdempotentParameterMismatch"


def test_concurrent_requests_with_one_token_launch_one_instance(cloud):
    threads = [threading.Thread(target=cloud.run, kwargs={"ClientToken": "once"}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(cloud.ec2.describe_instances()["Reservations"]) == 1


def test_user_data_has_ec2_s_limit(cloud):
    cloud.run(UserData="a" * 16384)

    assert refusal(cloud.run, UserData="a" * 16385) == "InvalidParameterValue"


def test_missing_resources_are_refused_as_by_ec2(cloud):
    nowhere = ["i-00000000000000000"]
    assert refusal(cloud.run, ImageId="ami-0fffffffffffffff0") == "InvalidAMIID.NotFound"
    for call in (
        cloud.ec2.terminate_instances,
        cloud.ec2.stop_instances,
        cloud.ec2.start_instances,
        cloud.ec2.reboot_instances,
    ):
        assert refusal(call, InstanceIds=nowhere) == "InvalidInstanceID.NotFound"
    assert refusal(cloud.ec2.get_console_output, InstanceId=nowhere[0]) == "InvalidInstanceID.NotFound"
    assert refusal(cloud.ec2.create_image, InstanceId=nowhere[0], Name="dask") == "InvalidInstanceID.NotFound"
    assert refusal(cloud.ec2.deregister_image, ImageId="ami-0fffffffffffffff0") == "InvalidAMIID.NotFound"


CAPACITY = {"TotalTargetCapacity": 1, "OnDemandTargetCapacity": 1}


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("request_spot_instances", {}),
        ("create_fleet", {"LaunchTemplateConfigs": [], "TargetCapacitySpecification": CAPACITY}),
        ("register_image", {"Name": "dask"}),
    ],
)
def test_actions_that_the_local_cloud_cannot_carry_out_are_refused(cloud, operation, parameters):
    assert refusal(getattr(cloud.ec2, operation), **parameters) == "UnsupportedOperation"


def test_a_group_cannot_be_deleted_while_an_instance_is_in_it(cloud):
    group = cloud.ec2.create_security_group(GroupName="dask", Description="dask")["GroupId"]
    instance = cloud.running(SecurityGroupIds=[group])
    for name in ({"GroupId": group}, {"GroupName": "dask"}):
        assert refusal(cloud.ec2.delete_security_group, **name) == "DependencyViolation"

    cloud.host.may_end.clear()
    cloud.terminate(instance)
    assert refusal(cloud.ec2.delete_security_group, GroupId=group) == "DependencyViolation"

    cloud.host.may_end.set()
    cloud.until(instance, "terminated")
    cloud.ec2.delete_security_group(GroupId=group)
    assert [found["GroupName"] for found in cloud.ec2.describe_security_groups()["SecurityGroups"]] == [
        "default"
    ]


def test_a_group_of_the_same_name_in_another_region_is_another_group(cloud):
    europe = cloud.client("ec2", "eu-west-1")
    groups = [
        ec2.create_security_group(GroupName="dask", Description="dask")["GroupId"]
        for ec2 in (cloud.ec2, europe)
    ]
    cloud.running(SecurityGroupIds=groups[:1])

    europe.delete_security_group(GroupName="dask")

    names = [group["GroupName"] for group in europe.describe_security_groups()["SecurityGroups"]]
    assert names == ["default"]


def test_terminating_again_changes_nothing_and_terminates_the_others_of_the_request(cloud):
    interface = {"DeviceIndex": 0, "DeleteOnTermination": True}
    first, second = (cloud.running(NetworkInterfaces=[interface]) for _ in range(2))
    cloud.terminate(first)
    cloud.until(first, "terminated")

    cloud.terminate(first, second)

    assert cloud.state(first) == "terminated"
    assert cloud.until(second, "terminated")["State"]["Code"] == 48


def test_an_instance_that_is_terminated_before_it_boots_never_boots(cloud):
    cloud.host.may_boot.clear()
    instances = cloud.run(MinCount=6, MaxCount=6)
    cloud.terminate(*instances)
    assert {cloud.state(instance) for instance in instances} <= {"shutting-down", "terminated"}

    cloud.host.may_boot.set()
    for instance in instances:
        cloud.until(instance, "terminated")
    assert cloud.hypervisor.slots.machines_on() == 0


@pytest.mark.parametrize(("behaviour", "state"), [("terminate", "terminated"), ("stop", "stopped")])
def test_a_guest_that_powers_off_stops_or_terminates_by_its_shutdown_behaviour(cloud, behaviour, state):
    instance = cloud.running(InstanceInitiatedShutdownBehavior=behaviour)

    cloud.host.machine(instance).guest_powers_off()

    seen = cloud.until(instance, state)
    assert seen["StateReason"] == {
        "Code": "Client.InstanceInitiatedShutdown",
        "Message": "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    }
    cloud.terminate(instance)
    assert cloud.until(instance, "terminated")["StateReason"]["Code"] == (
        "Client.InstanceInitiatedShutdown" if state == "terminated" else "Client.UserInitiatedShutdown"
    )


@pytest.mark.parametrize("by", ["EC2", "its guest"])
def test_a_rebooted_instance_runs_again_with_its_address_and_files(cloud, by):
    instance = cloud.running(InstanceInitiatedShutdownBehavior="terminate")
    first = cloud.host.machine(instance)
    cloud.host.may_boot.clear()

    if by == "EC2":
        cloud.ec2.reboot_instances(InstanceIds=[instance["InstanceId"]])
    else:
        first.reboot()

    assert cloud.until(instance, "running")["PrivateIpAddress"] == instance["PrivateIpAddress"]
    cloud.host.may_boot.set()
    until(lambda: cloud.host.machine(instance) is not first, timeout=60)
    assert cloud.host.machine(instance).spec == first.spec
    cloud.terminate(instance)
    cloud.until(instance, "terminated")
    assert refusal(cloud.ec2.reboot_instances, InstanceIds=[instance["InstanceId"]]) == (
        "IncorrectInstanceState"
    )


def test_the_shutdown_behaviour_can_be_changed(cloud):
    instance = cloud.running(InstanceInitiatedShutdownBehavior="stop")
    ending = {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}}
    cloud.ec2.modify_instance_attribute(InstanceId=instance["InstanceId"], **ending)

    attribute = cloud.ec2.describe_instance_attribute(
        InstanceId=instance["InstanceId"], Attribute="instanceInitiatedShutdownBehavior"
    )
    cloud.host.machine(instance).guest_powers_off()

    assert attribute["InstanceInitiatedShutdownBehavior"] == {"Value": "terminate"}
    assert cloud.until(instance, "terminated")["SecurityGroups"] == instance["SecurityGroups"]


@pytest.mark.parametrize("attribute", ["EnaSupport", "Ramdisk"])
def test_an_unsupported_attribute_is_refused_and_no_other_is_changed(cloud, attribute):
    instance = cloud.running()
    value = {"Value": True} if attribute == "EnaSupport" else {"Value": "ari-1"}

    call = cloud.ec2.modify_instance_attribute
    assert refusal(call, InstanceId=instance["InstanceId"], **{attribute: value}) == "UnsupportedOperation"
    assert cloud.describe(instance) == instance


@pytest.mark.parametrize("parameters", [{}, {"NetworkInterfaces": [{"DeviceIndex": 0}]}])
def test_an_instance_s_interface_and_its_tags_are_deleted_on_termination(cloud, parameters):
    tags = [{"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "1"}]}]
    instance = cloud.running(TagSpecifications=tags, **parameters)
    assert len(cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]) == 1

    cloud.terminate(instance)
    cloud.until(instance, "terminated")
    assert cloud.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert cloud.ec2.describe_tags()["Tags"] == []


@pytest.mark.parametrize("failure", [BakeError("no room"), OSError(28, "No space left on device")])
def test_an_instance_that_does_not_boot_is_terminated_without_affecting_the_cloud(cloud, settings, failure):
    cloud.host.failure = failure
    instance = cloud.run()[0]

    seen = cloud.until(instance, "terminated")
    assert seen["StateReason"] == {
        "Code": "Server.InternalError",
        "Message": f"Server.InternalError: {failure}",
    }
    assert list(settings.instances.iterdir()) == []
    cloud.host.failure = None
    cloud.running()


def test_a_stopped_instance_that_fails_to_boot_stays_stopped(cloud):
    instance = cloud.stopped()
    cloud.host.failure = BakeError("no room")
    cloud.ec2.start_instances(InstanceIds=[instance["InstanceId"]])

    assert cloud.until(instance, "stopped")["StateReason"]["Code"] == "Server.InternalError"
    cloud.host.failure = None
    cloud.ec2.start_instances(InstanceIds=[instance["InstanceId"]])
    cloud.until(instance, "running")


def test_repeated_stops_power_off_an_instance_once(cloud):
    instance = cloud.running()
    cloud.host.may_end.clear()
    for _ in range(3):
        cloud.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
        assert cloud.state(instance) == "stopping"

    cloud.host.may_end.set()
    cloud.until(instance, "stopped")
    cloud.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    assert cloud.state(instance) == "stopped"
    assert cloud.host.machine(instance).power_off_requests == 1


def test_a_guest_that_ignores_power_off_can_be_terminated(cloud):
    cloud.host.ignores_power_off = True
    instance = cloud.running()
    cloud.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    assert cloud.state(instance) == "stopping"

    cloud.terminate(instance)

    cloud.until(instance, "terminated")


def test_a_stopped_instance_starts_with_its_disk_unchanged(cloud):
    instance = cloud.stopped()
    wrote = cloud.host.machine(instance).spec.upper / "written"
    wrote.write_text("kept")

    cloud.ec2.start_instances(InstanceIds=[instance["InstanceId"]])

    seen = cloud.until(instance, "running")
    assert (seen["PrivateIpAddress"], wrote.read_text()) == (instance["PrivateIpAddress"], "kept")


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_a_terminated_instance_can_neither_start_nor_stop(cloud, verb):
    instance = cloud.running()
    cloud.terminate(instance)
    cloud.until(instance, "terminated")

    call = getattr(cloud.ec2, f"{verb}_instances")
    assert refusal(call, InstanceIds=[instance["InstanceId"]]) == "IncorrectInstanceState"
    assert cloud.state(instance) == "terminated"


def test_a_stopped_instance_can_be_terminated(cloud, settings):
    instance = cloud.stopped()

    cloud.terminate(instance)

    cloud.until(instance, "terminated")
    assert list(settings.instances.iterdir()) == []


def test_the_console_output_outlives_the_machine(cloud):
    instance = cloud.running()
    console = f"booting {instance['PrivateIpAddress']}\n"
    assert cloud.ec2.get_console_output(InstanceId=instance["InstanceId"])["Output"] == console

    cloud.terminate(instance)
    cloud.until(instance, "terminated")
    assert cloud.ec2.get_console_output(InstanceId=instance["InstanceId"])["Output"] == console


def test_the_console_output_is_the_last_64_kilobytes(cloud):
    instance = cloud.running()
    cloud.host.machine(instance).spec.console.write_text("x" * 100 + "y" * 65536)

    assert cloud.ec2.get_console_output(InstanceId=instance["InstanceId"])["Output"] == "y" * 65536


def test_a_launch_is_refused_while_the_cloud_stops(cloud):
    cloud.hypervisor.end_all()

    assert refusal(cloud.run) == "Unavailable"


def test_stopping_the_cloud_ends_every_machine(cloud, settings):
    cloud.running()
    cloud.stopped()

    cloud.hypervisor.end_all()

    assert (cloud.hypervisor.slots.machines_on(), list(settings.instances.iterdir())) == (0, [])


def test_instances_reach_s3(cloud):
    cloud.client("s3").create_bucket(Bucket="rides")
    s3 = cloud.client("s3", url=cloud.guest_url)
    s3.put_object(Bucket="rides", Key="a", Body=b"1")

    assert s3.get_object(Bucket="rides", Key="a")["Body"].read() == b"1"


@pytest.mark.parametrize(
    ("host", "path"),
    [("rides.s3.dask-bake.internal", "/year/a"), ("s3.dask-bake.internal", "/rides/year/a")],
)
def test_a_bucket_is_addressed_by_host_name_or_path(cloud, host, path):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="rides")
    s3.put_object(Bucket="rides", Key="year/a", Body=b"1", ACL="public-read")

    assert requests.get(cloud.guest_url + path, headers={"Host": host}, timeout=60).content == b"1"


def test_the_samples_are_made_at_the_first_request_for_their_bucket(cloud):
    requests.get(f"{cloud.guest_url}/rides/a", timeout=60)
    assert cloud.sample_requests == []

    requests.get(f"{cloud.guest_url}/a", headers={"Host": "dask-data.s3.dask-bake.internal"}, timeout=60)
    assert "load" in cloud.sample_requests


@pytest.mark.parametrize("service", ["ec2", "sts", "iam"])
def test_instances_reach_no_other_service(cloud, service):
    client = cloud.client(service, url=cloud.guest_url)
    call = {"ec2": "describe_instances", "sts": "get_caller_identity", "iam": "list_users"}[service]

    assert refusal(getattr(client, call)) == "UnauthorizedOperation"


@pytest.mark.parametrize("path", ["/_dask_bake/status", "/_dask_bake/caller"])
def test_instances_cannot_read_the_server_s_internal_paths(cloud, path):
    assert requests.get(cloud.guest_url + path, timeout=60).status_code == 403


@pytest.mark.parametrize("place", ["body", "address"])
def test_instances_cannot_launch_with_unsigned_requests(cloud, place):
    parameters = {"Action": "RunInstances", "Version": "2016-11-15", "ImageId": DEBIAN.id, "MinCount": "1"}

    requests.post(cloud.guest_url, timeout=60, **{"data" if place == "body" else "params": parameters})

    assert cloud.ec2.describe_instances()["Reservations"] == []


def test_moto_cannot_be_reset_from_outside(cloud):
    cloud.running()

    requests.post(f"{cloud.guest_url}/moto-api/reset", timeout=60)

    assert len(cloud.ec2.describe_instances()["Reservations"]) == 1


def test_the_key_pair_is_that_of_the_account_s_root_user(cloud):
    identity = cloud.client("sts").get_caller_identity()

    assert (identity["Arn"], identity["Account"]) == ("arn:aws:iam::123456789012:root", "123456789012")


def test_the_server_reports_the_caller_s_address_and_its_status(cloud):
    assert cloud.admin("GET", "caller") == "10.9.0.1"
    assert cloud.admin("GET", "status") == {"name": "test", "pid": 1}
    with pytest.raises(BakeError, match="the local cloud has no other"):
        cloud.admin("GET", "other")


def test_a_failure_to_make_samples_is_an_s3_error(settings):
    def fail() -> None:
        raise BakeError("cannot write the sample data <here>")

    gateway = Gateway(
        {},
        must_not_be_called,
        Ec2Api(must_not_be_called, MotoEc2(None, None), None),
        credentials=KEY_PAIR,
        sessions=Sessions(),
        is_public=lambda *_: True,
        caller_address="",
        load_samples=fail,
        status=dict,
        bases=None,
    )
    with listening_at(gateway) as url:
        answer = requests.get(f"{url}/dask-data/a", timeout=60)

    message = "cannot write the sample data &lt;here&gt;"
    assert (answer.status_code, answer.text) == (
        500,
        f"<Error><Code>InternalError</Code><Message>{message}</Message></Error>",
    )


def must_not_be_called(environ, start_response):
    raise AssertionError("moto was called")
