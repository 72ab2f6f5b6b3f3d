"""``dask-bake images`` on moto's EC2."""

import json
import os
import pty
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2 import ec2_backends

from dask_bake.cli.main import run
from dask_bake.images import manifest
from fake_images import BASE, MANIFEST

REGION, ELSEWHERE = "us-east-1", "eu-west-1"
ONE = "111111111111"


def tagged(**values: str) -> list[dict[str, str]]:
    return [{"Key": f"dask-bake:{key.replace('_', '-')}", "Value": value} for key, value in values.items()]


def bake(aws, name: str, *, held=MANIFEST, **tags: str) -> str:
    """Make an image as a bake leaves it; its manifest begins in its tags and continues in the snapshot's."""
    held = replace(held, digest=f"{name[-1]}" * 64)
    image_id = aws.register_image(Name=name, RootDeviceName="/dev/xvda")["ImageId"]
    made = ec2_backends[DEFAULT_ACCOUNT_ID][aws.meta.region_name].amis
    made[image_id].creation_date = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=len(made) - 60)
    values = {
        "managed": "true",
        "digest": held.digest,
        "python": "3.11.2",
        "dask": "2026.8.0",
        "distributed": "2026.8.0",
        "base_name": BASE,
        "verified": "yes",
        **tags,
    }
    own = tagged(**{key: value for key, value in values.items() if value})
    chunks = [{"Key": key, "Value": value} for part in manifest.as_tags(held) for key, value in part]
    aws.create_tags(Resources=[image_id], Tags=own + chunks[:1])
    aws.create_tags(
        Resources=[snapshot_of(aws, image_id)],
        Tags=[*tagged(managed="true", digest=held.digest), *chunks[1:]],
    )
    return image_id


def snapshot_of(aws, image_id: str) -> str:
    (image,) = aws.describe_images(ImageIds=[image_id])["Images"]
    return image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def snapshots(aws) -> list[str]:
    filters = [{"Name": "tag:dask-bake:managed", "Values": ["true"]}]
    return sorted(each["SnapshotId"] for each in aws.describe_snapshots(Filters=filters)["Snapshots"])


def images(aws) -> list[str]:
    return sorted(each["ImageId"] for each in aws.describe_images(Owners=["self"])["Images"])


def launch(aws, image_id: str, cluster: str) -> str:
    tags = [{"ResourceType": "instance", "Tags": tagged(managed="true", cluster=cluster)}]
    answer = aws.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, TagSpecifications=tags)
    return answer["Instances"][0]["InstanceId"]


def json_of(capsys, *words: str) -> object:
    """Return the JSON that the command prints."""
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *words: str) -> tuple[int, str]:
    """Return exit code and message of a command that fails and prints nothing to stdout."""
    code = run(list(words))
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err


def test_without_images_a_list_is_empty(aws, capsys):
    assert run(["images"]) == 0
    assert capsys.readouterr().out == "There are no images in this region. dask-bake bake makes one.\n"
    assert json_of(capsys, "images") == []


def test_images_are_listed_with_the_clusters_that_use_them(aws, capsys):
    aws.register_image(Name="somebody-else-s")
    old, new = bake(aws, "dask-bake-1"), bake(aws, "dask-bake-2", verified="")
    launch(aws, old, "docs")
    ended = launch(aws, new, "taxi")
    aws.terminate_instances(InstanceIds=[ended])

    listed = json_of(capsys, "images")

    assert {each["id"]: (each["in_use_by"], each["verified"]) for each in listed} == {
        old: (["docs"], "yes"),
        new: ([], None),
    }
    assert {each["snapshot"] for each in listed} == {snapshot_of(aws, old), snapshot_of(aws, new)}
    assert run(["images"]) == 0
    out = capsys.readouterr().out
    assert f"{old}  " in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_an_image_is_shown_by_digest_with_its_whole_manifest(aws, capsys):
    image_id = bake(aws, "dask-bake-a")
    bake(aws, "dask-bake-b")

    shown = json_of(capsys, "images", "show", "aa")

    assert (shown["id"], shown["shared_with"]) == (image_id, [])
    assert manifest.parse(shown["manifest"]) == replace(MANIFEST, digest="a" * 64)


