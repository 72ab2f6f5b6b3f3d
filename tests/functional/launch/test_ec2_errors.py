"""Every error of EC2 during launches and teardowns: retries, messages and leftovers.

Each launch and each end is carried out against a pretended cloud, by a clock that only pauses move.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from threading import Thread, current_thread
from typing import Any

import pytest

from dask_bake import clouds
from dask_bake.cli.main import run
from dask_bake.clusters.inventory import find
from dask_bake.clusters.teardown import take_down
from dask_bake.ec2 import api
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Called, Event, Note, Output
from dask_bake.launch.bootstrap import bootstrap_files, keys_for
from dask_bake.launch.executor import launch
from dask_bake.launch.plan import LaunchPlan, check_user_data
from dask_bake.models.tags import Tag
from dask_bake.options.launch import LaunchOptions
from fake_local_cloud import DEBIAN, left
from fakes import AllRegistered, Ec2WithHostKey, FakeClock, a_target, hint_of
from isolation import KEY_PAIR
from resource_check import checked

LAUNCH, END = "At launch", "At the end of a cluster"
A, B = "us-east-1a", "us-east-1b"
SPOT = {"*MarketType": "spot"}
MAKERS = ("CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "ImportKeyPair", "RunInstances")
ENDERS = ("TerminateInstances", "DeleteSecurityGroup", "DeleteKeyPair")


class Clock(FakeClock):
    """A clock that only ``sleep`` moves; sleeps of concurrent threads pass at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self._main = current_thread()
        self._others: dict[Thread, float] = {}

    def __call__(self) -> float:
        if current_thread() != self._main:
            return self._others.setdefault(current_thread(), self.now)
        return max([self.now, *self._others.values()])

    def sleep(self, seconds: float) -> None:
        if current_thread() != self._main:
            self._others[current_thread()] = self() + seconds
            return
        self.now = self() + seconds
        self._others.clear()


@dataclass
class Outcome:
    """The result of a command, and its events."""

    code: int = 0
    message: str = ""
    hint: str = ""
    events: list[Event] = field(default_factory=list)
    seconds: float = 0.0
    before: tuple[str, int] = ("", 0)
    strike: Callable[[], Any] = lambda: None

    def notify(self, event: Event) -> None:
        """Record the event; strike before the given call."""
        self.events.append(event)
        if event == Called(self.before[0]) and self.events.count(event) == self.before[1]:
            self.strike()

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]


def run_command(cloud, command, *, nodes: int = 0, is_checked: bool = True, **about) -> Outcome:
    """Run the command, check the resources with a client without faults, and return the outcome."""
    outcome, clock = Outcome(**about), Clock()
    there = clouds.local_cloud(cloud.url, KEY_PAIR, None)
    retries = RetryPolicy(outcome.notify, clock, clock.sleep, jitter=lambda: 1.0)
    edge = Ec2WithHostKey(api.connect(there, outcome.notify, retries=retries))
    aside = cloud.client("ec2", url=f"{cloud.url}/_dask_bake/ec2")

    def go() -> int:
        command(there, edge, {"notify": outcome.notify, "clock": clock, "sleep": clock.sleep})
        return 0

    try:
        checked(aside, go, nodes=nodes) if is_checked else go()
    except BakeError as error:
        outcome.code, outcome.message, outcome.hint = error.exit_code, error.message, hint_of(error)
    outcome.seconds = clock() - 100
    return outcome


def attempt(
    cloud, *, launch_id="launch1", before=("", 0), strike=lambda: None, is_checked=True, **options
) -> Outcome:
    """Launch a head and two workers, unless the options differ.

    Args:
        before: a call's name and number, before which ``strike`` happens.
        is_watched: false where the launcher cannot know the names of what there is.
    """
    chosen = LaunchOptions(**{"count": 3, "nprocs": 2, "ami": DEBIAN.id, "allow_mismatch": True, **options})

    def command(there, edge, world) -> None:
        target = a_target(chosen, there, edge)
        plan = LaunchPlan(
            chosen, target, launch_id, bootstrap_files(chosen, keys_for(chosen)), begun=datetime.now(UTC)
        )
        check_user_data(plan)
        launch(plan, edge, AllRegistered(edge), **world)

    return run_command(
        cloud, command, nodes=chosen.count, is_checked=is_checked, before=before, strike=strike
    )


def end(cloud) -> Outcome:
    """Take down the only cluster."""

    def command(there, edge, world) -> None:
        take_down(find(edge, there, None), edge, AllRegistered(edge), **world)

    return run_command(cloud, command)


def change_counts(cloud) -> Counter[str]:
    """Return the number of requests of each action that makes or ends something."""
    return Counter(
        request["action"] for request in cloud.requests_for() if request["action"] in MAKERS + ENDERS
    )


def tokens(cloud) -> Counter[str]:
    return Counter(request["parameters"]["ClientToken"] for request in cloud.requests_for("RunInstances"))


def codes(cloud, action="RunInstances") -> list[str | None]:
    return [request["code"] for request in cloud.requests_for(action)]


@dataclass(frozen=True)
class Refusal:
    """A permanent refusal of RunInstances: the table's row, EC2's code and message, and dask-bake's."""

    fault: str
    happens: str
    code: str
    says: str = ""
    hint: str = ""
    message: str = ""
    of_workers: bool = False
    options: dict[str, Any] = field(default_factory=dict)


