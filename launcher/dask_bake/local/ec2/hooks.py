"""Hooks around the operations that moto answers: checks before, effects on machines and images after."""

from dask_bake.local.ec2.validation.security_groups import (
    check_filters,
    check_group,
    check_rules,
    normalise_blocks,
)
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.security_groups import sync_groups
from dask_bake.local.query_protocol import Refusal, Request

UNSUPPORTED_ACTIONS = frozenset(
    {
        "CreateFleet",
        "RegisterImage",
        "RequestSpotFleet",
        "RequestSpotInstances",
    }
)
"""Operations that moto accepts, but that would have no effect on machines."""

SHUTDOWN_BEHAVIOUR = "InstanceInitiatedShutdownBehavior"
MODIFIABLE_ATTRIBUTES = frozenset(
    {"Attribute", "BlockDeviceMapping", "DisableApiStop", "DisableApiTermination", "EbsOptimized", "GroupId"}
    | {"InstanceType", "SourceDestCheck", "UserData"}
)
"""Attributes that ModifyInstanceAttribute can change."""


class MotoHooks:
    """The hooks of every operation that moto answers."""

    def __init__(self, ec2: MotoEc2, hypervisor: Hypervisor) -> None:
        self._ec2 = ec2
        self._hypervisor = hypervisor

    def before(self, request: Request) -> None:
        """Refuse a request that EC2 refuses and moto accepts."""
        match request.action:
            case "":
                raise Refusal("MissingAction", "The request is missing an action.")
            case "TerminateInstances":
                self._check_termination(request)
                for instance_id in request.ids("InstanceId"):
                    self._ec2.instances[instance_id].keep_interfaces()
            case "CreateSecurityGroup":
                check_group(request)
            case "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress":
                check_group(request)
                check_rules(request)
            case "ModifySecurityGroupRules":
                check_rules(request)
            case "DescribeSecurityGroups":
                check_filters(request)
            case "RevokeSecurityGroupIngress" | "RevokeSecurityGroupEgress":
                normalise_blocks(request)
            case "StopInstances":
                self._refuse_states(request, "running", "stopping", "stopped")
                self._refuse_spot(request)
            case "StartInstances":
                self._refuse_states(request, "running", "stopped")
            case "RebootInstances":
                self._refuse_states(request, "running")
            case "DeleteSecurityGroup":
                group = request.parameters.get("GroupId") or request.parameters.get("GroupName", "")
                self._refuse_if_used(request.region, group)
            case "ModifyInstanceAttribute":
                _name_attribute(request)
            case "CreateTags":
                for resource_id in request.ids("ResourceId"):
                    self._refuse_unknown(request.region, resource_id)
            case action if action in UNSUPPORTED_ACTIONS:
                raise Refusal("UnsupportedOperation", f"The local cloud does not support {action}.")

    def after(self, request: Request) -> None:
        """Apply the changes that moto has only recorded to machines, network and image store."""
        match request.action:
            case "TerminateInstances":
                self._hypervisor.terminate(request.ids("InstanceId"))
            case "StopInstances":
                self._hypervisor.stop(request.ids("InstanceId"))
            case "StartInstances":
                self._hypervisor.start(request.ids("InstanceId"))
            case "RebootInstances":
                self._hypervisor.reboot(request.ids("InstanceId"))
            case "CreateSubnet":
                self._ec2.adopt_subnets(request.region)
            case "ModifyInstanceAttribute" if request.ids("GroupId"):
                sync_groups(
                    self._ec2.region(request.region), instance_id=request.parameters.get("InstanceId", "")
                )
            case "ModifyNetworkInterfaceAttribute" if request.ids("SecurityGroupId"):
                interface_id = request.parameters.get("NetworkInterfaceId", "")
                sync_groups(self._ec2.region(request.region), interface_id=interface_id)
            case "CreateTags" | "DeleteTags":
                for resource_id in request.ids("ResourceId"):
                    self._ec2.images.save(request.region, resource_id)

    def _check_termination(self, request: Request) -> None:
        for instance_id in request.ids("InstanceId"):
            instance = self._ec2.instances.get(instance_id)
            if instance is None or instance.region_name != request.region:
                raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
            if str(instance.disable_api_termination).lower() == "true" and instance.state != "terminated":
                raise Refusal(
                    "OperationNotPermitted",
                    f"The instance '{instance_id}' may not be terminated. Modify its 'disableApiTermination' "
                    "instance attribute and try again.",
                )
        request.end_dry_run()

    def _refuse_states(self, request: Request, *possible: str) -> None:
        for instance_id in request.ids("InstanceId"):
            state = self._ec2.instances.state(instance_id)
            if state is not None and state not in possible:
                raise Refusal("IncorrectInstanceState", f"The instance '{instance_id}' is {state}.")

    def _refuse_spot(self, request: Request) -> None:
        for instance_id in request.ids("InstanceId"):
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
        """Refuse to tag a resource that does not exist."""
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


def _name_attribute(request: Request) -> None:
    """Name the attribute as moto reads it; one that moto does not know would empty the instance's groups."""
    behaviour = request.parameters.pop(f"{SHUTDOWN_BEHAVIOUR}.Value", None)
    if behaviour is not None:
        request.parameters |= {"Attribute": SHUTDOWN_BEHAVIOUR, "Value": behaviour}
    named = {name.partition(".")[0] for name in request.parameters} - {
        "Action",
        "Version",
        "DryRun",
        "InstanceId",
    }
    if not named & MODIFIABLE_ATTRIBUTES:
        raise Refusal("UnsupportedOperation", f"The local cloud cannot change {', '.join(sorted(named))}.")
