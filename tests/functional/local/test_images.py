"""The local cloud's images and snapshots behave as EC2's, also after a restart."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fake_local_cloud import DEBIAN, TAGS, Server, describe_image, refusal

OTHER_ACCOUNT = "210987654321"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
ROOT = "/dev/xvda"


def bake(cloud: Server, name: str = "dask", **disk: Any) -> dict[str, Any]:
    """Make an image from an instance with that root disk and return its description."""
    mapping = {"DeviceName": ROOT, "Ebs": {"VolumeSize": 10, "VolumeType": "gp3", **disk}}
    instance = cloud.stopped(BlockDeviceMappings=[mapping])
    return describe_image(
        cloud, cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name=name)["ImageId"]
    )


def copy(cloud: Server, image: dict[str, Any], region: str = "eu-west-1", **parameters: Any) -> str:
    """Copy the image and return the copy's id."""
    wanted = {"SourceRegion": "us-east-1", "SourceImageId": image["ImageId"], "Name": image["Name"]}
    return str(cloud.client("ec2", region).copy_image(**{**wanted, **parameters})["ImageId"])


def snapshot_id(image: dict[str, Any]) -> str:
    return str(image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])


def describe_snapshot(cloud: Server, image: dict[str, Any]) -> dict[str, Any]:
    found = cloud.ec2.describe_snapshots(SnapshotIds=[snapshot_id(image)])
    return dict(found["Snapshots"][0])


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


def test_an_instance_of_an_image_has_the_files_written_before(cloud):
    instance = cloud.stopped()
    (cloud.host.machine(instance).spec.upper / "written").write_text("kept")
    image_id = cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name="snapshot")["ImageId"]

    layers = cloud.host.machine(cloud.running(ImageId=image_id)).spec.layers

    assert [layer.name for layer in layers] == ["base", f"layer-{image_id.removeprefix('ami-')}"]
    assert (layers[1] / "written").read_text() == "kept"


def test_snapshot_tags_are_put_on_the_snapshot(cloud):
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


@pytest.mark.parametrize("name", ["dask?", "däsk", "d" * 129])
def test_an_image_name_follows_ec2_s_rules(cloud, name):
    instance = cloud.stopped()
    allowed = "dask_1.0 (it's)/[a]-@b"
    image = cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name=allowed)["ImageId"]

    assert refusal(cloud.ec2.create_image, InstanceId=instance["InstanceId"], Name=name) == (
        "InvalidAMIName.Malformed"
    )
    source = {"SourceImageId": image, "SourceRegion": "us-east-1"}
    assert refusal(cloud.ec2.copy_image, Name=name, **source) == "InvalidAMIName.Malformed"


@pytest.mark.parametrize("state", ["pending", "running", "terminated"])
def test_an_image_can_be_made_only_from_a_stopped_instance(cloud, state):
    if state == "pending":
        cloud.host.may_boot.clear()
    instance = cloud.until(cloud.run()[0], "pending" if state == "pending" else "running")
    if state == "terminated":
        cloud.terminate(instance)
        cloud.until(instance, "terminated")

    assert refusal(cloud.ec2.create_image, InstanceId=instance["InstanceId"], Name="dask") == "IncorrectState"
    assert cloud.ec2.describe_images(Owners=["self"])["Images"] == []


def test_an_image_that_cannot_be_stored_does_not_exist(cloud):
    instance = cloud.stopped()
    cloud.host.machine(instance).spec.upper.rmdir()

    assert refusal(cloud.ec2.create_image, InstanceId=instance["InstanceId"], Name="dask") == "IncorrectState"
    assert cloud.ec2.describe_images(Owners=["self"])["Images"] == []


def test_a_deregistered_image_s_layer_is_deleted_when_unused(cloud, settings):
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


def test_a_foreign_image_cannot_be_deregistered(cloud):
    assert refusal(cloud.ec2.deregister_image, ImageId=DEBIAN.id) == "AuthFailure"


