"""Failures of a bake: an error, a hint, and nothing left."""

import json
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from base_release import PYTHON
from dask_bake.local.admin_client import ask
from local_cloud import SETTINGS, LocalCloud, RunningCommand
from polling import until

pytestmark = pytest.mark.slow

LOCK = f"py{PYTHON.replace('.', '')}.pip.lock"
CHECKOUT = Path(__file__).parents[2]
FAILING = {
    "fails": ("15-mine.sh", "echo the reason; exit 3", ()),
    "hangs": ("15-mine.sh", "sleep 1000", ("--timeout", "60")),
    "keeps a secret": ("15-mine.sh", "install -D -m 0600 /etc/hostname /root/.aws/credentials", ()),
    "cannot count": (
        "85-mine.sh",
        # Loaded by the worker processes: sums of ranges are wrong; Dask itself sums no ranges.
        "echo 'import builtins; builtins.sum = lambda *some, real=sum, **more: "
        "7 if isinstance(some[0], range) else real(*some, **more)' "
        ">>/usr/libexec/dask-bake/dask_bake_drain.py",
        (),
    ),
}
"""Scripts that each make the bake fail, and options."""
MOMENTS = (
    (("Instance ID: ", signal.SIGINT), ("PHASE: install wheels", signal.SIGINT), ("proof", signal.SIGINT)),
    (("Waiting for SSH", signal.SIGTERM), ("Uploading", signal.SIGTERM), ("Creating AMI", signal.SIGHUP)),
)
"""Moments of an interrupt, by Packer's output, and its signal; all bakes run concurrently."""


@pytest.fixture(scope="module")
def tiny_image(cloud, tiny):
    """The image of the small environment."""
    return cloud.json("bake", "--env", str(tiny), timeout=300)


@dataclass(frozen=True)
class Bake:
    """A running bake of a user with one more script in dask-bake's packer folder."""

    user: LocalCloud
    process: RunningCommand

    @property
    def log(self) -> str:
        """Packer's output so far."""
        path = self.user.home / "state/dask-bake/bake.log"
        return path.read_text() if path.exists() else ""

    def ended(self) -> str:
        """Wait for the end and return the error output."""
        stdout, stderr = self.process.communicate(timeout=600)
        assert "Traceback" not in stdout + stderr
        assert self.user.secrets() == []
        return stderr


def begun(folder, tiny, *, script="15-mine.sh", text, words=()):
    """Start a bake in a new project, with a cache of packages only."""
    root = folder / "variant"
    (root / "launcher").mkdir(parents=True)
    for part in ("launcher/dask_bake", "userdata"):
        (root / part).symlink_to(CHECKOUT / part)
    shutil.copytree(CHECKOUT / "packer", root / "packer")
    path = root / "packer/scripts" / script
    path.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{text}\n")
    path.chmod(0o755)
    user = LocalCloud(home=folder)
    return Bake(user, user.start("bake", "--env", str(tiny), *words, PYTHONPATH=str(root / "launcher")))


@pytest.fixture(scope="module")
def failed(cloud, tiny, tiny_image, tmp_path_factory):
    """Bakes that failed, run concurrently, and the error output of each; nothing of them is left."""
    before = everything(cloud)
    bakes = {
        name: begun(tmp_path_factory.mktemp("failing"), tiny, script=script, text=text, words=words)
        for name, (script, text, words) in FAILING.items()
    }
    ended = {name: (bake, bake.ended()) for name, bake in bakes.items()}
    assert everything(cloud) == before
    return ended


@pytest.fixture(autouse=True)
def check_bake_leftovers(cloud, tiny_image):
    """Fail if a test leaves resources, keys or staged folders."""
    before, stages_before = everything(cloud), stages(cloud)
    yield
    assert everything(cloud) == before
    # A bake also removes what killed bakes left here, however old.
    assert stages(cloud) <= stages_before


def everything(cloud):
    """Return everything that a bake could leave."""
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
    """Return the folders that bakes stage for Packer."""
    return {path.name for path in cloud.cache.glob("stage-*")}


def test_a_failing_script_is_named_with_its_last_lines_and_the_log(failed):
    bake, stderr = failed["fails"]
    assert bake.process.returncode == 1
    assert "Error: 15-mine.sh failed: Script exited with non-zero exit status: 3" in stderr
    assert "\n  the reason\n" in stderr
    assert f"{bake.user.home}/state/dask-bake/bake.log" in stderr


def test_a_script_that_hangs_is_stopped(failed):
    bake, stderr = failed["hangs"]
    assert bake.process.returncode == 1
    assert "Error: 15-mine.sh failed: it did not end in time" in stderr
    assert "Hint: --timeout gives the scripts longer" in stderr


def test_an_image_that_fails_verification_is_removed(failed):
    """Its workers join, but compute wrong sums: the image is built, but not verified."""
    bake, stderr = failed["cannot count"]
    assert bake.process.returncode == 1
    assert "does not compute: the result was [7, 1]" in " ".join(stderr.split())
    assert "was removed" in stderr