NO_POLICY = (
    "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/ann is not"
    " authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:instance/*"
    " because no identity-based policy allows the ec2:RunInstances action."
    " Encoded authorization failure message: 4GIOHlTkIaWHQD0Q0m6XSnuUMCm-abcdefg"
)
MARKETPLACE = (
    "In order to use this AWS Marketplace product you need to accept terms and subscribe. To do so please"
    " visit https://aws.amazon.com/marketplace/pp?sku=abc"
)
ONCE = "one request, no other zone; exit code 1, with a hint"
REFUSALS = (
    Refusal(
        "the quota of vCPUs is used up (`VcpuLimitExceeded`)",
        "one request, no other zone; exit code 1, with the quota's code and the vCPUs requested",
        "VcpuLimitExceeded",
        says="1 m6i.2xlarge in us-east-1a are 8 vCPUs of the quota L-1216C47A",
        hint="ask for more under Service Quotas, EC2, 'Running On-Demand",
    ),
    Refusal(
        "the quota of instances is used up (`InstanceLimitExceeded`)",
        "one request, no other zone; exit code 1, with the quota's code and the vCPUs requested",
        "InstanceLimitExceeded",
        says="1 m6i.2xlarge in us-east-1a are 8 vCPUs of the quota L-1216C47A",
        hint="ask for more under Service Quotas, EC2",
    ),
    Refusal(
        "the quota of spot instances is used up (`MaxSpotInstanceCountExceeded`)",
        "no other zone; the launcher terminates the head; exit code 1, with the quota's code and the vCPUs"
        " requested",
        "MaxSpotInstanceCountExceeded",
        says="2 m6i.2xlarge on spot in us-east-1a are 16 vCPUs of the quota L-34B43A08",
        hint="'Spot Instance Requests'",
        of_workers=True,
        options={"spot": True},
    ),
    Refusal(
        "the quota of EBS storage is used up (`VolumeLimitExceeded`)",
        "one request, no other zone; exit code 1, with the quota's name",
        "VolumeLimitExceeded",
        hint="Amazon EBS, 'Storage for … volumes'",
    ),
    Refusal(
        "the quota of EBS IOPS is used up (`MaxIOPSLimitExceeded`)",
        "one request, no other zone; exit code 1, with the quota's name",
        "MaxIOPSLimitExceeded",
        hint="Amazon EBS, 'IOPS for … volumes'",
    ),
    Refusal(
        "a permission is missing (`UnauthorizedOperation`)",
        "one request; exit code 1, with the action, the caller and the command that prints the policy,"
        " without EC2's encoded message",
        "UnauthorizedOperation",
        says="may not call ec2:RunInstances: You are not authorized to perform this operation."
        " User: arn:aws:iam::123456789012:user/ann",
        hint="dask-bake iam-policy prints the policy",
        message=NO_POLICY,
    ),
    Refusal(
        "the account has never used spot (`AuthFailure.ServiceLinkedRoleCreationNotPermitted`)",
        "the launcher terminates the head; exit code 1, with the command that creates the role",
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
        hint="aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
        of_workers=True,
        options={"spot": True},
    ),
    Refusal(
        "EC2 rejects a parameter's value (`InvalidParameterValue`)",
        "one request; exit code 1, with EC2's message",
        "InvalidParameterValue",
        says="RunInstances failed: Value (x) for parameter y is invalid. (InvalidParameterValue)",
        hint="--dry-run shows the request",
        message="Value (x) for parameter y is invalid.",
    ),
    Refusal(
        "EC2 rejects a combination of parameters (`InvalidParameterCombination`)",
        "one request; exit code 1, with EC2's message",
        "InvalidParameterCombination",
        hint="--dry-run shows the request",
    ),
    Refusal(
        "a required parameter is missing (`MissingParameter`)",
        "one request; exit code 1, with EC2's message",
        "MissingParameter",
        hint="--dry-run shows the request",
    ),
    Refusal(
        "EC2 rejects the instance profile (`InvalidParameterValue`)",
        "one request; exit code 1, with EC2's message",
        "InvalidParameterValue",
        says="Invalid IAM Instance Profile name",
        message="Invalid IAM Instance Profile name",
    ),
    Refusal(
        "EC2 rejects the user-data (`InvalidUserData.Malformed`)",
        "one request; exit code 1, with EC2's message",
        "InvalidUserData.Malformed",
        says="User data is limited to 16384 bytes",
        message="User data is limited to 16384 bytes",
    ),
    *(
        Refusal(
            "the image is deregistered during the launch (`InvalidAMIID.NotFound`, `.Unavailable`,"
            " `.Malformed`)",
            "one request; exit code 1, with the command that bakes another",
            f"InvalidAMIID.{why}",
            hint="dask-bake bake makes one in this region",
        )
        for why in ("NotFound", "Unavailable", "Malformed")
    ),
    Refusal(
        "the image is not shared with the account (`AuthFailure`)",
        "one request; exit code 1; the message names the image, not the credentials, as the cause",
        "AuthFailure",
        says="this account may not launch from the image: Not authorized for images: [ami-1] (AuthFailure)",
        hint="its owner can share it",
        message="Not authorized for images: [ami-1]",
    ),
    Refusal(
        "the image's terms are not accepted (`OptInRequired`)",
        "one request; exit code 1, with the URL where they can be accepted",
        "OptInRequired",
        says="https://aws.amazon.com/marketplace/pp?sku=abc",
        hint="accept the image's terms where the message says",
        message=MARKETPLACE,
    ),
    Refusal(
        "the account is not signed up for EC2 (`OptInRequired`)",
        ONCE,
        "OptInRequired",
        hint="sign the account up for EC2",
    ),
    Refusal(
        "the account is still being verified (`PendingVerification`)",
        ONCE,
        "PendingVerification",
        hint="sends an e-mail when it is done",
    ),
    Refusal("the account is blocked (`Blocked`)", ONCE, "Blocked", hint="contact AWS Support"),
    Refusal(
        "a client token was already used with other parameters (`IdempotentParameterMismatch`)",
        "one request, no retry; exit code 1; the next launch uses new tokens",
        "IdempotentParameterMismatch",
        hint="launch again: each launch has its own client tokens",
    ),
)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.code)
def test_a_permanent_refusal_is_not_retried_and_is_explained(cloud, fault_row, case):
    where = SPOT if case.of_workers else {}
    cloud.fault("error", "RunInstances", code=case.code, message=case.message, where=where, times=0)

    with fault_row(LAUNCH, case.fault, case.happens, left="nothing") as row:
        outcome = attempt(cloud, **case.options)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud)) == (1, [])
        assert f"({case.code})" in outcome.message
        assert case.says in outcome.message
        assert case.hint in outcome.hint
        assert outcome.hint
        assert "ncoded" not in outcome.message
        assert codes(cloud) == [*([None] if case.of_workers else []), case.code]
        assert (
            change_counts(cloud)["CreateSecurityGroup"],
            change_counts(cloud)["AuthorizeSecurityGroupIngress"],
        ) == (2, 2)
        assert change_counts(cloud)["TerminateInstances"] == int(case.of_workers)


