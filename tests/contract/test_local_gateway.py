"""The local cloud answers as EC2 does, with machines that are only pretended."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.serving import make_server

from dask_bake.errors import BakeError
from dask_bake.local.ec2_api import Ec2Api
from dask_bake.local.gateway import Gateway
from dask_bake.local.hypervisor import Hypervisor
from dask_bake.local.moto_ec2 import MotoEc2
from dask_bake.local.network import Network
from dask_bake.local.settings import Settings
from dask_bake.local.store import ImageStore, StoredImage

DEBIAN = StoredImage(
    id="ami-00000000000000001",
    name="debian-12-amd64-20260101-local",
    description="Debian 12",
    owner="136693071363",
    region="us-east-1",
    created="2026-01-01T00:00:00.000Z",
    layers=("base",),
    public=True,
)
TAGS = [{"Key": "dask-bake:recipe", "Value": "snapshot"}]


class FakeMachine:
    """A machine without a guest: ends when it is told to, or when a test lets its guest power off."""

    def __init__(self, host: "FakeHost", spec, on_end: Callable[[], None]) -> None:
        self.spec = spec
        self.taken_apart = threading.Event()
        self.asked_to_power_off = 0
        self._host = host
        self._on_end = on_end
        self._over = threading.Event()
        threading.Thread(target=self._live, daemon=True).start()

    def power_off(self) -> None:
        self.asked_to_power_off += 1
        if not self._host.ignores_power_off:
            self._over.set()

    kill = guest_powers_off = lambda self: self._over.set()

    def _live(self) -> None:
        self._over.wait()
        self._host.may_end.wait()
        self._on_end()
        self.taken_apart.set()


@dataclass
class FakeHost:
    """Where machines boot, as soon as they may."""

    machines: list[FakeMachine] = field(default_factory=list)
    may_boot: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)
    ignores_power_off: bool = False
    failure: BakeError | OSError | None = None

    def __post_init__(self) -> None:
        self.may_boot.set()
        self.may_end.set()

    def boot(self, spec, network, on_end) -> FakeMachine:
        assert self.may_boot.wait(10)
        spec.upper.mkdir(parents=True, exist_ok=True)
        with spec.console.open("a") as console:
            console.write(f"booting {spec.address}\n")
        if self.failure:
            raise self.failure
        machine = FakeMachine(self, spec, on_end)
        self.machines.append(machine)
        return machine

    def machine(self, instance: dict[str, Any]) -> FakeMachine:
        return next(
            machine
            for machine in reversed(self.machines)
            if machine.spec.name.endswith(instance["InstanceId"])
        )


class Server:
    """A local cloud without root: its endpoints, its clients, and its host."""

    def __init__(self, settings: Settings, block: str) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.host = FakeHost()
        self.store = ImageStore(settings)
        network = Network("bridge", IPv4Network(block))
        ec2 = MotoEc2(network, self.store)
        self.hypervisor = Hypervisor(settings, network, self.store, ec2, boot=self.host.boot)
        moto = DomainDispatcherApplication(create_backend_app)
        self.sample_requests: list[str] = []
        self.gateway = Gateway(
            moto,
            create_backend_app("s3"),
            Ec2Api(moto, ec2, self.hypervisor),
            caller_address="10.9.0.1",
            load_samples=lambda: self.sample_requests.append("asked"),
            status=lambda: {"pid": 1},
        )

    @contextmanager
    def listening(self) -> Iterator["Server"]:
        with _listening(self.gateway) as self.url, _listening(self.gateway.only_s3) as self.guest_url:
            self.ec2 = self.client("ec2")
            yield self
        self.host.may_boot.set()
        self.host.may_end.set()
        self.hypervisor.end_all()

    def client(self, service: str, region: str = "us-east-1", url: str | None = None):
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        return boto3.client(service, region, endpoint_url=url or self.url, config=config)

    def run(self, ec2=None, **parameters) -> list[dict[str, Any]]:
        wanted = {
            "ImageId": DEBIAN.id,
            "InstanceType": "t3.micro",
            "MinCount": 1,
            "MaxCount": 1,
            **parameters,
        }
        return (ec2 or self.ec2).run_instances(**wanted)["Instances"]

    def describe(self, instance: dict[str, Any], ec2=None) -> dict[str, Any]:
        found = (ec2 or self.ec2).describe_instances(InstanceIds=[instance["InstanceId"]])
        return found["Reservations"][0]["Instances"][0]

    def state(self, instance: dict[str, Any], ec2=None) -> str:
        return self.describe(instance, ec2)["State"]["Name"]

    def until(self, instance: dict[str, Any], state: str, ec2=None) -> dict[str, Any]:
        """The instance as described once it is in that state."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            seen = self.describe(instance, ec2)
            if seen["State"]["Name"] == state:
                return seen
        raise AssertionError(f"{seen['State']} did not become {state}")

    def running(self, ec2=None, **parameters) -> dict[str, Any]:
        return self.until(self.run(ec2, **parameters)[0], "running", ec2)

    def stopped(self, **parameters) -> dict[str, Any]:
        instance = self.running(**parameters)
        self.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
        return self.until(instance, "stopped")

    def terminate(self, *instances: dict[str, Any]) -> None:
        self.ec2.terminate_instances(InstanceIds=[instance["InstanceId"] for instance in instances])


