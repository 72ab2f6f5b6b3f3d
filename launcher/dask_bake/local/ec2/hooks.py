"""What EC2 refuses before moto is asked, and what it does besides after moto has answered."""

from dask_bake.local.ec2.validation.security_groups import (
    canonicalise,
    check_filters,
    check_group,
    check_rules,
)
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.security_groups import agree_on_groups
from dask_bake.local.query_protocol import Call, Refusal

WITHOUT_MACHINES = frozenset(
    {
        "CreateFleet",
        "RebootInstances",
        "RegisterImage",
        "RequestSpotFleet",
        "RequestSpotInstances",
    }
)
"""What moto would answer, and no machine would be there for."""

SHUTDOWN_BEHAVIOUR = "InstanceInitiatedShutdownBehavior"
CHANGEABLE = frozenset(
    {"Attribute", "BlockDeviceMapping", "DisableApiStop", "DisableApiTermination", "EbsOptimized", "GroupId"}
    | {"InstanceType", "SourceDestCheck", "UserData"}
)
"""Of an instance, by ModifyInstanceAttribute."""


class Ec2Rules:
    """The rules for the operations that moto answers."""

    def __init__(self, ec2: MotoEc2, hypervisor: Hypervisor) -> None:
        self._ec2 = ec2
        self._hypervisor = hypervisor

    def before(self, call: Call) -> None:
        """Raises where EC2 would refuse what moto does not."""
        match call.action:
            case "":
                raise Refusal("MissingAction", "The request is missing an action.")
            case "TerminateInstances":
                self._check_termination(call)
                for instance_id in call.ids("InstanceId"):
                    self._ec2.instances[instance_id].keep_interfaces()
            case "CreateSecurityGroup":
                check_group(call)
            case "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress":
                check_group(call)
                check_rules(call)
            case "DescribeSecurityGroups":
                check_filters(call)
            case "RevokeSecurityGroupIngress" | "RevokeSecurityGroupEgress":
                canonicalise(call)
            case "StopInstances":
                self._refuse_states(call, "running", "stopping", "stopped")
                self._refuse_spot(call)
            case "StartInstances":
                self._refuse_states(call, "running", "stopped")
            case "DeleteSecurityGroup":
                group = call.parameters.get("GroupId") or call.parameters.get("GroupName", "")
                self._refuse_if_used(call.region, group)
            case "ModifyInstanceAttribute":
                _say_attribute(call)
            case "CreateTags":
                for resource_id in call.ids("ResourceId"):
                    self._refuse_unknown(call.region, resource_id)
            case action if action in WITHOUT_MACHINES:
                raise Refusal("UnsupportedOperation", f"The local cloud has no {action}.")

    def after(self, call: Call) -> None:
        """Carries out on machines, network and store what moto has only noted."""
        match call.action:
            case "TerminateInstances":
                self._hypervisor.terminate(call.ids("InstanceId"))
            case "StopInstances":
                self._hypervisor.stop(call.ids("InstanceId"))
            case "StartInstances":
                self._hypervisor.start(call.ids("InstanceId"))
            case "CreateSubnet":
                self._ec2.adopt_subnets(call.region)
            case "ModifyInstanceAttribute" if call.ids("GroupId"):
                agree_on_groups(
                    self._ec2.region(call.region), instance_id=call.parameters.get("InstanceId", "")
                )
            case "ModifyNetworkInterfaceAttribute" if call.ids("SecurityGroupId"):
                interface_id = call.parameters.get("NetworkInterfaceId", "")
                agree_on_groups(self._ec2.region(call.region), interface_id=interface_id)
            case "CreateTags" | "DeleteTags":
                for resource_id in call.ids("ResourceId"):
                    self._ec2.images.keep(call.region, resource_id)

    def _check_termination(self, call: Call) -> None:
        for instance_id in call.ids("InstanceId"):
            instance = self._ec2.instances.get(instance_id)
            if instance is None or instance.region_name != call.region:
                raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
            if str(instance.disable_api_termination).lower() == "true" and instance.state != "terminated":
                raise Refusal(
                    "OperationNotPermitted",
                    f"The instance '{instance_id}' may not be terminated. Modify its 'disableApiTermination' "
                    "instance attribute and try again.",
                )
        call.refuse_dry_run()

    def _refuse_states(self, call: Call, *possible: str) -> None:
        for instance_id in call.ids("InstanceId"):
            state = self._ec2.instances.state(instance_id)
            if state is not None and state not in possible:
                raise Refusal("IncorrectInstanceState", f"The instance '{instance_id}' is {state}.")

    def _refuse_spot(self, call: Call) -> None:
        for instance_id in call.ids("InstanceId"):
            instance = self._ec2.instances.get(instance_id)
            if instance is not None and instance.is_spot:
                raise Refusal(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{instance_id}' because it is associated with a "
                    "one-time Spot Instance request. You can only stop Spot Instances associated with "
                    "persistent Spot Instance requests.",
                )

    def _refuse_if_used(self, region: str, group: str) -> None:
        if self._ec2.group_is_used(region, group):
            raise Refusal("DependencyViolation", f"resource {group} has a dependent object")

    def _refuse_unknown(self, region: str, resource_id: str) -> None:
        """Raises when something that is to be tagged does not exist."""
        backend = self._ec2.region(region)
        groups = {group_id for of_vpc in backend.groups.values() for group_id in of_vpc}
        kinds = {
            "i-": (self._ec2.instances.get(resource_id) is not None, "InvalidInstanceID.NotFound"),
            "sg-": (resource_id in groups, "InvalidGroup.NotFound"),
            "vol-": (resource_id in backend.volumes, "InvalidVolume.NotFound"),
            "eni-": (resource_id in backend.enis, "InvalidNetworkInterfaceID.NotFound"),
            "ami-": (resource_id in backend.amis, "InvalidAMIID.NotFound"),
            "snap-": (resource_id in backend.snapshots, "InvalidSnapshot.NotFound"),
        }
        for prefix, (exists, code) in kinds.items():
            if resource_id.startswith(prefix) and not exists:
                raise Refusal(code, f"The ID '{resource_id}' does not exist")


def _say_attribute(call: Call) -> None:
    """Name the attribute as moto takes it: one that it does not know would empty the instance's groups."""
    behaviour = call.parameters.pop(f"{SHUTDOWN_BEHAVIOUR}.Value", None)
    if behaviour is not None:
        call.parameters |= {"Attribute": SHUTDOWN_BEHAVIOUR, "Value": behaviour}
    said = {name.partition(".")[0] for name in call.parameters} - {
        "Action",
        "Version",
        "DryRun",
        "InstanceId",
    }
    if not said & CHANGEABLE:
        raise Refusal("UnsupportedOperation", f"The local cloud cannot change {', '.join(sorted(said))}.")
