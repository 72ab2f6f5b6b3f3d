"""Faults of the local cloud, as its clients see them."""

import json
import re
import socket
import time
from functools import partial

import pytest
import requests
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError
from botocore.parsers import ResponseParserError
from werkzeug.test import Client

from dask_bake.cli.main import run
from dask_bake.errors import UsageError
from dask_bake.local.faults.model import FOR_INSTANCES, FaultKind
from dask_bake.local.faults.parse import OPTION_KINDS
from dask_bake.local.moto.metadata import find_metadata
from dask_bake.local.network.bridge import cable_name
from dask_bake.local.network.imds import MetadataService
from fake_local_cloud import listening_at, refusal, use_from_command_line

NO_CAPACITY = "InsufficientInstanceCapacity"


def count(cloud) -> int:
    """Return the number of instances."""
    reservations = cloud.ec2.describe_instances()["Reservations"]
    return sum(len(reservation["Instances"]) for reservation in reservations)


def error_of(call, **parameters) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


# Errors


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("RequestLimitExceeded", 503),
        ("InternalError", 500),
        ("UnauthorizedOperation", 403),
        ("ExpiredToken", 400),
        ("VcpuLimitExceeded", 400),
    ],
)
def test_an_error_has_its_code_and_status_and_the_request_is_not_carried_out(cloud, code, status):
    cloud.fault("error", "RunInstances", code=code)

    assert error_of(cloud.run)[:2] == (code, status)
    assert count(cloud) == 0
    assert len(cloud.run()) == 1


def test_an_error_has_the_status_and_message_of_its_rule(cloud):
    cloud.fault("error", "DescribeSubnets", code="Blocked", status=418, message="Not <now>.")

    assert error_of(cloud.ec2.describe_subnets) == ("Blocked", 418, "Not <now>.")


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("sts", "get_caller_identity", {}),
        ("iam", "list_roles", {}),
        ("service-quotas", "get_service_quota", {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}),
    ],
)
def test_errors_of_other_services_have_their_format(cloud, service, operation, parameters):
    cloud.fault("error", code="ExpiredToken")

    call = getattr(cloud.client(service), operation)
    assert error_of(call, **parameters)[:2] == ("ExpiredToken", 400)
    call(**parameters)


def test_a_rule_applies_to_requests_with_matching_parameters(cloud):
    where = {"InstanceType": "m5.*", "TagSpecification.*.Tag.*.Value": "worker"}
    cloud.fault("error", "RunInstances", code="Unavailable", where=where)
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "worker"}]}]

    cloud.run()
    cloud.run(InstanceType="m5.large")
    cloud.run(TagSpecifications=tags)
    assert refusal(cloud.run, InstanceType="m5.large", TagSpecifications=tags) == "Unavailable"


def test_a_rule_skips_requests_and_then_strikes_a_number_of_times(cloud):
    cloud.fault("error", "Describe*", code="Unavailable", skip=1, times=2)

    cloud.ec2.describe_instances()
    assert refusal(cloud.ec2.describe_subnets) == "Unavailable"
    assert refusal(cloud.ec2.describe_instances) == "Unavailable"
    cloud.ec2.describe_instances()
    assert [(rule["matched"], rule["struck"]) for rule in cloud.faults()] == [(3, 2)]


def test_a_rule_without_a_limit_strikes_until_it_is_cleared(cloud):
    cloud.fault("error", "DescribeSubnets", code="Unavailable", times=0)
    for _ in range(5):
        assert refusal(cloud.ec2.describe_subnets) == "Unavailable"

    cloud.clear_faults()

    cloud.ec2.describe_subnets()
    assert cloud.faults() == []


def test_of_two_matching_rules_the_first_strikes(cloud):
    for code in ("Unavailable", "InternalError"):
        cloud.fault("error", "DescribeSubnets", code=code)

    assert [refusal(cloud.ec2.describe_subnets) for _ in range(2)] == ["Unavailable", "InternalError"]


# Connections


def test_drop_before_does_not_carry_out_the_request(cloud):
    cloud.fault("drop-before", "RunInstances")

    with pytest.raises(ConnectionClosedError):
        cloud.run(ClientToken="once")
    assert count(cloud) == 0


