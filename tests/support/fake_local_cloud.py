"""The local cloud's endpoints without root: its machines are pretended."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.serving import make_server

from dask_bake.errors import BakeError
from dask_bake.local.admin_client import ask
from dask_bake.local.ec2.api import Ec2Api
from dask_bake.local.gateway.app import Gateway
from dask_bake.local.iam.roles import profile_metadata
from dask_bake.local.iam.sessions import Sessions
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.firewall_sync import FirewallSync
from dask_bake.local.moto.metadata import find_metadata
from dask_bake.local.network.bridge import Network
from dask_bake.local.settings import Settings
from dask_bake.local.storage.base_image import BaseImages
from dask_bake.local.storage.image_store import ImageStore, StoredImage
from isolation import KEY_PAIR

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
    """A machine that does not boot; it ends on request, or when a test makes its guest power off."""

    def __init__(self, host: "FakeHost", spec, on_end: Callable[[], None]) -> None:
        self.spec = spec
        self.cleaned_up = threading.Event()
        self.power_off_requests = 0
        self.is_rebooting = False
        self._host = host
        self._on_end = on_end
        self._ending = threading.Lock()

    def power_off(self) -> None:
        self.power_off_requests += 1
        if not self._host.ignores_power_off:
            self._end()

    kill = guest_powers_off = lambda self: self._end()

    def reboot(self) -> None:
        self.is_rebooting = True
        self._end()

    def _end(self) -> None:
        self._host.may_end.wait()
        with self._ending:
            if not self.cleaned_up.is_set():
                self._on_end()
                self.cleaned_up.set()


@dataclass
class FakeHost:
    """The host of the fake machines; a test decides when they boot and end."""

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
    """The local cloud's endpoints, clients for them, and the fake host."""

    def __init__(self, settings: Settings, block: str) -> None:
        from dask_bake.local.moto.app import moto_services, one_service
        from dask_bake.local.moto.s3 import is_public

        self.settings = settings
        self.host = FakeHost()
        self.store = ImageStore(settings)
        network = Network("bridge", IPv4Network(block))
        self.moto = ec2 = MotoEc2(network, self.store)
        self.hypervisor = Hypervisor(settings, network, self.store, ec2.instances, boot=self.host.boot)
        self.firewall: list[str] = []
        firewall_sync = FirewallSync(network.bridge, ec2.instances.all, load=self.firewall.append)
        self.api = Ec2Api(one_service("ec2"), ec2, self.hypervisor, update_firewall=firewall_sync.update)
        self.sample_requests: list[str] = []
        self.sessions = Sessions()
        self.gateway = Gateway(
            moto_services(),
            one_service("s3"),
            self.api,
            credentials=KEY_PAIR,
            sessions=self.sessions,
            is_public=is_public,
            caller_address="10.9.0.1",
            load_samples=lambda: self.sample_requests.append("load"),
            status=lambda: {"name": "test", "pid": 1},
            bases=BaseImages(self.store, region="us-east-1", publish=ec2.images.publish),
        )

    @contextmanager
    def listening(self) -> Iterator["Server"]:
        with listening_at(self.gateway) as self.url, listening_at(self.gateway.only_s3) as self.guest_url:
            self.ec2 = self.client("ec2")
            yield self
        self.host.may_boot.set()
        self.host.may_end.set()
        self.api.instance_faults.cancel()
        self.hypervisor.end_all()

    def client(self, service: str, region: str = "us-east-1", url: str | None = None):
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        return boto3.client(service, region, endpoint_url=url or self.url, config=config)

    def admin(self, method: str, subject: str, content: dict[str, Any] | None = None) -> Any:
        """Return the response of the admin API."""
        here = Settings("test", self.settings.root, int(self.url.rpartition(":")[2]))
        return ask(method, subject, content, settings=here, credentials=KEY_PAIR)

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

    def facts(self, instance: dict[str, Any]):
        """Return the instance's metadata."""
        find = partial(profile_metadata, self.sessions)
        return find_metadata(self.moto.instances, find, instance["PrivateIpAddress"])

    def until(self, instance: dict[str, Any], state: str, ec2=None) -> dict[str, Any]:
        """Wait for the state and return the instance's description."""
        deadline = time.monotonic() + 60
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

    def fault(self, kind: str, action: str | None = None, **options: Any) -> str:
        """Add a fault rule with ``POST /_dask_bake/faults`` and return its id."""
        rule = {"kind": kind, **options} if action is None else {"kind": kind, "action": action, **options}
        return str(self.admin("POST", "faults", rule)["id"])

    def clear_faults(self) -> None:
        self.admin("DELETE", "faults")

    def faults(self) -> list[dict[str, Any]]:
        """Return the rules in force, each with the number of times it has struck."""
        return list(self.admin("GET", "faults"))

    def requests_for(self, action: str = "*") -> list[dict[str, Any]]:
        """Return the logged requests for an action since the start or the last ``forget_requests``."""
        logged = self.admin("GET", "requests")
        return [request for request in logged if fnmatchcase(request["action"], action)]

    def forget_requests(self) -> None:
        self.admin("DELETE", "requests")

    def set_quotas(self, **values: float) -> None:
        """Set quotas by their code, with ``_`` for ``-``."""
        quotas = {code.replace("_", "-"): value for code, value in values.items()}
        self.admin("POST", "quotas", quotas)

    def terminate(self, *instances: dict[str, Any]) -> None:
        self.ec2.terminate_instances(InstanceIds=[instance["InstanceId"] for instance in instances])


def use_from_command_line(patch: pytest.MonkeyPatch, runtimes: Path, url: str) -> Settings:
    """Let ``dask-bake local`` in this process use the local cloud at a URL, whose files are in a folder."""
    settings = Settings("test", runtimes / "root", int(url.rpartition(":")[2]))
    patch.setattr("dask_bake.local.settings.RUNTIMES", runtimes)
    patch.setenv("DASK_BAKE_LOCAL_NAME", settings.name)
    patch.setenv("DASK_BAKE_LOCAL_ROOT", str(settings.root))
    patch.setenv("DASK_BAKE_LOCAL_PORT", str(settings.port))
    settings.runtime.mkdir(parents=True)
    settings.credentials_file.write_text(
        f"[default]\naws_access_key_id = {KEY_PAIR.access_key}\n"
        f"aws_secret_access_key = {KEY_PAIR.secret_key}\n"
    )
    return settings


@contextmanager
def listening_at(app) -> Iterator[str]:
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


def refusal(call: Callable[..., Any], **parameters) -> str:
    """Return the error code of a request that must be refused."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def describe_image(cloud: Server, image_id: str) -> dict[str, Any]:
    return cloud.ec2.describe_images(ImageIds=[image_id])["Images"][0]


def left(cloud: Server) -> list[str]:
    """Return everything that still costs money or occupies a name."""
    instances = [
        instance["InstanceId"]
        for reservation in cloud.ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] not in ("shutting-down", "terminated")
    ]
    groups = [group["GroupName"] for group in cloud.ec2.describe_security_groups()["SecurityGroups"]]
    return [*instances, *(name for name in groups if name != "default")]