CREDENTIALS = (
    "AuthFailure",
    "InvalidClientTokenId",
    "ExpiredToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
)


@pytest.mark.parametrize("code", CREDENTIALS)
def test_invalid_credentials_are_an_error_before_anything_is_made(cloud, fault_row, code):
    cloud.fault("error", code=code, times=0)

    with fault_row(
        LAUNCH,
        "AWS rejects the credentials (`ExpiredToken`, `AuthFailure`, `RequestExpired` …)",
        "no look-up is retried; exit code 1, with a hint to log in and to check the clock",
        left="nothing",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, change_counts(cloud)) == (1, Counter())
        assert "AWS does not accept the credentials: " in outcome.message
        assert f"({code})" in outcome.message
        assert "log in again (aws sso login, aws configure) and check this machine's clock" in outcome.hint
        assert {request["code"] for request in cloud.requests_for()} == {code}


def test_credentials_that_expire_before_the_first_creation_leave_nothing(cloud):
    outcome = attempt(
        cloud,
        before=("CreateSecurityGroup", 1),
        strike=lambda: cloud.fault("error", code="ExpiredToken", times=0),
    )

    cloud.clear_faults()
    assert (outcome.code, left(cloud), change_counts(cloud)) == (1, [], Counter(CreateSecurityGroup=1))


def test_credentials_that_expire_after_a_lost_first_response_leave_only_named_resources(cloud):
    cloud.fault("drop-after", "CreateSecurityGroup")
    cloud.fault("error", "CreateSecurityGroup", code="ExpiredToken", times=0)
    cloud.fault("error", "DescribeSecurityGroups", code="ExpiredToken", skip=1, times=0)

    outcome = attempt(cloud, is_checked=False)

    cloud.clear_faults()
    assert (outcome.code, left(cloud)) == (3, ["dask-bake-dask"])
    assert "whatever is tagged dask-bake:cluster=dask" in outcome.message


def test_credentials_that_expire_while_the_name_is_looked_up_leave_only_named_resources(cloud):
    cloud.fault("drop-after", "CreateSecurityGroup")
    cloud.fault("error", "DescribeSecurityGroups", code="ExpiredToken", skip=1, times=0)

    outcome = attempt(cloud, is_checked=False)

    cloud.clear_faults()
    assert (outcome.code, left(cloud)) == (3, ["dask-bake-dask"])
    assert "whatever is tagged dask-bake:cluster=dask" in outcome.message


@pytest.mark.parametrize(
    "before",
    [
        ("AuthorizeSecurityGroupIngress", 1),
        ("CreateSecurityGroup", 2),
        ("RunInstances", 1),
        ("RunInstances", 2),
        ("DescribeInstances", 2),
    ],
    ids=str,
)
def test_credentials_that_expire_during_a_launch_leave_named_resources_that_down_removes(
    cloud, fault_row, before
):
    with fault_row(
        LAUNCH,
        "the credentials expire during a launch (`ExpiredToken`)",
        "no request is retried; exit code 3, with the resources that remain; `dask-bake down` removes them"
        " after the next login",
        left="what the launch had created",
    ) as row:
        outcome = attempt(
            cloud, before=before, strike=lambda: cloud.fault("error", code="ExpiredToken", times=0)
        )
        row.seconds = outcome.seconds
        cloud.clear_faults()
        assert (outcome.code, outcome.hint) == (3, "dask-bake down dask")
        assert "AWS does not accept the credentials: The provided token has expired." in outcome.message
        assert left(cloud) != []
        assert max(tokens(cloud).values(), default=1) == 1
        assert (end(cloud).code, left(cloud)) == (0, [])


NO_ROOM = (
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientReservedInstanceCapacity",
    "UnfulfillableCapacity",
    "ReservationCapacityExceeded",
)


def refuse_launches_in(cloud, code: str, *zones: str, **where: str) -> None:
    """Refuse launches into these zones."""
    subnets = cloud.ec2.describe_subnets()["Subnets"]
    for subnet in (each for each in subnets if each["AvailabilityZone"] in zones):
        at = {"NetworkInterface.1.SubnetId": subnet["SubnetId"], **where}
        cloud.fault("error", "RunInstances", code=code, where=at, times=0)
    cloud.forget_requests()


