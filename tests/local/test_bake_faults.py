"""What goes wrong while an image is made: a sentence, a way out, and nothing left."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_cloud import until

CHECKOUT = Path(__file__).parents[2]
PHASES = (
    ("start instance", signal.SIGINT),
    ("Waiting for SSH", signal.SIGTERM),
    ("Uploading", signal.SIGTERM),
    ("PHASE: install wheels", signal.SIGINT),
    ("Creating AMI", signal.SIGHUP),
    ("proof", signal.SIGINT),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small environment, so that a bake takes seconds."""
    file = tmp_path_factory.mktemp("tiny") / "environment.yml"
    file.write_text("name: tiny\ndependencies: [python=3.11, dask, distributed]\n")
    return file


@pytest.fixture(scope="module")
def tiny_image(cloud, tiny):
    """The image of it."""
    return cloud.json("bake", "--env", str(tiny), timeout=300)


@pytest.fixture
def variant(tmp_path):
    """dask-bake with one more script in its packer folder, as a project of one's own would have it."""

    def with_script(name, text):
        root = tmp_path / "variant"
        (root / "launcher").mkdir(parents=True)
        for folder in ("launcher/dask_bake", "userdata"):
            (root / folder).symlink_to(CHECKOUT / folder)
        shutil.copytree(CHECKOUT / "packer", root / "packer")
        script = root / "packer/scripts" / name
        script.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{text}\n")
        script.chmod(0o755)
        return {"PYTHONPATH": str(root / "launcher")}

    return with_script


@pytest.fixture(autouse=True)
def nothing_left(cloud, tiny_image):
    """After each test there is what there was, from instances to secrets, and no stage more."""
    before, stages_before = everything(cloud), stages(cloud)
    yield
    assert everything(cloud) == before
    # A bake also removes what one that was killed left here, be it of long ago.
    assert stages(cloud) <= stages_before


def everything(cloud):
    """All that a bake could leave."""
    ec2 = cloud.ec2()
    return {
        "instances": cloud.live_instances(),
        "groups": cloud.groups(),
        "keys": ec2.describe_key_pairs()["KeyPairs"],
        "images": sorted(each["ImageId"] for each in ec2.describe_images(Owners=["self"])["Images"]),
        "snapshots": sorted(
            each["SnapshotId"] for each in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        ),
        "secrets": cloud.secrets(),
    }


def stages(cloud):
    """The folders in which bakes stage what they hand to Packer."""
    return {path.name for path in cloud.cache.glob("stage-*")}


def log(cloud):
    """What Packer has said so far in this bake."""
    path = cloud.home / "state/dask-bake/bake.log"
    return path.read_text() if path.exists() else ""


def test_a_failing_script_is_named_with_its_last_lines_and_the_log(cloud, tiny, variant):
    environment = variant("15-mine.sh", "echo the reason; exit 3")
    done = cloud.attempt("bake", "--env", str(tiny), timeout=120, **environment)
    assert done.returncode == 1
    assert "Error: 15-mine.sh failed: Script exited with non-zero exit status: 3" in done.stderr
    assert "\n  the reason\n" in done.stderr
    assert f"{cloud.home}/state/dask-bake/bake.log" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_that_hangs_is_ended(cloud, tiny, variant):
    environment = variant("15-mine.sh", "sleep 1000")
    began = time.monotonic()
    done = cloud.attempt("bake", "--env", str(tiny), "--timeout", "10", timeout=120, **environment)
    assert done.returncode == 1
    assert "Error: 15-mine.sh failed: it did not end in time" in done.stderr
    assert "Hint: --timeout gives the scripts longer" in done.stderr
    assert time.monotonic() - began < 90


def test_an_image_that_does_not_compute_is_removed(cloud, tiny, variant):
    """The workers start, and end at once: the image is built, and does not prove itself."""
    environment = variant("85-mine.sh", "printf '#!/bin/sh\\nexit 1\\n' >/usr/libexec/dask-bake/worker")
    done = cloud.attempt("bake", "--env", str(tiny), "--timeout", "40", timeout=180, **environment)
    assert done.returncode == 1
    assert "all workers to register" in done.stderr
    assert "was removed" in done.stderr