def test_an_image_with_a_secret_in_it_is_never_made(failed):
    """The image's check finds what a user's script left, and names it."""
    bake, stderr = failed["keeps a secret"]
    assert bake.process.returncode == 1
    assert "90-clean.sh failed" in stderr
    assert "/root/.aws/credentials" in stderr


def test_a_base_image_that_does_not_exist_is_an_error(cloud, tiny):
    done = cloud.attempt("bake", "--env", str(tiny), "--base", "ami-0123456789abcdef0")
    assert done.returncode == 1
    assert "Error: the image ami-0123456789abcdef0 does not exist in this region" in done.stderr


def test_where_a_zone_lacks_capacity_the_bake_goes_on_in_the_next(cloud, tiny):
    """Packer's own message has the code, and the zones that EC2 recommends."""
    ask("DELETE", "requests", settings=SETTINGS)
    cloud.fault("capacity", "--times", "0", "--where", "AvailabilityZone=us-east-1a")
    try:
        done = cloud.attempt("bake", "--env", str(tiny), "--force", "--no-verify", "--json", timeout=600)
    finally:
        cloud.clear_faults()
    assert done.returncode == 0, done.stderr
    cloud.run("images", "remove", json.loads(done.stdout)["image"], "--yes")

    zones = {each["SubnetId"]: each["AvailabilityZone"] for each in cloud.ec2().describe_subnets()["Subnets"]}
    tried = [
        (
            zones[next(value for key, value in each["parameters"].items() if key.endswith("SubnetId"))],
            each["code"],
        )
        for each in ask("GET", "requests", settings=SETTINGS)
        if each["action"] == "RunInstances"
    ]
    assert list(dict.fromkeys(tried)) == [
        ("us-east-1a", "InsufficientInstanceCapacity"),
        ("us-east-1b", None),
    ]
    assert "us-east-1a lacks capacity for m5.large: trying us-east-1b." in " ".join(done.stderr.split())


def test_another_architecture_is_an_error_in_the_local_cloud(cloud, tiny):
    """The lock is made from wheels of that architecture; the instance cannot be run."""
    done = cloud.attempt("bake", "--env", str(tiny), "--arch", "arm64")
    locked = tiny.with_name(f"arm64.{LOCK}").read_text()
    assert "# platform: aarch64" in locked
    assert done.returncode == 2
    assert "Error: --arch arm64: the local cloud's machines are x86_64" in done.stderr
    assert "Hint: " in done.stderr


@pytest.mark.parametrize("moments", MOMENTS, ids=["from the instance on", "from SSH on"])
def test_interrupted_bakes_leave_nothing(cloud, tiny, moments, tmp_path):
    """Ctrl-C, SIGTERM, or a closed terminal, in each phase: exit code 130 after everything is removed."""
    bakes = {
        moment: begun(tmp_path / str(number), tiny, text=f": {moment}")
        for number, (moment, _) in enumerate(moments)
    }
    waiting = dict(moments)

    def all_are_interrupted():
        for moment in [*waiting]:
            bake = bakes[moment]
            assert bake.process.poll() is None, bake.process.communicate()
            proves = moment == "proof" and any(name.endswith("-proof") for name in cloud.groups())
            if proves or moment in bake.log:
                bake.process.send_signal(waiting.pop(moment))
        return not waiting

    until(all_are_interrupted, timeout=600)
    for moment, bake in bakes.items():
        stderr = bake.ended()
        assert bake.process.returncode == 130, (moment, stderr)


def test_two_concurrent_bakes_build_one_image(cloud, tiny, tmp_path):
    """One builds; the other reports that it waits, and returns the same image."""
    both = [begun(tmp_path / which, tiny, text=": two", words=("--json",)) for which in "ab"]
    ended = [bake.process.communicate(timeout=600) for bake in both]
    results = [json.loads(stdout) for stdout, _ in ended]
    assert sorted(result["built"] for result in results) == [False, True]
    assert results[0]["image"] == results[1]["image"]
    assert "Another bake of this image is running" in "".join(stderr for _, stderr in ended)
    cloud.ec2().deregister_image(ImageId=results[0]["image"], DeleteAssociatedSnapshots=True)


def test_leftovers_of_a_killed_bake_are_listed_and_taken_down(cloud, tiny):
    """`kill -9` of the command and of Packer: `ls` lists it under the image's name, `down` ends it."""
    process = cloud.start("bake", "--env", str(tiny), "--force")
    until(cloud.live_instances, timeout=60)
    subprocess.run(["pkill", "-9", "--session", str(process.pid)], check=True)
    process.communicate(timeout=30)
    left = ["pgrep", "--session", str(process.pid)]
    until(lambda: subprocess.run(left, capture_output=True, check=False).returncode == 1, timeout=30)
    listed = [cluster["name"] for cluster in cloud.json("ls")]
    assert len(listed) == 1
    assert listed[0].startswith("image-")
    cloud.run("down", listed[0])
    for path in cloud.cache.glob("stage-*"):
        shutil.rmtree(path)


def test_a_killed_bake_can_be_repeated(cloud, tiny):
    """After `down` its name is free."""
    assert not cloud.json("bake", "--env", str(tiny))["built"]