def zones_of(cloud) -> set[str]:
    return {
        instance["Placement"]["AvailabilityZone"]
        for reservation in cloud.ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] in ("pending", "running")
    }


def check_started_in_the_next_zone(cloud, row, code: str) -> None:
    outcome = attempt(cloud)
    row.seconds = outcome.seconds
    assert (outcome.code, zones_of(cloud), len(left(cloud))) == (0, {B}, 3 + 2)
    assert codes(cloud) == [code, None, None]
    assert set(tokens(cloud).values()) == {1}
    assert f"No capacity for m6i.2xlarge in us-east-1a ({code})." in outcome.notes


@pytest.mark.parametrize("code", NO_ROOM)
def test_a_zone_without_capacity_is_tried_once_before_the_next(cloud, fault_row, code):
    refuse_launches_in(cloud, code, A)

    with fault_row(
        LAUNCH,
        "a zone has no capacity (`InsufficientInstanceCapacity` and four similar codes)",
        "one request, then head and workers start in the next zone",
        left="the cluster",
    ) as row:
        check_started_in_the_next_zone(cloud, row, code)


def test_a_subnet_without_free_addresses_is_tried_once_before_the_next(cloud, fault_row):
    refuse_launches_in(cloud, "InsufficientFreeAddressesInSubnet", A)

    with fault_row(
        LAUNCH,
        "a subnet runs out of addresses during the launch (`InsufficientFreeAddressesInSubnet`)",
        "one request, then head and workers start in the next zone's subnet",
        left="the cluster",
    ) as row:
        check_started_in_the_next_zone(cloud, row, "InsufficientFreeAddressesInSubnet")


def test_a_zone_that_lacks_the_type_is_tried_once_before_the_next(cloud, fault_row):
    refuse_launches_in(cloud, "Unsupported", A)

    with fault_row(
        LAUNCH,
        "a zone does not offer the instance type, contrary to the look-up (`Unsupported`)",
        "one request, then head and workers start in the next zone",
        left="the cluster",
    ) as row:
        check_started_in_the_next_zone(cloud, row, "Unsupported")


@pytest.mark.parametrize(
    "code", ["InsufficientInstanceCapacity", "InsufficientFreeAddressesInSubnet", "Unsupported"]
)
def test_without_capacity_anywhere_each_zone_is_named(cloud, fault_row, code):
    zones = [each["AvailabilityZone"] for each in cloud.ec2.describe_subnets()["Subnets"]]
    refuse_launches_in(cloud, code, *zones)

    with fault_row(
        LAUNCH,
        "no zone has capacity",
        "the launcher tries each zone once; exit code 1, with EC2's code for each zone",
        left="nothing",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud)) == (1, [])
        assert codes(cloud) == [code] * len(zones)
        assert all(f"m6i.2xlarge in {zone} ({code})" in outcome.message for zone in zones)
        assert "--type takes several types" in outcome.hint


def test_without_capacity_for_workers_the_head_is_ended_before_the_next_zone(cloud, fault_row):
    cloud.fault("capacity", where={"AvailabilityZone": A, "MaxCount": "2"}, times=0)

    with fault_row(
        LAUNCH,
        "a zone has capacity for the head, but not for the workers",
        "the launcher terminates the head; head and workers start in the next zone",
        left="the cluster",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, zones_of(cloud), len(left(cloud))) == (0, {B}, 3 + 2)
        assert codes(cloud) == [None, "InsufficientInstanceCapacity", None, None]
        assert set(tokens(cloud).values()) == {1}


def test_without_capacity_for_workers_anywhere_no_head_is_left(cloud, fault_row):
    cloud.fault("capacity", where={"MaxCount": "2"}, times=0)

    with fault_row(
        LAUNCH,
        "every zone has capacity for the head, but not for the workers",
        "the launcher terminates each head; exit code 1, with every attempt and a hint to `--min-workers`",
        left="nothing",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud)) == (1, [])
        assert codes(cloud) == 3 * [None, "InsufficientInstanceCapacity"]
        assert "--min-workers accepts fewer workers" in outcome.hint


def test_a_spot_price_that_is_too_low_falls_back_if_allowed(cloud, fault_row):
    cloud.fault("error", "RunInstances", code="SpotMaxPriceTooLow", where=SPOT, times=0)

    with fault_row(
        LAUNCH,
        "the spot price is above the maximum price (`SpotMaxPriceTooLow`)",
        "with `--spot-with-fallback` the launcher tries each zone once, then on-demand instances",
        left="the cluster",
    ) as row:
        outcome = attempt(cloud, spot_with_fallback=True, zone=(A, B))
        row.seconds = outcome.seconds
        assert (outcome.code, len(left(cloud))) == (0, 3 + 2)
        assert codes(cloud) == [None, "SpotMaxPriceTooLow", None, "SpotMaxPriceTooLow", None, None]


QUESTIONS = (
    "DescribeInstanceTypes",
    "DescribeInstanceTypeOfferings",
    "DescribeSubnets",
    "DescribeImages",
    "DescribeSecurityGroups",
    "DescribeInstances",
)
OF_AN_END = ("DescribeInstances", "TerminateInstances", "DescribeSecurityGroups", "DeleteSecurityGroup")


def check_made_once(cloud, *, again=()) -> None:
    """Fail unless a launch without user-data made everything once, with one token for each resource."""
    once = Counter(CreateSecurityGroup=2, AuthorizeSecurityGroupIngress=2, ImportKeyPair=1, RunInstances=2)
    assert change_counts(cloud) == once + Counter(again)
    assert len(tokens(cloud)) == 2
    assert len(left(cloud)) == 3 + 2


