"""An image baked by Packer."""

import json
import re

from base_release import BASE


def test_a_bake_makes_an_image_whose_tags_describe_its_contents(cloud, image):
    """The image is available; its tags and its snapshot's describe its contents."""
    described = cloud.ec2().describe_images(ImageIds=[image])["Images"][0]
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}

    assert described["State"] == "available"
    assert described["RootDeviceType"] == "ebs"
    # If another image has the name, a number is appended.
    assert re.fullmatch(rf"dask-bake-{tags['dask-bake:digest'][:12]}(-\d+)?", described["Name"])
    assert tags["dask-bake:installer"] == "pip"
    assert tags["dask-bake:python"].startswith(f"{BASE.python_minor}.")
    assert tags["dask-bake:dask"] == tags["dask-bake:distributed"]


def test_a_second_bake_finds_the_image(cloud, image):
    """Nothing is built, and the output is one line."""
    again = cloud.json("bake")
    output = cloud.run("bake")

    assert (again["image"], again["built"]) == (image, False)
    assert output.startswith(f"{image} exists: Python {BASE.python}, dask")
    assert len(output.splitlines()) == 1


def test_packer_leaves_nothing_in_the_cloud(cloud, image, no_shared_cluster):
    """No instance, key pair or security group of the bake is left."""
    assert cloud.live_instances() == []
    assert cloud.ec2().describe_key_pairs()["KeyPairs"] == []
    assert cloud.groups() == []


def test_images_survive_the_server(cloud, image):
    """`local down` and `local up` keep the images, with their tags."""
    before = cloud.ec2().describe_images(Owners=["self"])["Images"]
    cloud.run("local", "down")
    cloud.run("local", "up")
    after = cloud.ec2().describe_images(Owners=["self"])["Images"]

    def described(images):
        return [(one["ImageId"], one["Name"], sorted(map(json.dumps, one["Tags"]))) for one in images]

    assert described(before) == described(after)
    assert image in [one["ImageId"] for one in after]


def test_a_second_up_finds_the_running_server(cloud):
    """The process is the same."""
    first, second = cloud.json("local", "status"), cloud.json("local", "up")

    assert first["pid"] == second["pid"]
    assert first["url"] == second["url"]