@contextmanager
def _listening(app) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.log = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(name="test", root=tmp_path / "root")


@pytest.fixture
def serve(settings) -> Callable[..., Any]:
    """Starts a local cloud on the images of the last one, as if in a new process."""
    from moto.ec2.models import ec2_backends

    def start(block: str = "10.9.0.0/24"):
        ec2_backends.reset()
        return Server(settings, block).listening()

    store = ImageStore(settings)
    store.layer("base").mkdir()
    store.save(DEBIAN)
    return start


@pytest.fixture
def cloud(serve) -> Iterator[Server]:
    with serve() as server:
        yield server


def refusal(call: Callable[..., Any], **parameters) -> str:
    """The code that the call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_an_instance_is_pending_until_its_machine_is_on_and_ends_when_it_is_off(cloud):
    cloud.host.may_boot.clear()
    launched = cloud.run()[0]
    assert (launched["State"]["Name"], cloud.state(launched)) == ("pending", "pending")

    cloud.host.may_boot.set()
    cloud.until(launched, "running")
    cloud.host.may_end.clear()
    cloud.terminate(launched)
    assert cloud.state(launched) == "shutting-down"

    cloud.host.may_end.set()
    assert cloud.until(launched, "terminated")["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


def test_an_instance_has_an_address_of_the_block_and_never_a_public_one(cloud):
    plain = cloud.running()
    interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": True}
    asked = cloud.running(NetworkInterfaces=[interface])

    assert (plain["PrivateIpAddress"], asked["PrivateIpAddress"]) == ("10.9.0.4", "10.9.0.5")
    assert [instance.get("PublicIpAddress") for instance in (plain, asked)] == [None, None]
    assert not asked["NetworkInterfaces"][0].get("Association")


def test_as_many_are_launched_as_max_count_says(cloud):
    assert len(cloud.run(MinCount=1, MaxCount=3)) == 3


@pytest.mark.parametrize(("least", "most"), [(0, 1), (2, 1)])
def test_counts_that_do_not_fit_are_refused(cloud, least, most):
    assert refusal(cloud.run, MinCount=least, MaxCount=most) == "InvalidParameterValue"


def test_addresses_end_before_the_block_does_and_come_back_with_terminated_instances(serve):
    with serve("10.9.0.0/28") as cloud:
        instances = cloud.run(MinCount=1, MaxCount=40)
        assert len(instances) == 11
        assert refusal(cloud.run) == "InsufficientFreeAddressesInSubnet"

        cloud.until(instances[3], "running")
        cloud.terminate(instances[3])
        cloud.until(instances[3], "terminated")

        assert until_free(cloud)["PrivateIpAddress"] == instances[3]["PrivateIpAddress"]


def until_free(cloud: Server) -> dict[str, Any]:
    """An instance, as soon as there is an address."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return cloud.run()[0]
        except ClientError:
            assert time.monotonic() < deadline