def test_drop_after_carries_out_the_request_and_its_token_finds_the_result(cloud):
    cloud.fault("drop-after", "RunInstances")

    with pytest.raises(ConnectionClosedError):
        cloud.run(ClientToken="once", MinCount=2, MaxCount=2)
    assert count(cloud) == 2
    assert len(cloud.run(ClientToken="once", MinCount=2, MaxCount=2)) == 2
    assert count(cloud) == 2


def test_a_truncated_response_cannot_be_parsed_but_the_request_is_carried_out(cloud):
    cloud.fault("truncate", "RunInstances")

    with pytest.raises((HTTPClientError, ResponseParserError)):
        cloud.run()
    assert count(cloud) == 1


def test_an_html_page_has_status_200_and_the_request_is_not_carried_out(cloud):
    cloud.fault("html", "RunInstances")

    answer = cloud.ec2.run_instances(ImageId="ami-00000000000000001", MinCount=1, MaxCount=1)

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert "Instances" not in answer
    assert count(cloud) == 0


def test_a_delay_affects_only_its_request(cloud):
    rule = cloud.fault("delay", "DescribeSubnets", seconds=0.4)

    cloud.ec2.describe_instances()
    assert [each["struck"] for each in cloud.faults() if each["id"] == rule] == [0]
    started = time.monotonic()
    cloud.ec2.describe_subnets()

    assert time.monotonic() - started >= 0.4


# Capacity


@pytest.mark.parametrize("kind", [{"kind": "error", "code": NO_CAPACITY}, {"kind": "capacity"}])
def test_insufficient_capacity_names_the_zones_that_have_capacity(cloud, kind):
    for zone in ("us-east-1a", "us-east-1c"):
        cloud.fault(**kind, times=0, where={"AvailabilityZone": zone})
    parameters = {"InstanceType": "m5.large", "Placement": {"AvailabilityZone": "us-east-1a"}}

    assert error_of(cloud.run, **parameters) == (
        NO_CAPACITY,
        500,
        "We currently do not have sufficient m5.large capacity in the Availability Zone you requested "
        "(us-east-1a). Our system will be working on provisioning additional capacity. You can currently get "
        "m5.large capacity by not specifying an Availability Zone in your request or choosing us-east-1b.",
    )
    assert len(cloud.run(InstanceType="m5.large", Placement={"AvailabilityZone": "us-east-1b"})) == 1


def test_insufficient_capacity_everywhere_names_no_zone(cloud):
    cloud.fault("capacity", times=0)

    assert error_of(cloud.run)[2].endswith("working on provisioning additional capacity.")


def test_a_capacity_rule_for_a_zone_applies_to_its_subnet(cloud):
    cloud.fault("capacity", where={"AvailabilityZone": "us-east-1b"})
    zone = [{"Name": "availability-zone", "Values": ["us-east-1b"]}]
    subnet = cloud.ec2.describe_subnets(Filters=zone)["Subnets"][0]["SubnetId"]

    interface = {"DeviceIndex": 0, "SubnetId": subnet}
    assert refusal(cloud.run, NetworkInterfaces=[interface]) == NO_CAPACITY


def test_spot_capacity_is_separate_from_on_demand_capacity(cloud):
    cloud.fault("capacity", times=0, where={"MarketType": "spot"})

    assert error_of(cloud.run, InstanceMarketOptions={"MarketType": "spot"}) == (
        NO_CAPACITY,
        500,
        "There is no Spot capacity available that matches your request.",
    )
    assert len(cloud.run()) == 1


def test_partial_capacity_is_given_if_it_reaches_min_count(cloud):
    cloud.fault("capacity", times=0, count=3)

    assert len(cloud.run(MinCount=2, MaxCount=5)) == 3
    assert refusal(cloud.run, MinCount=4, MaxCount=5) == NO_CAPACITY


def test_a_dry_run_ignores_capacity(cloud):
    cloud.fault("capacity", times=0)

    assert refusal(cloud.run, DryRun=True) == "DryRunOperation"


# Instances