def test_changed_image_tags_are_stored(serve):
    with serve() as cloud:
        image_id = cloud.ec2.create_image(InstanceId=cloud.stopped()["InstanceId"], Name="dask")["ImageId"]
        cloud.ec2.create_tags(Resources=[image_id], Tags=[*TAGS, {"Key": "gone", "Value": "soon"}])
        cloud.ec2.delete_tags(Resources=[image_id], Tags=[{"Key": "gone"}])

    with serve() as cloud:
        assert describe_image(cloud, image_id)["Tags"] == TAGS


def test_regions_share_only_addresses_and_public_images(serve):
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


def test_an_image_s_description_survives_a_restart(serve):
    with serve() as cloud:
        image = bake(cloud, Encrypted=True)
        snapshot = describe_snapshot(cloud, image)

    with serve() as cloud:
        assert describe_image(cloud, image["ImageId"]) == image
        assert describe_snapshot(cloud, image) == snapshot


@pytest.mark.parametrize("encrypted", [True, False])
def test_an_image_has_the_disk_of_its_source_instance(cloud, encrypted):
    image = bake(cloud, VolumeSize=12, Encrypted=encrypted)

    snapshot = describe_snapshot(cloud, image)
    assert image["BlockDeviceMappings"] == [
        {
            "DeviceName": ROOT,
            "Ebs": {
                "SnapshotId": snapshot["SnapshotId"],
                "VolumeSize": 12,
                "VolumeType": "gp3",
                "Encrypted": encrypted,
                "DeleteOnTermination": True,
            },
        }
    ]
    assert (snapshot["VolumeSize"], snapshot["Encrypted"], snapshot["State"]) == (12, encrypted, "completed")


def test_an_instance_has_the_disk_of_its_image_by_default(cloud):
    image = bake(cloud, VolumeSize=12, Encrypted=True)
    instance = cloud.running(ImageId=image["ImageId"])

    [device] = instance["BlockDeviceMappings"]
    [volume] = cloud.ec2.describe_volumes(VolumeIds=[device["Ebs"]["VolumeId"]])["Volumes"]
    assert device["DeviceName"] == ROOT
    assert [volume[name] for name in ("Size", "VolumeType", "Encrypted", "SnapshotId")] == [
        12,
        "gp3",
        True,
        snapshot_id(image),
    ]


def test_a_disk_smaller_than_the_image_is_refused(cloud):
    image = bake(cloud)
    mapping = {"DeviceName": ROOT, "Ebs": {"VolumeSize": 9}}

    code = refusal(cloud.run, ImageId=image["ImageId"], BlockDeviceMappings=[mapping])

    assert code == "InvalidBlockDeviceMapping"


def test_a_snapshot_s_size_is_that_of_its_image_s_layer(cloud):
    instance = cloud.stopped()
    (cloud.host.machine(instance).spec.upper / "written").write_bytes(b"x" * 100_000)
    made = cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name="dask")

    image = describe_image(cloud, made["ImageId"])
    size = describe_snapshot(cloud, image)["FullSnapshotSizeInBytes"]
    assert 100_000 <= size < 200_000
    copied = copy(cloud, image, "us-east-1", Name="copy")
    assert describe_snapshot(cloud, describe_image(cloud, copied))["FullSnapshotSizeInBytes"] == size


def test_the_account_s_snapshots_are_found_by_owner(cloud):
    image = bake(cloud)

    found = cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [snapshot["SnapshotId"] for snapshot in found] == [snapshot_id(image)]
    assert cloud.ec2.describe_snapshots(OwnerIds=[OTHER_ACCOUNT])["Snapshots"] == []