def test_an_address_is_not_given_out_again_before_its_machine_is_off(cloud):
    interface = {"DeviceIndex": 0, "DeleteOnTermination": True}
    ending = cloud.running(NetworkInterfaces=[interface])
    cloud.host.may_end.clear()
    cloud.terminate(ending)

    assert cloud.run()[0]["PrivateIpAddress"] != ending["PrivateIpAddress"]


def test_the_same_client_token_launches_once_and_may_not_be_used_for_another_request(cloud):
    first = cloud.run(ClientToken="once")
    again = cloud.run(ClientToken="once")

    assert [instance["InstanceId"] for instance in again] == [first[0]["InstanceId"]]
    assert len(cloud.ec2.describe_instances()["Reservations"]) == 1
    assert refusal(cloud.run, ClientToken="once", MaxCount=2) == "IdempotentParameterMismatch"


def test_many_requests_at_once_with_one_token_launch_one_instance(cloud):
    threads = [threading.Thread(target=cloud.run, kwargs={"ClientToken": "once"}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(cloud.ec2.describe_instances()["Reservations"]) == 1


def test_user_data_has_the_limit_that_ec2_has(cloud):
    cloud.run(UserData="a" * 16384)

    assert refusal(cloud.run, UserData="a" * 16385) == "InvalidParameterValue"


def test_what_does_not_exist_is_refused_as_ec2_does(cloud):
    nowhere = ["i-00000000000000000"]
    assert refusal(cloud.run, ImageId="ami-0fffffffffffffff0") == "InvalidAMIID.NotFound"
    for call in (cloud.ec2.terminate_instances, cloud.ec2.stop_instances, cloud.ec2.start_instances):
        assert refusal(call, InstanceIds=nowhere) == "InvalidInstanceID.NotFound"
    assert refusal(cloud.ec2.get_console_output, InstanceId=nowhere[0]) == "InvalidInstanceID.NotFound"
    assert refusal(cloud.ec2.create_image, InstanceId=nowhere[0], Name="dask") == "InvalidInstanceID.NotFound"
    assert refusal(cloud.ec2.deregister_image, ImageId="ami-0fffffffffffffff0") == "InvalidAMIID.NotFound"


@pytest.mark.parametrize("operation", ["reboot_instances", "request_spot_instances"])
def test_what_no_machine_would_be_there_for_is_refused(cloud, operation):
    parameters = {"InstanceIds": ["i-00000000000000000"]} if operation == "reboot_instances" else {}

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


def test_terminating_again_changes_nothing_and_does_not_spare_the_others(cloud):
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
    assert cloud.hypervisor.machines_on() == 0


@pytest.mark.parametrize(("behaviour", "state"), [("terminate", "terminated"), ("stop", "stopped")])
def test_a_guest_that_powers_itself_off_ends_as_its_behaviour_says(cloud, behaviour, state):
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


@pytest.mark.parametrize("failure", [BakeError("no room"), OSError(28, "No space left on device")])
def test_an_instance_that_does_not_boot_is_terminated_and_the_cloud_goes_on(cloud, settings, failure):
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


def test_a_stopped_instance_that_cannot_boot_again_stays_stopped(cloud):
    instance = cloud.stopped()
    cloud.host.failure = BakeError("no room")
    cloud.ec2.start_instances(InstanceIds=[instance["InstanceId"]])

    assert cloud.until(instance, "stopped")["StateReason"]["Code"] == "Server.InternalError"
    cloud.host.failure = None
    cloud.ec2.start_instances(InstanceIds=[instance["InstanceId"]])
    cloud.until(instance, "running")


def test_an_instance_is_asked_to_power_off_once_however_often_it_is_stopped(cloud):
    instance = cloud.running()
    cloud.host.may_end.clear()
    for _ in range(3):
        cloud.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
        assert cloud.state(instance) == "stopping"

    cloud.host.may_end.set()
    cloud.until(instance, "stopped")
    cloud.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    assert cloud.state(instance) == "stopped"
    assert cloud.host.machine(instance).asked_to_power_off == 1


def test_a_guest_that_will_not_power_off_can_be_terminated(cloud):
    cloud.host.ignores_power_off = True
    instance = cloud.running()
    cloud.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    assert cloud.state(instance) == "stopping"

    cloud.terminate(instance)

    cloud.until(instance, "terminated")


def test_a_stopped_instance_starts_again_with_what_it_wrote(cloud):
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


def test_an_image_survives_the_server_with_its_name_tags_and_root_device(serve):
    specifications = [{"ResourceType": "image", "Tags": TAGS}]
    with serve() as cloud:
        instance = cloud.stopped()
        image_id = cloud.ec2.create_image(
            InstanceId=instance["InstanceId"], Name="dask", TagSpecifications=specifications
        )["ImageId"]
        before = describe_image(cloud, image_id)

    with serve() as cloud:
        after = describe_image(cloud, image_id)
        cloud.running(ImageId=image_id)

    kept = (
        "Name",
        "Tags",
        "RootDeviceType",
        "RootDeviceName",
        "Architecture",
        "State",
        "OwnerId",
        "CreationDate",
    )
    assert [after[name] for name in kept[:-1]] == [before[name] for name in kept[:-1]]
    assert (after["Name"], after["Tags"], after["RootDeviceType"], after["State"]) == (
        "dask",
        TAGS,
        "ebs",
        "available",
    )


def describe_image(cloud: Server, image_id: str) -> dict[str, Any]:
    return cloud.ec2.describe_images(ImageIds=[image_id])["Images"][0]


def test_an_instance_of_an_image_stands_on_what_was_written_before(cloud):
    instance = cloud.stopped()
    (cloud.host.machine(instance).spec.upper / "written").write_text("kept")
    image_id = cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name="snapshot")["ImageId"]

    layers = cloud.host.machine(cloud.running(ImageId=image_id)).spec.layers

    assert [layer.name for layer in layers] == ["base", f"layer-{image_id.removeprefix('ami-')}"]
    assert (layers[1] / "written").read_text() == "kept"


def test_tags_for_the_snapshot_arrive_there(cloud):
    instance = cloud.stopped()
    specifications = [
        {"ResourceType": "snapshot", "Tags": [*TAGS, {"Key": "empty", "Value": ""}]},
        {"ResourceType": "image", "Tags": [{"Key": "is", "Value": "image"}]},
    ]

    made = cloud.ec2.create_image(
        InstanceId=instance["InstanceId"], Name="dask", TagSpecifications=specifications
    )

    image = describe_image(cloud, made["ImageId"])
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    found = cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"]
    assert (found, image["Tags"]) == (specifications[0]["Tags"], specifications[1]["Tags"])


def test_two_images_cannot_have_one_name(cloud):
    instance = cloud.stopped()
    cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name="dask")

    taken = refusal(cloud.ec2.create_image, InstanceId=instance["InstanceId"], Name="dask")

    assert taken == "InvalidAMIName.Duplicate"