def test_an_instance_stuck_in_pending_can_be_terminated(cloud):
    cloud.fault("pending", count=1)
    first, second = cloud.run(MinCount=2, MaxCount=2)

    cloud.until(first, "running")
    assert cloud.state(second) == "pending"
    cloud.terminate(second)
    cloud.until(second, "terminated")


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_an_instance_terminates_with_the_reason_of_the_rule(cloud, seconds):
    cloud.fault("terminated", seconds=seconds, code="Client.VolumeLimitExceeded")

    seen = cloud.until(cloud.run()[0], "terminated")

    reason = "Client.VolumeLimitExceeded: Volume limit exceeded"
    assert seen["StateReason"] == {"Code": "Client.VolumeLimitExceeded", "Message": reason}
    assert cloud.running()["PrivateIpAddress"] == seen["PrivateIpAddress"]


def test_an_unhealthy_instance_runs_and_fails_its_status_check(cloud):
    cloud.fault("unhealthy")
    sick, well = cloud.running(), cloud.running()

    statuses = cloud.ec2.describe_instance_status()["InstanceStatuses"]
    assert {status["InstanceId"]: status["InstanceStatus"]["Status"] for status in statuses} == {
        sick["InstanceId"]: "impaired",
        well["InstanceId"]: "ok",
    }
    assert cloud.facts(sick) is None
    assert cloud.facts(well).instance_id == well["InstanceId"]


def test_a_spot_instance_gets_an_interruption_notice(cloud):
    cloud.fault("spot-notice", notice=600)
    instance = cloud.running(InstanceMarketOptions={"MarketType": "spot"})

    facts = cloud.facts(instance)
    assert (facts.spot, facts.interruption is not None) == (True, True)