def test_changed_snapshot_tags_are_stored(serve):
    with serve() as cloud:
        image = bake(cloud)
        cloud.ec2.create_tags(Resources=[snapshot_id(image)], Tags=[*TAGS, {"Key": "gone", "Value": "soon"}])
        cloud.ec2.delete_tags(Resources=[snapshot_id(image)], Tags=[{"Key": "gone"}])

    with serve() as cloud:
        assert describe_snapshot(cloud, image)["Tags"] == TAGS
        named = [{"Name": "tag:dask-bake:recipe", "Values": ["snapshot"]}]
        assert len(cloud.ec2.describe_snapshots(OwnerIds=["self"], Filters=named)["Snapshots"]) == 1
        assert describe_image(cloud, image["ImageId"]).get("Tags", []) == []


def test_a_snapshot_cannot_be_deleted_before_its_image(cloud):
    image = bake(cloud)

    assert refusal(cloud.ec2.delete_snapshot, SnapshotId=snapshot_id(image)) == "InvalidSnapshot.InUse"


def test_a_deregistered_image_leaves_its_snapshot(serve):
    with serve() as cloud:
        image = bake(cloud)
        assert cloud.ec2.deregister_image(ImageId=image["ImageId"]).get("DeleteSnapshotResults", []) == []

    with serve() as cloud:
        assert cloud.ec2.describe_images(Owners=["self"])["Images"] == []
        assert describe_snapshot(cloud, image)["VolumeSize"] == 10
        cloud.ec2.delete_snapshot(SnapshotId=snapshot_id(image))

    with serve() as cloud:
        assert cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
        assert refusal(cloud.ec2.delete_snapshot, SnapshotId=snapshot_id(image)) == "InvalidSnapshot.NotFound"


def test_deregistration_deletes_the_snapshot_on_request(serve):
    with serve() as cloud:
        image = bake(cloud)
        answer = cloud.ec2.deregister_image(ImageId=image["ImageId"], DeleteAssociatedSnapshots=True)
        assert answer["Return"] is True
        assert answer["DeleteSnapshotResults"] == [
            {"SnapshotId": snapshot_id(image), "ReturnCode": "success"}
        ]
        assert cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []

    with serve() as cloud:
        assert cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_snapshot_permissions_survive_a_restart(serve):
    with serve() as cloud:
        image = bake(cloud)
        permission = {"SnapshotId": snapshot_id(image), "Attribute": "createVolumePermission"}
        cloud.ec2.modify_snapshot_attribute(
            **permission, OperationType="add", UserIds=[OTHER_ACCOUNT, "111111111111"]
        )
        cloud.ec2.modify_snapshot_attribute(
            **permission, CreateVolumePermission={"Remove": [{"UserId": "111111111111"}]}
        )
        cloud.ec2.modify_snapshot_attribute(
            **permission, CreateVolumePermission={"Add": [{"UserId": "222222222222"}]}
        )

    with serve() as cloud:
        shared = cloud.ec2.describe_snapshot_attribute(**permission)["CreateVolumePermissions"]
        assert sorted(shared, key=str) == [{"UserId": OTHER_ACCOUNT}, {"UserId": "222222222222"}]


def test_images_and_snapshots_with_the_default_key_cannot_be_shared(cloud):
    image = bake(cloud, Encrypted=True)
    add = [{"UserId": OTHER_ACCOUNT}]

    refused = refusal(
        cloud.ec2.modify_snapshot_attribute,
        SnapshotId=snapshot_id(image),
        CreateVolumePermission={"Add": add},
    )
    assert refused == "OperationNotPermitted"
    refused = refusal(
        cloud.ec2.modify_image_attribute, ImageId=image["ImageId"], LaunchPermission={"Add": add}
    )
    assert refused == "InvalidParameter"


def test_images_with_a_named_key_can_be_shared_also_after_a_restart(serve):
    with serve() as cloud:
        image = bake(cloud, Encrypted=True, KmsKeyId=KEY)

    with serve() as cloud:
        assert describe_snapshot(cloud, image)["KmsKeyId"] == KEY
        add = {"Add": [{"UserId": OTHER_ACCOUNT}]}
        cloud.ec2.modify_snapshot_attribute(SnapshotId=snapshot_id(image), CreateVolumePermission=add)
        cloud.ec2.modify_image_attribute(ImageId=image["ImageId"], LaunchPermission=add)