def test_two_images_are_compared(aws, capsys):
    bake(aws, "dask-bake-a")
    bake(aws, "dask-bake-b", held=replace(MANIFEST, packages=MANIFEST.packages[:1]))

    found = json_of(capsys, "images", "diff", "dask-bake-a", "dask-bake-b")

    assert (found["inputs"], found["files"]) == ([], [])
    assert found["packages"] == [
        {"name": "numpy", "change": "removed", "before": "2.3.0 py311_0", "after": None}
    ]
    assert run(["images", "diff", "dask-bake-a", "aa"]) == 0
    assert capsys.readouterr().out.endswith("Nothing differs.\n")


def test_an_sbom_is_printed_unchanged(aws, capsys):
    bake(aws, "dask-bake-a")

    assert run(["images", "sbom"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in document["components"]] == ["dask", "numpy"]


def test_an_sbom_warns_when_the_tags_had_no_room_for_the_hashes(aws, capsys):
    without = tuple(replace(package, sha256="") for package in MANIFEST.packages)
    bake(aws, "dask-bake-a", held=replace(MANIFEST, packages=without))

    assert run(["images", "sbom"]) == 0
    output = capsys.readouterr()
    assert "too small for all hashes" in output.err
    assert all("hashes" not in component for component in json.loads(output.out)["components"])


def test_prune_removes_old_images_with_their_snapshots_except_those_in_use(aws, capsys):
    used, old, new = (bake(aws, f"dask-bake-{number}") for number in "123")
    launch(aws, used, "docs")
    kept = sorted(snapshot_of(aws, each) for each in (used, new))

    assert json_of(capsys, "images", "prune", "--keep", "1", "--dry-run")["removed"] is None
    assert len(images(aws)) == 3
    assert json_of(capsys, "images", "prune", "--keep", "1", "--yes")["removed"] == [old]
    assert (images(aws), snapshots(aws)) == (sorted([used, new]), kept)

    assert run(["images", "prune", "--keep", "1", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("Nothing is to be removed.\n")


def test_a_shared_image_is_not_pruned(aws, capsys):
    old, new = bake(aws, "dask-bake-1"), bake(aws, "dask-bake-2")
    assert run(["images", "share", old, "--with", ONE]) == 0
    capsys.readouterr()

    assert json_of(capsys, "images", "prune", "--keep", "1", "--yes")["removed"] == []
    assert images(aws) == sorted([old, new])


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", 2), (b"y\n", 1)])
def test_at_a_terminal_prune_asks(aws, capsys, monkeypatch, answer, left):
    bake(aws, "dask-bake-1")
    bake(aws, "dask-bake-2")
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    with os.fdopen(theirs, "r", closefd=False) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        assert run(["images", "prune", "--keep", "1"]) == 0

    captured = capsys.readouterr()
    assert "1 image and 1 snapshot are to be removed." in captured.err
    assert len(images(aws)) == left
    assert ("Nothing was removed." in captured.err) == (left == 2)
    os.close(ours)


def test_without_a_terminal_prune_requires_yes(aws, capsys, monkeypatch):
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert refused(capsys, "images", "prune", "--keep", "1") == (
            2,
            "Error: this removes resources permanently, and there is no terminal to confirm it on\n"
            "Hint: --yes removes them, --dry-run shows what would be removed\n",
        )


def test_a_copy_is_complete_and_a_second_copy_finds_it(aws, capsys):
    source = bake(aws, "dask-bake-a")
    elsewhere = boto3.client("ec2", region_name=ELSEWHERE)

    assert json_of(capsys, "images", "copy", "--to-region", ELSEWHERE, "--dry-run")[0]["image"] is None
    assert images(elsewhere) == []
    (first,) = json_of(capsys, "images", "copy", "--to-region", ELSEWHERE)
    (second,) = json_of(capsys, "images", "copy", source, "--to-region", ELSEWHERE)

    assert (first["step"], second["step"]) == ("copy", "nothing")
    assert images(elsewhere) == [first["image"]] == [second["image"]]
    shown = json_of(capsys, "images", "show", "--region", ELSEWHERE)
    assert (shown["verified"], shown["name"]) == ("yes", "dask-bake-a")
    assert manifest.parse(shown["manifest"]) == replace(MANIFEST, digest="a" * 64)


def test_options_before_the_subcommand_apply(aws, capsys):
    elsewhere = boto3.client("ec2", region_name=ELSEWHERE)
    here, there = bake(aws, "dask-bake-a"), bake(elsewhere, "dask-bake-b")

    assert run(["images", "--region", ELSEWHERE, "--json", "show"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == there
    assert run(["images", "--region", ELSEWHERE, "show", "--region", REGION, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == here


def test_an_image_is_shared_and_unshared_with_its_snapshot(aws, capsys):
    image_id = bake(aws, "dask-bake-a")
    permission = {"SnapshotId": snapshot_of(aws, image_id), "Attribute": "createVolumePermission"}

    assert json_of(capsys, "images", "share", "--with", ONE, "--dry-run")["carried_out"] is False
    assert json_of(capsys, "images", "show")["shared_with"] == []
    assert json_of(capsys, "images", "share", "--with", ONE)["accounts"] == [ONE]
    assert json_of(capsys, "images", "show")["shared_with"] == [ONE]
    assert aws.describe_snapshot_attribute(**permission)["CreateVolumePermissions"] == [{"UserId": ONE}]
    assert json_of(capsys, "images", "share", "--with", ONE)["unchanged"] == [ONE]
    assert json_of(capsys, "images", "share", "--with", ONE, "--stop")["accounts"] == [ONE]
    assert json_of(capsys, "images", "show")["shared_with"] == []
    assert aws.describe_snapshot_attribute(**permission)["CreateVolumePermissions"] == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["show"], 1, "there is no image in this region"),
        (["show", "ami-0"], 2, "there is no image 'ami-0' in this region"),
        (["sbom", "nope"], 2, "there is no image 'nope'"),
        (["diff", "a", "b"], 2, "there is no image 'a'"),
        (["diff", "a"], 2, "Missing argument 'AFTER'"),
        (["prune"], 2, "Missing option '--keep'"),
        (["prune", "--keep", "0", "--yes"], 2, "at least 1, not 0"),
        (["prune", "--keep", "many"], 2, "'many' is not a valid integer"),
        (["share", "--with", "1111"], 2, "'1111' is not the number of an AWS account"),
        (["share"], 2, "Missing option '--with'"),
        (["copy"], 2, "Missing option '--to-region'"),
        (["prun"], 2, "No such command 'prun'"),
    ],
)
def test_an_error_is_one_sentence(aws, capsys, words, code, message):
    outcome = refused(capsys, "images", *words)
    assert (outcome[0], message in outcome[1]) == (code, True), outcome
    assert "Traceback" not in outcome[1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["copy", "--to-region", "eu-nowhere-1"], 2, "there is no region 'eu-nowhere-1' for this account"),
        (["copy", "--to-region", REGION], 2, "the image is in us-east-1 already"),
        (["sbom"], 1, "has no manifest"),
        (["diff", "a", "a"], 1, "has no manifest"),
    ],
)
def test_operations_that_an_old_image_lacks_data_for_fail_with_one_sentence(
    aws, capsys, words, code, message
):
    image_id = aws.register_image(Name="old")["ImageId"]
    aws.create_tags(Resources=[image_id], Tags=tagged(managed="true", digest="a" * 64, verified="yes"))

    outcome = refused(capsys, "images", *words)
    assert (outcome[0], message in outcome[1], "Hint: " in outcome[1]) == (code, True, True), outcome