@pytest.mark.parametrize("action", [*QUESTIONS, *MAKERS])
def test_throttled_and_failed_requests_are_retried(cloud, fault_row, action):
    cloud.fault("error", action, code="RequestLimitExceeded", times=4)
    cloud.fault("error", action, code="InternalError", times=3)

    with fault_row(
        LAUNCH,
        "AWS throttles any request four times (`RequestLimitExceeded`), then fails three times"
        " (`InternalError`)",
        "the launcher retries with the same client token, after at most 1 s, 2 s, 4 s …; it reports the"
        " retries after 5 s",
        left="the cluster",
    ) as row:
        outcome = attempt(cloud, provision=False, nprocs=1)
        row.seconds = outcome.seconds
        assert outcome.code == 0
        check_made_once(cloud, again=7 * [action] if action in MAKERS else ())
        assert f"AWS is throttling {action}: retrying, more slowly." in outcome.notes
        assert outcome.seconds >= (1 + 2 + 4 + 8) + (1 + 2 + 4)


@pytest.mark.parametrize(
    ("code", "times"), [("EC2ThrottledException", 7), ("Unavailable", 3), ("ServiceUnavailable", 3)]
)
def test_other_throttling_and_failure_codes_are_retried(cloud, code, times):
    cloud.fault("error", "RunInstances", code=code, times=times)

    outcome = attempt(cloud)

    assert (outcome.code, len(left(cloud))) == (0, 3 + 2)
    assert sorted(tokens(cloud).values()) == [1, times + 1]


@pytest.mark.parametrize("action", ["CreateSecurityGroup", "RunInstances"])
def test_a_request_that_is_always_throttled_is_made_eight_times(cloud, fault_row, action):
    cloud.fault("error", action, code="RequestLimitExceeded", times=0)

    with fault_row(
        LAUNCH,
        "AWS throttles a request of a launch every time",
        "eight attempts; exit code 1",
        left="nothing",
    ) as row:
        outcome = attempt(cloud, provision=False, nprocs=1)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud), change_counts(cloud)[action]) == (1, [], 8)
        assert f"AWS is throttling {action}" in outcome.message
        assert "(RequestLimitExceeded)" in outcome.message
        assert outcome.hint == "wait a minute and try again"


@pytest.mark.parametrize("action", ["CreateSecurityGroup", "RunInstances"])
def test_a_request_that_always_fails_is_made_four_times(cloud, fault_row, action):
    cloud.fault("error", action, code="InternalError", times=0)

    with fault_row(
        LAUNCH,
        "AWS fails at a request of a launch every time",
        "four attempts; the launcher checks for ten seconds that no resource was created; exit code 1",
        left="nothing",
    ) as row:
        outcome = attempt(cloud, provision=False, nprocs=1)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud), change_counts(cloud)[action]) == (1, [], 4)
        assert f"AWS failed at {action}: An internal error has occurred (InternalError)" in outcome.message
        assert outcome.hint == "try again later"


@pytest.mark.parametrize("action", OF_AN_END)
def test_teardown_retries_throttled_and_failed_requests(cloud, fault_row, action):
    attempt(cloud)
    cloud.fault("error", action, code="RequestLimitExceeded", times=4)
    cloud.fault("error", action, code="InternalError", times=3)

    with fault_row(
        END,
        "AWS throttles any request four times, then fails three times",
        "the launcher retries more slowly and reports the retries after 5 s",
        left="nothing",
    ) as row:
        outcome = end(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud)) == (0, [])
        assert f"AWS is throttling {action}: retrying, more slowly." in outcome.notes


@pytest.mark.parametrize("action", OF_AN_END)
def test_a_failed_launch_is_torn_down_despite_throttling(cloud, fault_row, action):
    cloud.fault("error", "RunInstances", code="VcpuLimitExceeded", skip=1)
    cloud.fault(
        "error", action, code="RequestLimitExceeded", times=4, skip=2 * (action == "DescribeSecurityGroups")
    )

    with fault_row(
        LAUNCH,
        "a launch fails, and AWS throttles its clean-up",
        "the launcher retries more slowly; exit code 1, with the first error",
        left="nothing",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud)) == (1, [])
        assert "(VcpuLimitExceeded)" in outcome.message


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound"),
        ("RunInstances", "InvalidGroup.NotFound"),
        ("RunInstances", "InvalidKeyPair.NotFound"),
    ],
)
def test_a_resource_that_is_not_visible_yet_is_retried(cloud, fault_row, action, code):
    cloud.fault("error", action, code=code, times=3)

    with fault_row(
        LAUNCH,
        "EC2 does not find a security group or key pair that it has just created (`InvalidGroup.NotFound`)",
        "the launcher retries for at most 30 s and reports the retries after 5 s",
        left="the cluster",
    ) as row:
        outcome = attempt(cloud, provision=False, nprocs=1)
        row.seconds = outcome.seconds
        assert outcome.code == 0
        check_made_once(cloud, again=3 * [action])
        assert f"AWS does not list yet what it has just created: retrying {action}." in outcome.notes


def test_a_resource_that_stays_invisible_is_retried_for_30_seconds(cloud):
    cloud.fault("error", "AuthorizeSecurityGroupIngress", code="InvalidGroup.NotFound", times=0)

    outcome = attempt(cloud)

    assert (outcome.code, left(cloud)) == (1, [])
    assert "(InvalidGroup.NotFound)" in outcome.message
    assert 30 <= outcome.seconds < 60