def test_changed_launch_permissions_are_stored(serve):
    with serve() as cloud:
        image = bake(cloud)
        users = [{"UserId": OTHER_ACCOUNT}, {"UserId": "111111111111"}]
        cloud.ec2.modify_image_attribute(
            ImageId=image["ImageId"], LaunchPermission={"Add": [*users, {"Group": "all"}]}
        )
        cloud.ec2.modify_image_attribute(
            ImageId=image["ImageId"], LaunchPermission={"Remove": [users[1], {"Group": "all"}]}
        )

    with serve() as cloud:
        parameters = {"ImageId": image["ImageId"], "Attribute": "launchPermission"}
        assert cloud.ec2.describe_image_attribute(**parameters)["LaunchPermissions"] == users[:1]
        assert describe_image(cloud, image["ImageId"])["Public"] is False


def test_a_public_image_of_the_account_is_visible_only_in_its_region(serve):
    with serve() as cloud:
        image = bake(cloud)
        cloud.ec2.modify_image_attribute(
            ImageId=image["ImageId"], LaunchPermission={"Add": [{"Group": "all"}]}
        )

    with serve() as cloud:
        assert describe_image(cloud, image["ImageId"])["Public"] is True
        elsewhere = cloud.client("ec2", "eu-west-1").describe_images()["Images"]
        assert [image["ImageId"] for image in elsewhere] == [DEBIAN.id]


def test_instances_of_an_image_with_imds_support_require_tokens_by_default(serve):
    with serve() as cloud:
        image_id = bake(cloud)["ImageId"]
        assert "ImdsSupport" not in describe_image(cloud, image_id)
        cloud.ec2.modify_image_attribute(ImageId=image_id, ImdsSupport={"Value": "v2.0"})

    with serve() as cloud:
        assert describe_image(cloud, image_id)["ImdsSupport"] == "v2.0"
        attribute = cloud.ec2.describe_image_attribute(ImageId=image_id, Attribute="imdsSupport")
        assert attribute["ImdsSupport"] == {"Value": "v2.0"}
        plain = cloud.running(ImageId=image_id)
        optional = cloud.running(ImageId=image_id, MetadataOptions={"HttpTokens": "optional"})

    options = [instance["MetadataOptions"] for instance in (plain, optional)]
    assert [option["HttpTokens"] for option in options] == ["required", "optional"]
    assert options[0]["HttpPutResponseHopLimit"] == 2


@pytest.mark.parametrize("value", ["v1.0", ""])
def test_imds_support_accepts_only_v2(cloud, value):
    change = {"ImageId": bake(cloud)["ImageId"], "Attribute": "imdsSupport", "Value": value}

    assert refusal(cloud.ec2.modify_image_attribute, **change) == "InvalidParameterValue"


def test_a_description_can_be_changed_in_two_ways_and_is_stored(serve):
    with serve() as cloud:
        one, two = (bake(cloud, name)["ImageId"] for name in ("one", "two"))
        cloud.ec2.modify_image_attribute(ImageId=one, Description={"Value": "new"})
        cloud.ec2.modify_image_attribute(ImageId=two, Attribute="description", Value="new")

    with serve() as cloud:
        assert [describe_image(cloud, image_id)["Description"] for image_id in (one, two)] == ["new", "new"]


def test_a_deprecation_is_described_and_stored_until_cancelled(serve):
    with serve() as cloud:
        image_id = bake(cloud)["ImageId"]
        assert cloud.ec2.enable_image_deprecation(ImageId=image_id, DeprecateAt=TOMORROW)["Return"] is True

    with serve() as cloud:
        deprecated = datetime.fromisoformat(describe_image(cloud, image_id)["DeprecationTime"])
        assert abs(deprecated - TOMORROW) <= timedelta(seconds=30)
        assert deprecated.second == 0
        cloud.running(ImageId=image_id)
        assert cloud.ec2.disable_image_deprecation(ImageId=image_id)["Return"] is True

    with serve() as cloud:
        assert "DeprecationTime" not in describe_image(cloud, image_id)


