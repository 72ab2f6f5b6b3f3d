"""The metadata service answers each instance about itself, as cloud-init asks."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from werkzeug.test import Client

from dask_bake.local.faults.parse import parse_fault
from dask_bake.local.faults.rules import FaultRules
from dask_bake.local.network import imds
from dask_bake.local.network.imds import InstanceMetadata, MetadataService

LIFETIME = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
FACTS = InstanceMetadata(
    instance_id="i-0123456789abcdef0",
    image_id="ami-1",
    instance_type="t3.micro",
    launch_index=2,
    region="us-east-1",
    zone="us-east-1a",
    account="123456789012",
    private_address="10.213.0.4",
    mac="02:ba:0a:d5:00:04",
    architecture="x86_64",
    security_groups=("default", "dask"),
    public_key=("laptop", "ssh-ed25519 AAAA laptop"),
    user_data=b"#cloud-config\n\xff",
    token_required=True,
)
OTHER = replace(FACTS, instance_id="i-2", private_address="10.213.0.5", public_key=None, user_data=None)


class Service:
    """A client of the service with an instance's address and a clock that a test sets."""

    def __init__(self, *facts: InstanceMetadata) -> None:
        self.now = 0.0
        self.known = {fact.private_address: fact for fact in facts}
        self.rules = FaultRules()
        self.slept: list[float] = []
        self.app = MetadataService(
            self.known.get, clock=lambda: self.now, sleep=self.slept.append, match_faults=self.rules.match
        )
        self.client = Client(self.app)
        self.connection = socket.socket()

    def put(self, path="/latest/api/token", lifetime="60", address=FACTS.private_address):
        headers = {LIFETIME: lifetime} if lifetime is not None else {}
        environ = {"REMOTE_ADDR": address, "werkzeug.socket": self.connection}
        return self.client.put(path, headers=headers, environ_base=environ)

    def get(self, path, token=None, address=FACTS.private_address):
        headers = {TOKEN: token} if token is not None else {}
        return self.client.get(path, headers=headers, environ_base={"REMOTE_ADDR": address})

    def read(self, path, address=FACTS.private_address) -> str:
        answer = self.get(path, self.put(address=address).text, address)
        assert answer.status_code == 200, path
        return answer.text


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    with ExitStack() as stack:

        def start(*facts: InstanceMetadata) -> Service:
            service = Service(*facts)
            stack.enter_context(service.connection)
            return service

        yield start


@pytest.fixture
def service(serve) -> Service:
    return serve(FACTS, OTHER)


def test_a_put_request_returns_a_token_and_its_lifetime(service):
    answer = service.put(lifetime="21600")

    assert (answer.status_code, answer.headers[LIFETIME], len(answer.text)) == (200, "21600", 43)


@pytest.mark.parametrize("lifetime", [None, "", "0", "21601", "-1", "long"])
def test_a_token_with_an_invalid_lifetime_is_refused(service, lifetime):
    assert service.put(lifetime=lifetime).status_code == 400


def test_a_get_request_for_a_token_is_refused(service):
    assert service.get("/latest/api/token").status_code == 405


def test_without_a_valid_token_requests_get_401(service):
    assert service.get("/latest/meta-data/instance-id").status_code == 401
    assert service.get("/latest/meta-data/instance-id", "invented").status_code == 401


def test_a_token_expires(service):
    token = service.put(lifetime="60").text
    service.now = 59.9
    assert service.get("/latest/meta-data/instance-id", token).text == FACTS.instance_id

    service.now = 60.0
    assert service.get("/latest/meta-data/instance-id", token).status_code == 401


def test_expired_tokens_are_forgotten(service):
    for now in range(0, 1000, 100):
        service.now = float(now)
        service.put(lifetime="60")

    assert len(service.app._tokens) == 1


def test_an_instance_has_so_many_tokens_at_most(service, monkeypatch):
    """Its root could fill the memory of the host with them; other instances keep theirs."""
    monkeypatch.setattr(imds, "MAX_TOKENS", 3)
    foreign = service.put(address=OTHER.private_address).text
    tokens = [service.put().text for _ in range(5)]

    found = [service.get("/latest/meta-data/instance-id", token).status_code for token in tokens]
    assert found == [401, 401, 200, 200, 200]
    of_other = service.get("/latest/meta-data/instance-id", foreign, OTHER.private_address)
    assert of_other.status_code == 200


def test_the_token_of_another_instance_is_refused(service):
    token = service.put(address=OTHER.private_address).text

    assert service.get("/latest/meta-data/instance-id", token).status_code == 401


def test_imdsv1_is_answered_only_if_tokens_are_optional(serve):
    service = serve(replace(FACTS, token_required=False))

    assert service.get("/latest/meta-data/instance-id").text == FACTS.instance_id
    assert service.get("/latest/meta-data/instance-id", "invented").status_code == 401


def test_an_address_without_an_instance_gets_404(service):
    assert service.put(address="10.213.0.99").status_code == 404
    assert service.get("/latest/meta-data/", address="10.213.0.99").status_code == 404


