"""``dask-bake images`` on the local cloud's EC2, for what moto lacks: copies, dates, keys."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dask_bake import clouds
from dask_bake.commands import images
from dask_bake.ec2.images import connect_images
from dask_bake.errors import BakeError
from dask_bake.images import manifest
from dask_bake.models.tags import Tag
from dask_bake.view.terminal import Terminal
from fake_images import MANIFEST
from isolation import KEY_PAIR

ELSEWHERE = "eu-west-1"
ONE = "111111111111"
LATER = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=90)


def cloud_of(server, region: str = "us-east-1"):
    return clouds.local_cloud(server.url, KEY_PAIR, region)


def edge_of(server, region: str = "us-east-1"):
    return connect_images(cloud_of(server, region), lambda _: None)


def bake(server, name: str = "dask-bake-1", **disk) -> str:
    """Make an image as a bake leaves it; its manifest continues in the snapshot's tags."""
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10, **disk}}
    instance = server.stopped(BlockDeviceMappings=[mapping])
    image_id = server.ec2.create_image(InstanceId=instance["InstanceId"], Name=name)["ImageId"]
    server.terminate(instance)
    edge = edge_of(server)
    (first, *rest), _ = manifest.as_tags(MANIFEST)
    own = ((Tag.MANAGED, "true"), (Tag.DIGEST, MANIFEST.digest))
    edge.tag([image_id], (*own, (Tag.VERIFIED, "yes"), first))
    (snapshot_id,) = (image.snapshot_id for image in edge.mine() if image.id == image_id)
    edge.tag([snapshot_id], (*own, *rest))
    edge.require_imdsv2(image_id)
    edge.deprecate(image_id, LATER)
    return image_id


def copy(server, capsys) -> dict:
    code = images.copy(
        cloud_of(server), Terminal(), reference=None, regions=[ELSEWHERE], dry_run=False, json_output=True
    )
    assert code == 0
    return json.loads(capsys.readouterr().out)[0]


def test_a_copy_keeps_the_manifest_imdsv2_and_deprecation_of_its_source(cloud, capsys):
    source = bake(cloud)

    first, second = copy(cloud, capsys), copy(cloud, capsys)

    (image,) = edge_of(cloud, ELSEWHERE).mine()
    assert (first["image"], first["step"], first["source"]) == (image.id, "copy", source)
    assert (second["image"], second["step"]) == (image.id, "nothing")
    assert images.show(cloud_of(cloud, ELSEWHERE), Terminal(), reference=None, json_output=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["verified"], shown["encrypted"], shown["imdsv2"]) == ("yes", True, True)
    assert shown["deprecation"] == LATER.isoformat()
    assert isinstance(shown["bytes"], int)
    assert manifest.parse(shown["manifest"]) == MANIFEST


def test_two_copy_requests_with_one_token_make_one_tagged_copy(cloud):
    bake(cloud)
    (source,), edge = edge_of(cloud).mine(), edge_of(cloud, ELSEWHERE)
    words = {"from_region": "us-east-1", "name": "copied", "client_token": "token", "description": ""}
    tags = ((Tag.DIGEST, "a"), (Tag.MANAGED, "true"))

    ids = {edge.copy(source, **words, tags=tags, snapshot_tags=tags) for _ in range(2)}

    (copied,) = edge.mine()
    assert (ids, copied.tags) == ({copied.id}, tags)
    assert [each.tags for each in edge.tagged_snapshots()] == [tags]
    edge.remove(replace(copied, snapshot_id=None))
    assert (edge.mine(), edge.tagged_snapshots()) == ((), ())


def test_an_image_encrypted_with_the_default_key_cannot_be_shared(cloud):
    bake(cloud, Encrypted=True)

    with pytest.raises(BakeError, match="encrypted with AWS's own key") as caught:
        images.share(
            cloud_of(cloud),
            Terminal(),
            reference=None,
            accounts=[ONE],
            stop=False,
            dry_run=False,
            json_output=False,
        )

    assert "--kms-key" in caught.value.hint
    edge = edge_of(cloud)
    assert edge.settings_of(edge.mine()[0].id).shared_with == ()


def test_prune_deletes_images_and_snapshots(cloud, capsys):
    edge = edge_of(cloud)
    names = [bake(cloud, "dask-bake-1"), bake(cloud, "dask-bake-2")]
    listed = [image.id for image in edge.mine()]
    assert sorted(listed) == sorted(names)

    code = images.prune(cloud_of(cloud), Terminal(), keep=1, dry_run=False, asks=False, json_output=True)

    assert code == 0
    assert json.loads(capsys.readouterr().out)["removed"] == listed[1:]
    assert [image.id for image in edge.mine()] == listed[:1]
    assert [each.id for each in edge.tagged_snapshots()] == [edge.mine()[0].snapshot_id]


def test_removing_an_image_deletes_its_snapshot(cloud, capsys):
    edge = edge_of(cloud)
    removed, kept = bake(cloud, "dask-bake-1"), bake(cloud, "dask-bake-2")

    code = images.remove(
        cloud_of(cloud), Terminal(), references=[removed], dry_run=False, asks=False, json_output=True
    )

    assert code == 0
    assert json.loads(capsys.readouterr().out)["removed"] == [removed]
    assert [image.id for image in edge.mine()] == [kept]
    assert [each.id for each in edge.tagged_snapshots()] == [edge.mine()[0].snapshot_id]