@pytest.mark.parametrize("state", ["pending", "running", "terminated"])
def test_an_image_is_made_of_stopped_instances_only(cloud, state):
    if state == "pending":
        cloud.host.may_boot.clear()
    instance = cloud.until(cloud.run()[0], "pending" if state == "pending" else "running")
    if state == "terminated":
        cloud.terminate(instance)
        cloud.until(instance, "terminated")

    assert refusal(cloud.ec2.create_image, InstanceId=instance["InstanceId"], Name="dask") == "IncorrectState"
    assert cloud.ec2.describe_images(Owners=["self"])["Images"] == []


def test_an_image_that_cannot_be_kept_is_not_there(cloud):
    instance = cloud.stopped()
    cloud.host.machine(instance).spec.upper.rmdir()

    assert refusal(cloud.ec2.create_image, InstanceId=instance["InstanceId"], Name="dask") == "IncorrectState"
    assert cloud.ec2.describe_images(Owners=["self"])["Images"] == []


def test_a_deregistered_image_loses_its_layer_when_nothing_stands_on_it(cloud, settings):
    maker = cloud.stopped()
    first, second = (
        cloud.ec2.create_image(InstanceId=maker["InstanceId"], Name=name)["ImageId"]
        for name in ("one", "two")
        if cloud.host.machine(maker).spec.upper.mkdir(exist_ok=True) is None
    )
    cloud.ec2.deregister_image(ImageId=first)
    assert len(list(settings.layers.iterdir())) == 3

    cloud.terminate(maker)
    cloud.until(maker, "terminated")
    cloud.ec2.deregister_image(ImageId=second)

    assert [path.name for path in settings.layers.iterdir()] == ["base"]
    assert [image.id for image in cloud.store.all()] == [DEBIAN.id]