def test_a_new_instance_profile_is_retried_for_a_minute(cloud, fault_row):
    text = "Value (s3) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
    cloud.fault("error", "RunInstances", code="InvalidParameterValue", message=text, times=5)

    with fault_row(
        LAUNCH,
        "EC2 does not find a new instance profile yet",
        "the launcher retries with the same client token for at most a minute and reports the retries after"
        " 5 s",
        left="the cluster",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, len(left(cloud))) == (0, 3 + 2)
        assert sorted(tokens(cloud).values()) == [1, 6]

    assert end(cloud).code == 0
    cloud.fault("error", "RunInstances", code="InvalidParameterValue", message=text, times=0)
    outcome = attempt(cloud, launch_id="launch2")
    assert (outcome.code, left(cloud)) == (1, [])
    assert "(InvalidParameterValue)" in outcome.message
    assert 60 <= outcome.seconds < 90


def test_instances_that_are_not_visible_yet_are_waited_for_and_not_started_twice(cloud, fault_row):
    cloud.fault("unseen", seconds=1, times=0)

    with fault_row(
        LAUNCH,
        "EC2 does not list new instances for a while (`InvalidInstanceID.NotFound`)",
        "the launcher waits for them; no instance is started twice",
        left="the cluster",
    ):
        outcome = attempt(cloud, timeout=86_400)
        assert (outcome.code, len(left(cloud)), codes(cloud)) == (0, 3 + 2, [None, None])


def test_an_abandoned_head_is_ended_as_soon_as_it_becomes_visible(cloud, fault_row):
    cloud.fault("unseen", seconds=0.05, times=0)  # a minute of the pretended clock takes longer
    cloud.fault("error", "TerminateInstances", code="InvalidInstanceID.NotFound", times=3)
    cloud.fault("capacity", where={"AvailabilityZone": A, "MaxCount": "2"}, times=0)

    with fault_row(
        LAUNCH,
        "there is no capacity for the workers, and EC2 does not find their head yet, which has to be"
        " terminated",
        "the launcher retries TerminateInstances until it succeeds; the cluster starts in the next zone",
        left="the cluster",
    ):
        outcome = attempt(cloud, timeout=86_400)
        assert (outcome.code, zones_of(cloud), len(left(cloud))) == (0, {B}, 3 + 2)
        assert change_counts(cloud)["TerminateInstances"] >= 4


def test_a_duplicate_rule_is_no_error(cloud, fault_row):
    cloud.fault("error", "AuthorizeSecurityGroupIngress", code="InvalidPermission.Duplicate", times=0)

    with fault_row(
        LAUNCH,
        "a security group's rule exists already (`InvalidPermission.Duplicate`)",
        "the launch continues",
        left="the cluster",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, change_counts(cloud)["AuthorizeSecurityGroupIngress"]) == (0, 2)


def make_group_with_the_name(cloud, tags: dict[str, str]) -> str:
    (vpc,) = {each["VpcId"] for each in cloud.ec2.describe_subnets()["Subnets"]}
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    specification = [{"ResourceType": "security-group", "Tags": pairs}] if pairs else []
    group = cloud.ec2.create_security_group(
        GroupName="dask-bake-dask", Description="x", VpcId=vpc, TagSpecifications=specification
    )["GroupId"]
    cloud.forget_requests()
    return str(group)


def test_the_name_of_a_running_cluster_is_refused_and_the_cluster_stays(cloud, fault_row):
    attempt(cloud)
    before = left(cloud)
    cloud.forget_requests()

    with fault_row(
        LAUNCH,
        "a cluster of that name exists",
        "the launcher creates nothing; exit code 2, with the commands that show and end that cluster",
        left="that cluster, unchanged",
    ) as row:
        outcome = attempt(cloud, launch_id="launch2")
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud), change_counts(cloud)) == (2, before, Counter())
        assert outcome.message == "a cluster named dask already exists, or is being launched"
        assert "dask-bake status dask shows it, dask-bake down dask ends it" in outcome.hint


def test_what_an_ended_cluster_left_is_removed_by_the_next_launch_of_its_name(cloud, fault_row):
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    tags = {
        Tag.MANAGED: "true",
        Tag.CLUSTER: "dask",
        Tag.LAUNCH: "launch0",
        Tag.CREATED: an_hour_ago,
    }
    old = make_group_with_the_name(cloud, {str(key): value for key, value in tags.items()})

    with fault_row(
        LAUNCH,
        "a cluster of that name has shut itself down, and its security groups still have the name",
        "the launch deletes them, and continues",
        left="the new cluster",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        groups = cloud.ec2.describe_security_groups()["SecurityGroups"]
        named = [each["GroupId"] for each in groups if each["GroupName"] == "dask-bake-dask"]
        assert (outcome.code, len(named)) == (0, 1)
        assert named != [old]


def test_a_foreign_group_of_that_name_is_never_touched(cloud, fault_row):
    make_group_with_the_name(cloud, {})

    with fault_row(
        LAUNCH,
        "a security group that dask-bake did not create has the name (`InvalidGroup.Duplicate`)",
        "one request; exit code 1, with the group's name",
        left="that group, unchanged",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud)) == (1, ["dask-bake-dask"])
        assert change_counts(cloud) == Counter(CreateSecurityGroup=1)
        assert "the security group dask-bake-dask exists, and dask-bake did not create it" in outcome.message
        assert outcome.hint == "--name gives the cluster another name"


