"""Security of every kind of launch, checked in the exact requests of its plan."""

import base64
import binascii
import gzip
import ipaddress
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from dask_bake.cloud_init.certificates import create_authority, issue_for_nodes
from dask_bake.launch.discovery import find_callers
from dask_bake.launch.dry_run import planned_calls
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.cloud import Connect, CredentialSource
from fakes import PUBLIC_KEY, a_plan

HERE = "192.0.2.7/32"
KEY = re.compile(r"PRIVATE KEY-----")
TOKEN = re.compile(
    r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|(?i:pass(word|wd)|secret|token|credential)[\w.-]*[\"']?\s*[:=]\s*[\"']?[^\s\"']{6,}"
    r"|\b[0-9a-f]{32,}\b"
)
WHERE_CREDENTIALS_ARE = re.compile(
    r"DASK_BAKE_CREDENTIALS=(profile|forward)\b"
    r"|AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127\.0\.0\.1:786/credentials\b"
    r"|AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/dask-bake/credentials-token\b"
)
"""All that user-data says about the AWS credentials of tasks: whose they are, and where they are."""
LAUNCHES = {
    "by default": {},
    "many": {"count": 1000, "nprocs": 8},
    "spot": {"spot": True},
    "private": {"private": True, "connect": Connect.EICE},
    "by Session Manager": {"connect": Connect.SSM, "iaminstance_name": "reader"},
    "through a bastion": {
        "private": True,
        "connect": Connect.BASTION,
        "bastion": "jump.example",
        "cidr": ("10.1.2.0/28",),
    },
    "for a whole office": {"cidr": ("198.51.100.0/24", "2001:db8::/56")},
    "without user-data": {"provision": False},
    "without Dask": {"dask": False},
    "encrypted within": {"tls": True},
    "with a bigger disk": {"volume_size": 100, "volume_type": "gp2"},
    "with a profile": {"iaminstance_name": "reader"},
    "with the caller's credentials": {"credentials": CredentialSource.FORWARD},
}


@pytest.fixture(params=LAUNCHES, ids=lambda name: name.replace(" ", "-"))
def plan(request) -> LaunchPlan:
    options = LAUNCHES[request.param]
    plan = a_plan(**options)
    callers = find_callers(plan.options, lambda: HERE)
    plan = replace(plan, target=replace(plan.target, callers=callers))
    if options.get("tls"):
        handed = issue_for_nodes(create_authority(plan.options.name))
        plan = replace(plan, bootstrap=replace(plan.bootstrap, tls=handed))
    return plan


def requests(plan: LaunchPlan, operation: str) -> list[dict[str, Any]]:
    found = [call.parameters for call in planned_calls(plan) if call.operation == operation]
    assert found, f"a launch without {operation}"
    return found


def test_imdsv2_is_required_with_a_hop_limit_of_one(plan):
    for request in requests(plan, "RunInstances"):
        assert request["MetadataOptions"] == {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
        }


def test_every_volume_is_encrypted_and_deleted_with_its_instance(plan):
    for request in requests(plan, "RunInstances"):
        disks = [mapping["Ebs"] for mapping in request["BlockDeviceMappings"]]
        assert [(disk["Encrypted"], disk["DeleteOnTermination"]) for disk in disks] == [(True, True)]
        assert request["InstanceInitiatedShutdownBehavior"] == "terminate"


def test_every_interface_has_explicit_security_groups_and_is_deleted_with_its_instance(plan):
    """Without a security group EC2 uses the VPC's default one, which may allow anything."""
    for request in requests(plan, "RunInstances"):
        (interface,) = request["NetworkInterfaces"]
        assert interface["Groups"]
        assert interface["DeleteOnTermination"]
        assert interface["AssociatePublicIpAddress"] is not plan.options.private
        assert "SecurityGroupIds" not in request


def test_no_rule_allows_everyone_and_every_rule_has_a_description(plan):
    for request in requests(plan, "AuthorizeSecurityGroupIngress"):
        for permission in request["IpPermissions"]:
            for entry in entries(permission):
                assert entry["Description"]
            for block in blocks(permission):
                assert (permission["IpProtocol"], permission["FromPort"], permission["ToPort"]) == (
                    "tcp",
                    22,
                    22,
                )
                assert block.prefixlen >= {4: 24, 6: 56}[block.version]


def test_ssh_is_allowed_from_cidr_or_the_caller_s_address_or_with_ssm_and_eice_from_nowhere(plan):
    permissions = [
        permission
        for request in requests(plan, "AuthorizeSecurityGroupIngress")
        for permission in request["IpPermissions"]
    ]

    opened = [str(block) for permission in permissions for block in blocks(permission)]
    is_through_aws = plan.options.transport in (Connect.SSM, Connect.EICE)
    assert opened == ([] if is_through_aws else list(plan.options.cidr or [HERE]))


def test_only_the_head_is_in_the_security_group_for_ssh(plan):
    """A worker is only in the security group of the members."""
    head, workers = requests(plan, "RunInstances")

    assert head["MaxCount"] == 1
    assert workers["NetworkInterfaces"][0]["Groups"] == head["NetworkInterfaces"][0]["Groups"][:1]


def test_instances_have_an_instance_profile_only_if_requested(plan):
    for request in requests(plan, "RunInstances"):
        assert request.get("IamInstanceProfile") == (
            {"Name": plan.options.iaminstance_name} if plan.options.iaminstance_name else None
        )


def test_user_data_has_no_secret_except_the_role_s_own_key(plan):
    """Everyone who may describe instances can read it."""
    texts = [request.get("UserData", "") for request in requests(plan, "RunInstances")]

    for text in texts:
        texts = list(strings(text))
        shown = [WHERE_CREDENTIALS_ARE.sub("", without_keys(each)) for each in texts]
        assert [found.group() for each in shown for found in TOKEN.finditer(each)] == []
        if not plan.options.tls:
            assert [each for each in texts if KEY.search(each)] == []


def test_the_private_key_of_the_ca_is_in_no_user_data():
    authority = create_authority("dask")
    plan = a_plan(tls=True)
    plan = replace(plan, bootstrap=replace(plan.bootstrap, tls=issue_for_nodes(authority)))

    own_lines = authority.key_pem.strip().splitlines()[1:-1]
    for request in requests(plan, "RunInstances"):
        user_data = "\n".join(strings(request["UserData"]))
        assert [line for line in own_lines if line in user_data] == []


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ==\n-----END EC PRIVATE KEY-----\n",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "jupyter_token=0123456789abcdef",
        "c.ServerApp.password = 'argon2:x'",
        "0123456789abcdef" * 3,
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "base64"])
def test_the_scan_finds_secrets(secret, packed):
    """In a file of user-data, plain or as base64."""
    content = base64.b64encode(secret.encode()).decode() if packed else secret
    text = f"#cloud-config\n{yaml.safe_dump({'write_files': [{'path': '/x', 'content': content}]})}"

    assert any(KEY.search(each) or TOKEN.search(each) for each in strings(text))