def test_somebody_elses_image_cannot_be_deregistered(cloud):
    assert refusal(cloud.ec2.deregister_image, ImageId=DEBIAN.id) == "AuthFailure"


def test_tags_of_an_image_are_kept_as_they_change(serve):
    with serve() as cloud:
        image_id = cloud.ec2.create_image(InstanceId=cloud.stopped()["InstanceId"], Name="dask")["ImageId"]
        cloud.ec2.create_tags(Resources=[image_id], Tags=[*TAGS, {"Key": "gone", "Value": "soon"}])
        cloud.ec2.delete_tags(Resources=[image_id], Tags=[{"Key": "gone"}])

    with serve() as cloud:
        assert describe_image(cloud, image_id)["Tags"] == TAGS


def test_regions_are_apart_but_for_addresses_and_public_images(serve):
    with serve() as cloud:
        europe = cloud.client("ec2", "eu-west-1")
        here, there = cloud.running(), cloud.running(europe)
        image_id = cloud.ec2.create_image(InstanceId=cloud.stopped()["InstanceId"], Name="dask")["ImageId"]
        assert (here["PrivateIpAddress"], there["PrivateIpAddress"]) == ("10.9.0.4", "10.9.0.5")
        assert there["Placement"]["AvailabilityZone"] == "eu-west-1a"
        assert len(europe.describe_instances()["Reservations"]) == 1

    with serve() as cloud:
        images = cloud.client("ec2", "eu-west-1").describe_images()["Images"]
        assert [image["ImageId"] for image in images] == [DEBIAN.id]
        assert len(cloud.ec2.describe_images(ImageIds=[DEBIAN.id, image_id])["Images"]) == 2


def test_the_console_is_what_the_machine_printed_and_outlives_it(cloud):
    instance = cloud.running()
    said = f"booting {instance['PrivateIpAddress']}\n"
    assert cloud.ec2.get_console_output(InstanceId=instance["InstanceId"])["Output"] == said

    cloud.terminate(instance)
    cloud.until(instance, "terminated")
    assert cloud.ec2.get_console_output(InstanceId=instance["InstanceId"])["Output"] == said


def test_the_console_is_the_last_64_kilobytes(cloud):
    instance = cloud.running()
    cloud.host.machine(instance).spec.console.write_text("x" * 100 + "y" * 65536)

    assert cloud.ec2.get_console_output(InstanceId=instance["InstanceId"])["Output"] == "y" * 65536


def test_a_launch_while_the_cloud_is_taken_down_is_refused(cloud):
    cloud.hypervisor.end_all()

    assert refusal(cloud.run) == "Unavailable"