@pytest.mark.parametrize("code", ["DependencyViolation", "InvalidGroup.InUse"])
def test_deletion_waits_for_a_group_that_is_in_use(cloud, fault_row, code):
    attempt(cloud)
    cloud.fault("error", "DeleteSecurityGroup", code=code, times=9)

    with fault_row(
        END,
        "a security group is still in use for a while (`DependencyViolation`)",
        "the launcher retries until the group can be deleted",
        left="nothing",
    ) as row:
        outcome = end(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud)) == (0, [])
        assert len(cloud.requests_for("DeleteSecurityGroup")) == 9 + 2


def test_a_group_held_by_a_foreign_interface_is_named_with_the_interface(cloud, fault_row):
    attempt(cloud)
    (group,) = cloud.ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["dask-bake-dask"]}]
    )["SecurityGroups"]
    subnet = cloud.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    # Tagged, so that the resource check sees it.
    tags = [{"ResourceType": "network-interface", "Tags": [{"Key": str(Tag.MANAGED), "Value": "true"}]}]
    interface = cloud.ec2.create_network_interface(
        SubnetId=subnet, Groups=[group["GroupId"]], TagSpecifications=tags
    )["NetworkInterface"]["NetworkInterfaceId"]

    with fault_row(
        END,
        "a network interface that dask-bake did not create uses the security group (`DependencyViolation`)",
        "the launcher reports what it waits for; exit code 3 after five minutes, with the group and the"
        " interface; the next `down` continues",
        left="that group",
    ) as row:
        outcome = end(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud)) == (3, ["dask-bake-dask"])
        assert f"security group dask-bake-dask ({group['GroupId']}), used by {interface}" in outcome.message
        assert outcome.hint == "dask-bake down dask"
        assert f"Waiting for security group dask-bake-dask ({group['GroupId']}) to be free." in outcome.notes
        assert 300 <= outcome.seconds < 310

    cloud.ec2.delete_network_interface(NetworkInterfaceId=interface)
    assert (end(cloud).code, left(cloud)) == (0, [])


ENDED = r"node 0 \(i-\w+\) ended while the cluster was launched: "


@pytest.mark.parametrize("code", ["Server.InternalError", "Server.InsufficientInstanceCapacity"])
def test_an_instance_that_ec2_ends_is_restarted_once_in_the_next_zone(cloud, fault_row, code):
    cloud.fault("terminated", code=code)

    with fault_row(
        LAUNCH,
        "EC2 terminates a node while it starts (`Server.InternalError` …)",
        "the launcher reports EC2's reason and starts all nodes once more, in the next zone",
        left="the cluster",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, zones_of(cloud), len(left(cloud))) == (0, {B}, 3 + 2)
        assert [
            note for note in outcome.notes if re.search(rf"{code}.*started once more, elsewhere\.$", note)
        ]


def test_an_instance_that_ec2_ends_twice_ends_the_launch(cloud, fault_row):
    cloud.fault("terminated", code="Server.InternalError", times=0)

    with fault_row(
        LAUNCH,
        "EC2 terminates nodes while they start, in every zone",
        "the launcher tries two zones; exit code 1, with EC2's reason and the last lines of the console",
        left="nothing",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud), len(codes(cloud))) == (1, [], 4)
        assert re.search(r"ended while the cluster was launched: .*Server\.InternalError", outcome.message)
        assert any(isinstance(event, Output) for event in outcome.events)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("Client.InternalError", "check that these credentials may use the KMS key that encrypts it"),
        ("Client.VolumeLimitExceeded", "the last lines of its console are above"),
        ("Client.InvalidSnapshot.NotFound", "the last lines of its console are above"),
    ],
)
def test_an_instance_that_ends_for_a_client_reason_ends_the_launch(cloud, fault_row, code, hint):
    cloud.fault("terminated", code=code)

    with fault_row(
        LAUNCH,
        "a node terminates while it starts, because of a KMS key, a quota or a snapshot"
        " (`Client.InternalError` …)",
        "no other zone; exit code 1, with EC2's reason and its usual cause",
        left="nothing",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud), codes(cloud)) == (1, [], [None, None])
        assert code in outcome.message
        assert hint in outcome.hint


def test_an_instance_that_stays_pending_ends_the_launch_at_the_deadline(cloud, fault_row):
    cloud.fault("pending", where={"MaxCount": "1"})

    with fault_row(
        LAUNCH,
        "a node stays `pending`",
        "exit code 1 after `--timeout` (60 s here), with the late node and the last lines of its console",
        left="nothing",
    ) as row:
        outcome = attempt(cloud, timeout=60)
        row.seconds = outcome.seconds
        assert (outcome.code, left(cloud)) == (1, [])
        assert "waited 60 s for the head to run" in outcome.message
        assert "node 0 is late" in outcome.message
        assert any(isinstance(event, Output) for event in outcome.events)
        assert 60 <= outcome.seconds < 80


@pytest.mark.parametrize(
    "before",
    [("RunInstances", 2), ("DescribeInstances", 2)],
    ids=str,
)
def test_a_permanent_network_failure_names_the_resources_that_may_exist(cloud, fault_row, before):
    with fault_row(
        LAUNCH,
        "the network fails during a launch and does not come back",
        "the launcher retries requests that create something for two minutes, with the same client token,"
        " and reports it after 5 s; exit code 3, with the known resources and the tag of possible others",
        left="what the launch had created",
    ) as row:
        outcome = attempt(cloud, before=before, strike=lambda: cloud.fault("drop-before", times=0))
        row.seconds = outcome.seconds
        cloud.clear_faults()
        assert (outcome.code, outcome.hint) == (3, "dask-bake down dask")
        assert "whatever is tagged dask-bake:cluster=dask" in outcome.message
        assert [note for note in outcome.notes if note.startswith("AWS does not respond to ")]
        assert [note for note in outcome.notes if note.startswith("Waiting for EC2: ")]
        assert len(tokens(cloud)) <= 2
        assert left(cloud) != []
        assert (end(cloud).code, left(cloud)) == (0, [])