@pytest.mark.parametrize("days", [-1, 4000])
def test_a_deprecation_is_within_ten_years_from_now(cloud, days):
    image_id = bake(cloud)["ImageId"]
    when = datetime.now(UTC) + timedelta(days=days)

    code = refusal(cloud.ec2.enable_image_deprecation, ImageId=image_id, DeprecateAt=when)

    assert code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("enable_image_deprecation", {"DeprecateAt": TOMORROW}),
        ("disable_image_deprecation", {}),
        ("modify_image_attribute", {"ImdsSupport": {"Value": "v2.0"}}),
        ("modify_image_attribute", {"LaunchPermission": {"Add": [{"UserId": OTHER_ACCOUNT}]}}),
        ("deregister_image", {}),
    ],
)
def test_only_existing_images_of_the_account_can_be_changed(cloud, operation, parameters):
    change = getattr(cloud.ec2, operation)

    assert refusal(change, ImageId="ami-0123456789abcdef0", **parameters) == "InvalidAMIID.NotFound"
    assert refusal(change, ImageId="dask", **parameters) == "InvalidAMIID.Malformed"
    assert refusal(change, ImageId=DEBIAN.id, **parameters) == "AuthFailure"


def test_a_dry_run_changes_nothing(cloud):
    image = bake(cloud)
    image_id = image["ImageId"]
    calls = (
        (cloud.ec2.enable_image_deprecation, {"ImageId": image_id, "DeprecateAt": TOMORROW}),
        (cloud.ec2.modify_image_attribute, {"ImageId": image_id, "ImdsSupport": {"Value": "v2.0"}}),
        (cloud.ec2.deregister_image, {"ImageId": image_id, "DeleteAssociatedSnapshots": True}),
        (cloud.ec2.copy_image, {"SourceRegion": "us-east-1", "SourceImageId": image_id, "Name": "copy"}),
    )

    codes = {refusal(call, **parameters, DryRun=True) for call, parameters in calls}

    assert codes == {"DryRunOperation"}
    assert cloud.ec2.describe_images(Owners=["self"])["Images"] == [image]


def test_a_copy_is_an_image_of_the_account_in_the_requested_region(serve):
    with serve() as cloud:
        instance = cloud.stopped()
        (cloud.host.machine(instance).spec.upper / "written").write_text("kept")
        made = cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name="dask", Description="Dask")
        image = describe_image(cloud, made["ImageId"])
        europe = cloud.client("ec2", "eu-west-1")
        copied_id = copy(cloud, image)
        [copied] = europe.describe_images(Owners=["self"])["Images"]
        own = europe.describe_snapshots(OwnerIds=["self"])["Snapshots"]

    same = ("Name", "Description", "Architecture", "OwnerId", "RootDeviceName", "State")
    assert [copied[name] for name in same] == [image[name] for name in same]
    assert copied["ImageId"] == copied_id != image["ImageId"]
    assert (copied["SourceImageId"], copied["SourceImageRegion"]) == (image["ImageId"], "us-east-1")
    assert [snapshot["SnapshotId"] for snapshot in own] == [snapshot_id(copied)]
    assert snapshot_id(copied) != snapshot_id(image)

    with serve() as cloud:
        europe = cloud.client("ec2", "eu-west-1")
        assert europe.describe_images(Owners=["self"])["Images"] == [copied]
        layers = cloud.host.machine(cloud.running(europe, ImageId=copied_id)).spec.layers
        assert (layers[-1] / "written").read_text() == "kept"
        assert refusal(cloud.run, ImageId=copied_id) == "InvalidAMIID.NotFound"