def test_directories_are_listed_as_cloud_init_reads_them(service):
    listings = {
        "/latest/meta-data/": "ami-id ami-launch-index hostname instance-id instance-life-cycle instance-type"
        " local-hostname local-ipv4 mac network/ placement/ security-groups public-keys/",
        "/latest/meta-data/network/interfaces/macs/": "02:ba:0a:d5:00:04/",
        "/latest/meta-data/network/interfaces/macs/02:ba:0a:d5:00:04/": "device-number local-hostname"
        " local-ipv4s mac",
        "/latest/meta-data/placement/": "availability-zone region",
        "/latest/meta-data/public-keys/": "0=laptop",
        "/latest/meta-data/public-keys/0/": "openssh-key",
        "/latest/dynamic/instance-identity/": "document",
    }

    assert {path: service.read(path).split("\n") for path in listings} == {
        path: names.split() for path, names in listings.items()
    }


def test_metadata_values_are_those_of_the_instance(service):
    values = {
        "ami-id": "ami-1",
        "ami-launch-index": "2",
        "hostname": "ip-10-213-0-4.ec2.internal",
        "instance-id": "i-0123456789abcdef0",
        "local-ipv4": "10.213.0.4",
        "placement/availability-zone": "us-east-1a",
        "public-keys/0/openssh-key": "ssh-ed25519 AAAA laptop",
        "security-groups": "default\ndask",
    }

    assert {path: service.read(f"/latest/meta-data/{path}") for path in values} == values
    assert service.read("/latest/meta-data/instance-id", OTHER.private_address) == "i-2"


def test_outside_us_east_1_host_names_have_the_region(serve):
    service = serve(replace(FACTS, region="eu-west-1"))

    assert service.read("/latest/meta-data/hostname") == "ip-10-213-0-4.eu-west-1.compute.internal"


@pytest.mark.parametrize("version", ["latest", "2009-04-04", "2021-03-23"])
def test_every_api_version_has_the_same_values(service, version):
    assert service.read(f"/{version}/meta-data/instance-id") == FACTS.instance_id
    assert service.get(f"/{version}/user-data", service.put().text).data == FACTS.user_data


def test_an_instance_without_user_data_or_key_has_none(service):
    token = service.put(address=OTHER.private_address).text
    for path in ("user-data", "meta-data/public-keys/", "meta-data/none", "meta-data/mac/none"):
        assert service.get(f"/latest/{path}", token, OTHER.private_address).status_code == 404


def test_the_identity_document_is_json(service):
    assert json.loads(service.read("/latest/dynamic/instance-identity/document")) == {
        "accountId": "123456789012",
        "architecture": "x86_64",
        "availabilityZone": "us-east-1a",
        "imageId": "ami-1",
        "instanceId": "i-0123456789abcdef0",
        "instanceType": "t3.micro",
        "privateIp": "10.213.0.4",
        "region": "us-east-1",
        "version": "2017-09-30",
    }


def test_a_spot_instance_has_its_life_cycle_and_interruption_notice(serve):
    end = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    spot = replace(FACTS, spot=True)
    service = serve(spot, replace(spot, private_address="10.213.0.5", interruption=end))
    token = service.put().text

    assert service.read("/latest/meta-data/instance-life-cycle") == "spot"
    assert service.get("/latest/meta-data/spot/instance-action", token).status_code == 404
    notice = service.read("/latest/meta-data/spot/instance-action", address="10.213.0.5")
    assert json.loads(notice) == {"action": "terminate", "time": "2026-01-02T03:04:05Z"}
    ended = service.read("/latest/meta-data/spot/termination-time", address="10.213.0.5")
    assert ended == "2026-01-02T03:04:05Z"


def test_with_metadata_disabled_every_request_gets_403(serve):
    service = serve(replace(FACTS, is_enabled=False, token_required=False))

    assert service.put().status_code == 403
    assert service.get("/latest/meta-data/instance-id").status_code == 403


def test_tags_are_in_the_metadata_only_if_enabled(serve, service):
    telling = serve(replace(FACTS, tags={"Name": "head", "dask-bake:role": "head"}, shows_tags=True))

    assert telling.read("/latest/meta-data/tags/instance") == "Name\ndask-bake:role"
    assert telling.read("/latest/meta-data/tags/instance/dask-bake:role") == "head"
    assert service.get("/latest/meta-data/tags/instance", service.put().text).status_code == 404


def test_the_hop_limit_is_the_ttl_of_the_response(serve):
    service = serve(replace(FACTS, hop_limit=1))

    service.put()

    assert service.connection.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 1


@pytest.mark.parametrize("status", [401, 404])
def test_a_fault_rule_fails_the_metadata_of_its_instances_only(serve, status):
    service = serve(replace(FACTS, tags={"dask-bake:role": "worker"}), OTHER)
    where = {"Tag.dask-bake:role": "worker", "Path": "/latest/meta-data/*"}
    rule = {"kind": "error", "action": "Metadata", "status": status, "times": 0, "where": where}
    service.rules.add(parse_fault(rule))
    token = service.put().text

    assert service.get("/latest/meta-data/instance-id", token).status_code == status
    assert service.get("/latest/user-data", token).status_code == 200
    assert service.read("/latest/meta-data/instance-id", OTHER.private_address) == OTHER.instance_id


def test_a_fault_rule_delays_metadata(service):
    rule = {"kind": "delay", "action": "Metadata", "seconds": 3, "where": {"Path": "*/instance-type"}}
    service.rules.add(parse_fault(rule))

    service.read("/latest/meta-data/instance-id")
    assert service.slept == []
    service.read("/latest/meta-data/instance-type")
    assert service.slept == [3.0]