def test_an_image_with_a_secret_in_it_is_never_made(cloud, tiny, variant):
    """The image's own check finds what a script of somebody's left, and names it."""
    environment = variant("15-mine.sh", "install -D -m 0600 /etc/hostname /root/.aws/credentials")
    done = cloud.attempt("bake", "--env", str(tiny), timeout=120, **environment)
    assert done.returncode == 1
    assert "90-clean.sh failed" in done.stderr
    assert "/root/.aws/credentials" in done.stderr


def test_a_base_image_that_does_not_exist(cloud, tiny):
    done = cloud.attempt("bake", "--env", str(tiny), "--base", "ami-0123456789abcdef0")
    assert done.returncode == 1
    assert "Error: the image ami-0123456789abcdef0 does not exist in this region" in done.stderr


def test_an_architecture_that_this_machine_has_not(cloud, tiny):
    """The lock for it is made, from wheels for it; the instance would be another machine."""
    done = cloud.attempt("bake", "--env", str(tiny), "--arch", "arm64")
    locked = tiny.with_name("arm64.pip.lock").read_text()
    assert "# platform: aarch64" in locked
    assert done.returncode == 2
    assert "Error: --arch arm64: the local cloud's machines are x86_64" in done.stderr
    assert "Hint: " in done.stderr


@pytest.mark.parametrize(("moment", "number"), PHASES, ids=[moment for moment, _ in PHASES])
def test_an_interrupted_bake_leaves_nothing(cloud, tiny, moment, number):
    """Ctrl-C, kill, or a terminal that goes, in each of its phases: exit code 130 once all of it is gone."""
    (cloud.home / "state/dask-bake/bake.log").unlink(missing_ok=True)
    process = cloud.start("bake", "--env", str(tiny), "--force")

    def has_come():
        assert process.poll() is None, process.communicate()
        match moment:
            case "start instance":
                return bool(cloud.live_instances())
            case "proof":
                return any(name.endswith("-proof") for name in cloud.groups())
        return moment in log(cloud)

    until(has_come, timeout=120)
    process.send_signal(number)
    told, said = process.communicate(timeout=120)
    assert process.returncode == 130, told + said
    assert "Traceback" not in told + said


def test_two_bakes_of_one_image_are_one(cloud, tiny, variant):
    """One builds, the other says that it waits, and has the same image."""
    environment = variant("15-mine.sh", "sleep 5")
    command = [sys.executable, "-m", "dask_bake", "bake", "--env", str(tiny), "--json"]
    both = [
        subprocess.Popen(
            command,
            env={**cloud.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=300) for process in both]
    results = [json.loads(told) for told, _ in ended]
    assert sorted(result["built"] for result in results) == [False, True]
    assert results[0]["image"] == results[1]["image"]
    assert "Another bake of this image is going on" in "".join(said for _, said in ended)
    cloud.ec2().deregister_image(ImageId=results[0]["image"], DeleteAssociatedSnapshots=True)


def test_what_a_killed_bake_leaves_is_listed_and_taken_down(cloud, tiny):
    """`kill -9` of the command and of Packer: `ls` shows it under the image's name, `down` ends it."""
    process = cloud.start("bake", "--env", str(tiny), "--force")
    until(cloud.live_instances, timeout=60)
    subprocess.run(["pkill", "-9", "--session", str(process.pid)], check=True)
    process.communicate(timeout=30)
    listed = [cluster["name"] for cluster in cloud.json("ls")]
    assert len(listed) == 1
    assert listed[0].startswith("image-")
    cloud.run("down", listed[0])
    for path in cloud.cache.glob("stage-*"):
        shutil.rmtree(path)


def test_a_killed_bake_can_be_done_again(cloud, tiny):
    """Once its remains are down, the next one finds its name free."""
    assert not cloud.json("bake", "--env", str(tiny))["built"]