def test_a_copy_and_its_source_can_be_deleted_independently(cloud, settings):
    maker = cloud.stopped()
    made = cloud.ec2.create_image(InstanceId=maker["InstanceId"], Name="dask")
    image = describe_image(cloud, made["ImageId"])
    cloud.terminate(maker)
    cloud.until(maker, "terminated")
    copied = copy(cloud, image)

    cloud.ec2.deregister_image(ImageId=image["ImageId"])
    europe = cloud.client("ec2", "eu-west-1")
    instance = cloud.running(europe, ImageId=copied)
    assert all(layer.is_dir() for layer in cloud.host.machine(instance).spec.layers)
    europe.terminate_instances(InstanceIds=[instance["InstanceId"]])
    cloud.until(instance, "terminated", europe)
    europe.deregister_image(ImageId=copied)

    assert [path.name for path in settings.layers.iterdir()] == ["base"]


@pytest.mark.parametrize(
    ("parameters", "image_tags", "snapshot_tags"),
    [
        ({}, [], []),
        ({"CopyImageTags": True}, TAGS, []),
        (
            {
                "TagSpecifications": [
                    {"ResourceType": "image", "Tags": [{"Key": "is", "Value": "image"}]},
                    {"ResourceType": "snapshot", "Tags": [{"Key": "is", "Value": "snapshot"}]},
                ]
            },
            [{"Key": "is", "Value": "image"}],
            [{"Key": "is", "Value": "snapshot"}],
        ),
    ],
)
def test_a_copy_has_the_requested_tags(cloud, parameters, image_tags, snapshot_tags):
    image = bake(cloud)
    cloud.ec2.create_tags(Resources=[image["ImageId"], snapshot_id(image)], Tags=TAGS)

    copied = describe_image(cloud, copy(cloud, image, "us-east-1", Name="copy", **parameters))

    assert copied.get("Tags", []) == image_tags
    assert describe_snapshot(cloud, copied).get("Tags", []) == snapshot_tags


def test_a_copy_has_neither_permissions_nor_deprecation_but_imds_support(cloud):
    image = bake(cloud)
    permission = {"Add": [{"UserId": OTHER_ACCOUNT}]}
    cloud.ec2.modify_image_attribute(ImageId=image["ImageId"], LaunchPermission=permission)
    cloud.ec2.modify_image_attribute(ImageId=image["ImageId"], ImdsSupport={"Value": "v2.0"})
    cloud.ec2.enable_image_deprecation(ImageId=image["ImageId"], DeprecateAt=TOMORROW)

    copied = describe_image(cloud, copy(cloud, image, "us-east-1", Name="copy"))

    parameters = {"ImageId": copied["ImageId"], "Attribute": "launchPermission"}
    assert cloud.ec2.describe_image_attribute(**parameters)["LaunchPermissions"] == []
    assert (copied.get("DeprecationTime"), copied["ImdsSupport"]) == (None, "v2.0")


@pytest.mark.parametrize(
    ("source", "parameters", "encrypted"),
    [
        (False, {}, False),
        (False, {"Encrypted": True}, True),
        (False, {"Encrypted": True, "KmsKeyId": KEY}, True),
        (True, {}, True),
        (True, {"Encrypted": False}, True),
    ],
)
def test_a_copy_can_be_encrypted_but_not_decrypted(cloud, source, parameters, encrypted):
    image = bake(cloud, Encrypted=source)

    copied = describe_image(cloud, copy(cloud, image, "us-east-1", Name="copy", **parameters))

    assert copied["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is encrypted
    snapshot = describe_snapshot(cloud, copied)
    assert snapshot["Encrypted"] is encrypted
    assert (snapshot.get("KmsKeyId") == KEY) == ("KmsKeyId" in parameters)


def test_a_foreign_public_image_is_copied_without_its_tags(cloud):
    copied = copy(cloud, describe_image(cloud, DEBIAN.id), "us-east-1", CopyImageTags=True)

    found = describe_image(cloud, copied)
    assert found["OwnerId"] == "123456789012"
    assert (found["Public"], found.get("Tags", [])) == (False, [])


def test_copies_with_the_same_token_are_made_once(cloud):
    image = bake(cloud)

    first, again = (copy(cloud, image, ClientToken="token") for _ in range(2))

    assert first == again
    assert len(cloud.client("ec2", "eu-west-1").describe_images(Owners=["self"])["Images"]) == 1
    changed = {"Name": "other", "ClientToken": "token"}
    assert refusal(copy, cloud=cloud, image=image, **changed) == "IdempotentParameterMismatch"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"SourceImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"SourceRegion": "eu-west-1"}, "InvalidAMIID.NotFound"),
        ({"SourceImageId": "dask"}, "InvalidAMIID.Malformed"),
        ({"Name": "taken"}, "InvalidAMIName.Duplicate"),
        ({"KmsKeyId": KEY}, "InvalidParameterDependency"),
    ],
)
def test_an_invalid_copy_request_is_refused(cloud, parameters, code):
    image = bake(cloud)
    copy(cloud, image, Name="taken")

    assert refusal(copy, cloud=cloud, image=image, **parameters) == code