def test_a_network_that_is_down_from_the_start_is_reported_soon(cloud, fault_row):
    cloud.fault("drop-before", times=0)

    with fault_row(
        LAUNCH,
        "there is no network",
        "the launcher retries look-ups for 10 s; exit code 1, with a hint what to check",
        left="nothing",
    ) as row:
        outcome = attempt(cloud)
        row.seconds = outcome.seconds
        cloud.clear_faults()
        assert (outcome.code, change_counts(cloud), left(cloud)) == (1, Counter(), [])
        assert "EC2 could not be reached" in outcome.message
        assert outcome.hint == "check the network, the region and the proxy"
        assert 10 <= outcome.seconds < 20


BEFOREHAND = (
    ({"keyname": "nobodys"}, "--keyname nobodys: there is no such key pair in this region"),
    ({"subnet_id": "subnet-12345678"}, "--subnet-id subnet-12345678: there is no such subnet in this region"),
    ({"type": ("m99.huge",)}, "--type m99.huge: there is no such type in this region"),
    ({"ami": "ami-0123456789abcdef0"}, "the image ami-0123456789abcdef0 does not exist in this region"),
    ({"iaminstance_name": "nobodys"}, "--iaminstance-name nobodys: there is no such instance profile"),
)


def check_refused_before_creation(cloud, row, says: str, hint: str = "", **options) -> None:
    outcome = attempt(cloud, **options)
    row.seconds = outcome.seconds
    assert (outcome.code in (1, 2), change_counts(cloud), left(cloud)) == (True, Counter(), [])
    assert says in outcome.message
    assert hint in outcome.hint
    assert outcome.hint


@pytest.mark.parametrize(("options", "says"), BEFOREHAND, ids=[each[1] for each in BEFOREHAND])
def test_unknown_resources_are_errors_before_anything_is_made(cloud, fault_row, options, says):
    with fault_row(
        LAUNCH,
        "key pair, subnet, instance type, image or instance profile does not exist"
        " (`InvalidKeyPair.NotFound` …)",
        "the launch fails before it creates anything, with the option's name",
        left="nothing",
    ) as row:
        check_refused_before_creation(cloud, row, says, **options)


def test_a_subnet_that_is_too_small_is_an_error_before_anything_is_made(cloud, fault_row):
    (vpc,) = {each["VpcId"] for each in cloud.ec2.describe_subnets()["Subnets"]}
    block = cloud.ec2.describe_vpcs()["Vpcs"][0]["CidrBlock"]
    *_, last = ip_network(block).subnets(new_prefix=28)
    subnet = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock=str(last))["Subnet"]["SubnetId"]

    with fault_row(
        LAUNCH,
        "the subnet has fewer free addresses than the cluster has nodes",
        "the launch fails before it creates anything, with the number of free addresses",
        left="nothing",
    ) as row:
        check_refused_before_creation(
            cloud,
            row,
            f"--count 12 needs as many free addresses, but {subnet} in",
            subnet_id=subnet,
            count=12,
        )


def test_user_data_beyond_the_limit_is_an_error_before_anything_is_made(cloud, fault_row, tmp_path):
    config = tmp_path / "user-data"
    config.write_text(f"#cloud-config\nbootcmd: [[echo, {'x' * 17_000}]]\n")

    with fault_row(
        LAUNCH,
        "user-data is longer than EC2's limit of 16 KB",
        "the launch fails before it creates anything",
        left="nothing",
    ) as row:
        check_refused_before_creation(cloud, row, "16384", user_data=config)


def test_a_region_without_default_subnets_is_an_error_that_names_the_option(cloud, fault_row):
    for subnet in cloud.ec2.describe_subnets()["Subnets"]:
        cloud.ec2.delete_subnet(SubnetId=subnet["SubnetId"])

    with fault_row(
        LAUNCH,
        "there is no default VPC, or it has no subnets",
        "the launch fails before it creates anything, with the command that creates one and `--subnet-id`",
        left="nothing",
    ) as row:
        check_refused_before_creation(
            cloud, row, "there is no default subnet in this region", "--subnet-id takes another"
        )


def test_an_unknown_region_is_an_error_without_any_request(cloud, fault_row):
    with fault_row(
        LAUNCH,
        "the region does not exist",
        "no request is sent; exit code 2, with regions of similar names",
        left="nothing",
    ):
        with pytest.raises(UsageError, match="there is no region eu-wset-1") as caught:
            api.connect(clouds.aws_cloud("eu-wset-1", {}), [].append)
        assert "did you mean eu-west-1" in caught.value.hint


def test_missing_credentials_are_an_error_without_any_request(cloud, fault_row, monkeypatch, capsys):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    with fault_row(
        LAUNCH,
        "there are no AWS credentials, or the profile does not exist",
        "no request is sent; exit code 2",
        left="nothing",
    ):
        assert run(["launch", "--cloud", "aws", "--region", "us-east-1"]) == 2
        assert "there are no AWS credentials" in capsys.readouterr().err
        assert run(["launch", "--cloud", "aws", "--region", "us-east-1", "--profile", "none"]) == 2
        assert "The config profile (none) could not be found" in capsys.readouterr().err