def test_a_spot_instance_terminates_when_the_time_of_its_notice_is_over(cloud):
    cloud.fault("spot-notice", notice=0.1)
    instance = cloud.run(InstanceMarketOptions={"MarketType": "spot"})[0]

    seen = cloud.until(instance, "terminated")
    assert seen["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_a_fault_can_strike_a_running_instance(cloud):
    first, second = cloud.running(), cloud.running()

    cloud.fault("terminated", instance=first["InstanceId"], code="Server.InternalError")

    assert cloud.until(first, "terminated")["StateReason"]["Code"] == "Server.InternalError"
    assert cloud.state(second) == "running"
    assert cloud.faults() == []


def status_check(cloud, instance) -> str:
    statuses = cloud.ec2.describe_instance_status(InstanceIds=[instance["InstanceId"]])["InstanceStatuses"]
    return str(statuses[0]["InstanceStatus"]["Status"])


def blocked_ports(cloud) -> list[str]:
    """The bridge ports that the firewall blocks."""
    return re.findall(r'oifname "(vb\w+)" drop', cloud.firewall[-1])


def test_an_instance_is_unreachable_until_the_rules_are_cleared(cloud):
    cut, other = cloud.running(), cloud.running()

    cloud.fault("cut", instance=cut["InstanceId"])

    assert blocked_ports(cloud) == [cable_name(cut["InstanceId"])]
    assert (cloud.facts(cut), cloud.state(cut), status_check(cloud, cut)) == (None, "running", "impaired")
    assert (cloud.facts(other).instance_id, status_check(cloud, other)) == (other["InstanceId"], "ok")
    cloud.clear_faults()
    assert blocked_ports(cloud) == []
    assert cloud.facts(cut).instance_id == cut["InstanceId"]


def test_an_unreachable_instance_that_terminates_leaves_no_firewall_rule(cloud):
    cut = cloud.running()
    cloud.fault("cut", instance=cut["InstanceId"])

    cloud.terminate(cut)
    cloud.until(cut, "terminated")
    cloud.running()

    assert blocked_ports(cloud) == []


@pytest.mark.parametrize("lasting", [(0.2, 1), (1, 0.2)])
def test_an_instance_is_unreachable_for_the_longest_of_its_rules(cloud, lasting):
    instance = cloud.running()

    begin = time.monotonic()
    for seconds in lasting:
        cloud.fault("cut", instance=instance["InstanceId"], seconds=seconds)
    while blocked_ports(cloud):
        assert time.monotonic() - begin < 60
        time.sleep(0.01)
    assert time.monotonic() - begin > 1
    assert cloud.facts(instance) is not None


def test_a_rule_makes_the_instances_of_a_launch_unreachable_before_they_boot(cloud):
    cloud.fault("cut", count=1)
    first, second = cloud.run(MinCount=2, MaxCount=2)

    assert blocked_ports(cloud) == [cable_name(second["InstanceId"])]
    assert (cloud.facts(first) is None, cloud.facts(second)) == (False, None)
    cloud.until(second, "running")


def test_new_instances_are_invisible_for_the_time_of_the_rule(cloud):
    cloud.running()
    cloud.fault("unseen", seconds=600)
    hidden = cloud.run()[0]

    assert count(cloud) == 1
    named = {"InstanceIds": [hidden["InstanceId"]]}
    assert refusal(cloud.ec2.describe_instances, **named) == "InvalidInstanceID.NotFound"
    assert refusal(cloud.ec2.terminate_instances, **named) == "InvalidInstanceID.NotFound"
    instance = cloud.moto.instances.get(hidden["InstanceId"])
    assert 0 < instance.seen_from - time.monotonic() < 600
    instance.seen_from = time.monotonic()
    assert count(cloud) == 2
    cloud.terminate(hidden)


# Metadata


def metadata(cloud, instance, path: str = "instance-id", slept: list[float] | None = None) -> int:
    """Return the status of the metadata service for the instance; record how long it slept."""
    sleep = [] if slept is None else slept
    service = MetadataService(
        partial(find_metadata, cloud.moto.instances, lambda _: None),
        match_faults=cloud.api.fault_rules.match,
        sleep=sleep.append,
    )
    asker = {"REMOTE_ADDR": instance["PrivateIpAddress"]}
    return Client(service).get(f"/latest/meta-data/{path}", environ_base=asker).status_code


@pytest.mark.parametrize("status", [401, 404, 500])
def test_metadata_fails_for_the_given_instance_and_number_of_times(cloud, status):
    struck, other = (cloud.running(MetadataOptions={"HttpTokens": "optional"}) for _ in range(2))
    where = {"InstanceId": struck["InstanceId"], "Path": "/latest/meta-data/*"}
    cloud.fault("error", "Metadata", status=status, times=2, where=where)

    assert [metadata(cloud, other) for _ in range(3)] == [200, 200, 200]
    assert [metadata(cloud, struck) for _ in range(3)] == [status, status, 200]


def test_metadata_is_delayed_by_the_given_time(cloud):
    instance, slept = cloud.running(MetadataOptions={"HttpTokens": "optional"}), []
    cloud.fault("delay", "Metadata", seconds=3, where={"Path": "*/ami-id"})

    assert (metadata(cloud, instance, "instance-id", slept), slept) == (200, [])
    assert (metadata(cloud, instance, "ami-id", slept), slept) == (200, [3.0])


def test_a_rule_for_all_actions_is_not_used_up_by_metadata(cloud):
    instance = cloud.running(MetadataOptions={"HttpTokens": "optional"})
    cloud.fault("error", code="Unavailable")

    assert metadata(cloud, instance) == 200
    assert refusal(cloud.ec2.describe_subnets) == "Unavailable"


# The request log


def test_a_rule_can_be_limited_to_one_region(cloud):
    cloud.fault("error", "Describe*", code="OptInRequired", times=0, where={"Region": "eu-west-1"})

    assert refusal(cloud.client("ec2", "eu-west-1").describe_subnets) == "OptInRequired"
    assert cloud.ec2.describe_subnets()["Subnets"]


def test_requests_are_logged_with_their_results(cloud):
    rule = cloud.fault("drop-after", "RunInstances")
    with pytest.raises(ConnectionClosedError):
        cloud.run(UserData="a" * 1000)
    refusal(cloud.run, KeyName="nobody's")
    cloud.run()

    logged = cloud.requests_for("RunInstances")

    assert [(request["status"], request["code"], request["faults"]) for request in logged] == [
        (None, None, [rule]),
        (400, "InvalidKeyPair.NotFound", []),
        (200, None, []),
    ]
    assert logged[0]["parameters"]["InstanceType"] == "t3.micro"
    assert len(logged[0]["parameters"]["UserData"]) == 257
    assert "SubnetId" not in logged[2]["parameters"]
    assert (logged[0]["service"], logged[0]["region"]) == ("ec2", "us-east-1")
    cloud.forget_requests()
    assert cloud.requests_for() == []


def test_the_admin_path_bypasses_faults_and_the_log(cloud):
    """Tests use it to check a command's resources."""
    instance = cloud.running()
    cloud.fault("error", "Describe*", code="Unavailable")
    cloud.forget_requests()

    seen = cloud.describe(instance, cloud.client("ec2", url=f"{cloud.url}/_dask_bake/ec2"))

    assert seen["InstanceId"] == instance["InstanceId"]
    assert cloud.requests_for() == []
    assert refusal(cloud.ec2.describe_subnets) == "Unavailable"


@pytest.mark.parametrize("path", ["faults", "requests", "quotas", "ec2"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_instances_can_neither_read_nor_set_faults(cloud, path, method):
    rule = {"kind": "error", "action": "*", "code": "Unavailable"}
    answer = requests.request(method, f"{cloud.guest_url}/_dask_bake/{path}", json=rule, timeout=60)

    assert answer.status_code == 403
    assert cloud.faults() == []


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"kind": "flood"}, "there is no fault of the kind 'flood'"),
        ({"kind": "error", "color": "red"}, "a fault has no 'color'"),
        ({"kind": "error", "times": -1}, "a fault's 'times' is -1"),
        ({"kind": "delay", "seconds": "long"}, "a fault's 'seconds' is 'long'"),
        ({"kind": "delay", "seconds": "inf"}, "a fault's 'seconds' is 'inf'"),
        ({"kind": "delay"}, "a fault of the kind delay has a duration of 0 s"),
        ({"kind": "html", "code": "Unavailable"}, "a fault of the kind html has no 'code'"),
        ({"kind": "pending", "seconds": 5}, "a fault of the kind pending has no 'seconds'"),
        ({"kind": "error", "chance": "1.5"}, "a fault's 'chance' is 1.5"),
        ({"kind": "error", "status": 42}, "a fault's 'status' is 42"),
        ({"kind": "error", "where": "here"}, "a fault's 'where' is 'here'"),
        (
            {"kind": "pending", "action": "StopInstances"},
            "a fault of the kind pending is for RunInstances, not for 'StopInstances'",
        ),
        (
            {"kind": "html", "action": "Metadata"},
            "a metadata request cannot have a fault of the kind html",
        ),
        (
            {"kind": "error", "action": "Metadata", "code": "Blocked"},
            "the metadata service has no error codes or messages",
        ),
        ({"kind": "terminated", "instance": "i-0"}, "there is no instance i-0"),
        (
            {"kind": "terminated", "instance": "i-0", "times": 3},
            "a fault of a running instance is applied at once and has no 'times'",
        ),
        ({"kind": "html", "instance": "i-0"}, "a running instance cannot have a fault of the kind html"),
        (["html"], "the request's body is not a JSON object"),
    ],
)
def test_an_invalid_rule_is_refused_with_a_message(cloud, rule, message):
    with pytest.raises(UsageError) as caught:
        cloud.admin("POST", "faults", rule)

    assert caught.value.message == message
    assert caught.value.hint
    assert cloud.faults() == []