def test_a_deregistered_image_cannot_be_launched(cloud):
    image_id = bake(cloud)["ImageId"]
    cloud.ec2.deregister_image(ImageId=image_id)

    assert refusal(cloud.run, ImageId=image_id) == "InvalidAMIID.NotFound"


def test_an_instance_type_runs_images_of_its_own_architecture(cloud):
    types = cloud.ec2.describe_instance_types(InstanceTypes=["m5.large", "m6g.large"])["InstanceTypes"]
    can_run = {kind["InstanceType"]: kind["ProcessorInfo"]["SupportedArchitectures"] for kind in types}
    assert can_run == {"m5.large": ["x86_64"], "m6g.large": ["arm64"]}

    with pytest.raises(ClientError) as caught:
        cloud.run(InstanceType="m6g.large")

    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidParameterValue"
    assert error["Message"].startswith(
        "The architecture 'arm64' of the specified instance type does not match the architecture 'x86_64'"
    )
    cloud.running(InstanceType="m5.large")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tag:dask-bake:recipe", "snapshot"),
        ("name", "da*"),
        ("architecture", "x86_64"),
        ("state", "available"),
        ("owner-id", "123456789012"),
        ("image-id", "ami-*"),
    ],
)
def test_images_are_found_by_filters(cloud, name, value):
    image = bake(cloud)
    cloud.ec2.create_tags(Resources=[image["ImageId"]], Tags=TAGS)
    filters = [{"Name": name, "Values": [value]}]

    found = cloud.ec2.describe_images(Owners=["self"], Filters=filters)["Images"]
    assert [image["ImageId"] for image in found] == [image["ImageId"]]
    other = [{"Name": name, "Values": ["none"]}]
    assert cloud.ec2.describe_images(Owners=["self"], Filters=other)["Images"] == []


def test_instances_are_found_by_image_id(cloud):
    image_id = bake(cloud)["ImageId"]
    instance = cloud.run(ImageId=image_id)[0]

    filters = [{"Name": "image-id", "Values": [image_id]}]
    [reservation] = cloud.ec2.describe_instances(Filters=filters)["Reservations"]
    assert [found["InstanceId"] for found in reservation["Instances"]] == [instance["InstanceId"]]


def test_an_image_stored_by_an_older_version_has_a_stable_snapshot(serve, settings):
    old = {
        "id": "ami-00000000000000002",
        "name": "dask-old",
        "description": "",
        "owner": "123456789012",
        "region": "us-east-1",
        "created": "2026-01-02T00:00:00.000Z",
        "layers": ["base"],
        "architecture": "x86_64",
        "root_device": "/dev/xvda",
        "public": False,
        "tags": {},
    }
    (settings.images / f"{old['id']}.json").write_text(json.dumps(old))
    described = []
    for _ in range(2):
        with serve() as cloud:
            image = describe_image(cloud, old["id"])
            described.append((image, describe_snapshot(cloud, image)))
            cloud.running(ImageId=old["id"])

    assert described[0] == described[1]