def test_the_scan_reads_the_user_data_and_accepts_the_public_key():
    """So the scan does not read an empty text."""
    (head, _) = requests(a_plan(), "RunInstances")

    assert PUBLIC_KEY in list(strings(head["UserData"]))


def entries(permission: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        entry for kind in ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs") for entry in permission.get(kind, [])
    ]


def blocks(permission: dict[str, Any]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    named = [entry.get("CidrIp") or entry.get("CidrIpv6") for entry in entries(permission)]
    return [ipaddress.ip_network(block) for block in named if block]


def strings(text: str) -> Iterator[str]:
    """Yield every string of a cloud-config, also decoded from base64 and gzip."""
    yield from _strings(yaml.safe_load(text) if text else {})


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
            yield from unpacked(value.encode())
        case bytes():
            yield from unpacked(value)
        case dict():
            for key, each in value.items():
                yield f"{key}: {each}" if isinstance(each, str) else str(key)
                yield from _strings(each)
        case list():
            for each in value:
                yield from _strings(each)


def unpacked(value: bytes) -> Iterator[str]:
    for unpack in (lambda given: base64.b64decode(given, validate=True), gzip.decompress):
        try:
            inner = unpack(value)
        except (binascii.Error, OSError, EOFError, zlib.error):
            continue
        yield inner.decode("utf-8", "replace")
        yield from unpacked(inner)


def without_keys(text: str) -> str:
    """Return the text without PEM keys and certificates, which may look like tokens."""
    return re.sub(r"-----BEGIN .*?-----END [A-Z ]+-----", "", text, flags=re.DOTALL)