def test_taking_down_ends_every_machine(cloud, settings):
    cloud.running()
    cloud.stopped()

    cloud.hypervisor.end_all()

    assert (cloud.hypervisor.machines_on(), list(settings.instances.iterdir())) == (0, [])


def test_instances_reach_s3(cloud):
    cloud.client("s3").create_bucket(Bucket="rides")
    s3 = cloud.client("s3", url=cloud.guest_url)
    s3.put_object(Bucket="rides", Key="a", Body=b"1")

    assert s3.get_object(Bucket="rides", Key="a")["Body"].read() == b"1"


@pytest.mark.parametrize(
    ("host", "path"),
    [("rides.s3.dask-bake.internal", "/year/a"), ("s3.dask-bake.internal", "/rides/year/a")],
)
def test_a_bucket_is_in_the_host_name_or_in_the_path(cloud, host, path):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="rides")
    s3.put_object(Bucket="rides", Key="year/a", Body=b"1", ACL="public-read")

    assert requests.get(cloud.guest_url + path, headers={"Host": host}, timeout=5).content == b"1"


def test_the_samples_are_made_when_their_bucket_is_asked_for(cloud):
    requests.get(f"{cloud.guest_url}/rides/a", timeout=5)
    assert cloud.sample_requests == []

    requests.get(f"{cloud.guest_url}/a", headers={"Host": "dask-data.s3.dask-bake.internal"}, timeout=5)
    assert cloud.sample_requests == ["asked"]


@pytest.mark.parametrize("service", ["ec2", "sts", "iam"])
def test_instances_reach_no_other_service(cloud, service):
    client = cloud.client(service, url=cloud.guest_url)
    call = {"ec2": "describe_instances", "sts": "get_caller_identity", "iam": "list_users"}[service]

    assert refusal(getattr(client, call)) == "UnauthorizedOperation"


@pytest.mark.parametrize("path", ["/_dask_bake/status", "/_dask_bake/caller"])
def test_instances_learn_nothing_of_the_server(cloud, path):
    assert requests.get(cloud.guest_url + path, timeout=5).status_code == 403


@pytest.mark.parametrize("place", ["body", "address"])
def test_instances_cannot_launch_by_leaving_out_the_signature(cloud, place):
    asked = {"Action": "RunInstances", "Version": "2016-11-15", "ImageId": DEBIAN.id, "MinCount": "1"}

    requests.post(cloud.guest_url, timeout=5, **{"data" if place == "body" else "params": asked})

    assert cloud.ec2.describe_instances()["Reservations"] == []


def test_moto_cannot_be_reset_from_outside(cloud):
    cloud.running()

    requests.post(f"{cloud.guest_url}/moto-api/reset", timeout=5)

    assert len(cloud.ec2.describe_instances()["Reservations"]) == 1


def test_the_server_says_who_calls_and_how_it_is(cloud):
    assert requests.get(f"{cloud.url}/_dask_bake/caller", timeout=5).text == "10.9.0.1"
    assert requests.get(f"{cloud.url}/_dask_bake/status", timeout=5).json() == {"pid": 1}
    assert requests.get(f"{cloud.url}/_dask_bake/other", timeout=5).status_code == 404


def test_samples_that_cannot_be_made_are_an_answer_of_s3(settings):
    def fail() -> None:
        raise BakeError("Cannot write the sample data <here>.")

    gateway = Gateway(
        unasked, unasked, Ec2Api(unasked, None, None), caller_address="", load_samples=fail, status=dict
    )
    with _listening(gateway) as url:
        answer = requests.get(f"{url}/dask-data/a", timeout=5)

    message = "Cannot write the sample data &lt;here&gt;."
    assert (answer.status_code, answer.text) == (
        500,
        f"<Error><Code>InternalError</Code><Message>{message}</Message></Error>",
    )


def unasked(environ, start_response):
    raise AssertionError("moto was asked")