# The command line


@pytest.fixture
def command_line(cloud, monkeypatch, tmp_path):
    """The fake local cloud as the command line's local cloud."""
    use_from_command_line(monkeypatch, tmp_path / "run", cloud.url)
    return cloud


def test_rules_are_added_listed_and_cleared_on_the_command_line(command_line, capsys):
    add = ["local", "fault", "add", "error", "--action", "RunInstances", "--where", "InstanceType=t3.*"]
    assert run([*add, "--code", "Unavailable", "--times", "2"]) == 0
    added = capsys.readouterr().out.strip()
    assert refusal(command_line.run) == "Unavailable"

    assert run(["local", "fault", "ls"]) == 0
    assert capsys.readouterr().out == (
        f"{added}: error Unavailable RunInstances InstanceType=t3.*, struck 1 of 2\n"
    )
    assert run(["local", "fault", "ls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == command_line.faults()

    assert run(["local", "fault", "clear"]) == 0
    assert command_line.faults() == []
    command_line.run()


def test_a_running_instance_is_struck_from_the_command_line(command_line):
    instance = command_line.running(InstanceMarketOptions={"MarketType": "spot"})
    words = ["local", "fault", "add", "spot-notice", "--notice", "0", "--instance"]

    assert run([*words, instance["InstanceId"]]) == 0
    command_line.until(instance, "terminated")


def test_an_on_demand_instance_gets_no_spot_notice(command_line, capsys):
    command_line.fault("spot-notice", notice=0, times=0)
    instance = command_line.running()

    assert run(["local", "fault", "add", "spot-notice", "--instance", instance["InstanceId"]]) == 2
    assert "is not a spot instance and gets no interruption notice" in " ".join(
        capsys.readouterr().err.split()
    )
    assert command_line.state(instance) == "running"


def test_a_parameter_pattern_can_require_several_values(command_line):
    """For example to select the head of one cluster."""
    anywhere = "TagSpecification.*.Tag.*.Value"
    words = [f"--where={anywhere}=head", f"--where={anywhere}=taxi"]

    assert run(["local", "fault", "add", "error", "--code", "Unavailable", *words, "--times", "0"]) == 0

    def tags(*values: str) -> dict:
        listed = [{"Key": str(number), "Value": value} for number, value in enumerate(values)]
        return {"TagSpecifications": [{"ResourceType": "instance", "Tags": listed}]}

    command_line.run(**tags("head", "other"))
    command_line.run(**tags("worker", "taxi"))
    assert refusal(command_line.run, **tags("head", "taxi")) == "Unavailable"


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_can_be_added_on_the_command_line_and_is_listed_with_its_options(
    command_line, capsys, kind
):
    of_launches = kind in FOR_INSTANCES | {FaultKind.CAPACITY}
    action = "RunInstances" if of_launches else "Describe*"
    lasting = ["--seconds", "0.5"] if kind in OPTION_KINDS["seconds"] else []
    options = [*lasting, "--skip", "1", "--times", "0"]

    arguments = options if of_launches else [*options, "--action", action]
    assert run(["local", "fault", "add", kind, *arguments]) == 0
    assert run(["local", "fault", "ls"]) == 0

    listed = capsys.readouterr().out.splitlines()[-1]
    assert listed == " ".join([f"fault-1: {kind} {action} --skip 1", *lasting]) + ", struck 0 of all"
    assert [(rule["kind"], rule["action"]) for rule in command_line.faults()] == [(kind, action)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["error", "--where", "InstanceType"], "--where is InstanceType, which has no value"),
        (["error", "--times", "often"], "a fault's 'times' is 'often'"),
        (["error", "--chance", "2"], "a fault's 'chance' is 2"),
        (["delay"], "a fault of the kind delay has a duration of 0 s"),
        (["cut", "--notice", "5"], "a fault of the kind cut has no 'notice'"),
        (["cut", "--instance", "i-0123456789abcdef0"], "there is no instance i-0123456789abcdef0"),
        (
            ["terminated", "--instance", "i-0", "--skip", "1"],
            "a fault of a running instance is applied at once and has no 'skip'",
        ),
        ([], "Missing argument 'KIND'"),
    ],
)
def test_a_contradictory_rule_is_a_usage_error_with_a_hint(command_line, capsys, words, message):
    assert run(["local", "fault", "add", *words]) == 2

    captured = capsys.readouterr()
    assert (captured.out, message in " ".join(captured.err.split())) == ("", True), captured.err
    assert all(len(line) <= 80 for line in captured.err.splitlines())
    assert command_line.faults() == []


def test_another_server_at_the_port_is_reported(monkeypatch, tmp_path, capsys):
    def other_server(_environ, start_response):
        start_response("404 Not Found", [("Content-Type", "text/html")])
        return [b"<html>"]

    with listening_at(other_server) as url:
        use_from_command_line(monkeypatch, tmp_path, url)
        assert run(["local", "fault", "ls"]) == 1

    assert f"another program answers at {url}" in " ".join(capsys.readouterr().err.split())


def test_an_invalid_rule_is_a_usage_error(command_line, capsys):
    assert run(["local", "fault", "add", "flood"]) == 2
    assert "there is no fault of the kind 'flood'" in capsys.readouterr().err


def test_without_a_local_cloud_the_fault_command_fails(monkeypatch, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    use_from_command_line(monkeypatch, tmp_path, f"http://127.0.0.1:{port}")

    assert run(["local", "fault", "ls"]) == 1
    message = f"the local cloud does not answer at http://127.0.0.1:{port}"
    assert message in capsys.readouterr().err
