"""Commands that look into a cluster which is gone, half there, or somebody else's: one sentence each."""

import pytest

from dask_bake.cli.main import run
from dask_bake.models.cloud import Role
from dask_bake.models.tags import Tag

FLAGS = ("--cloud", "aws", "--region", "us-east-1")
COMMANDS = [
    ("status", "{name}"),
    ("ssh", "{name}"),
    ("run", "{name}", "--all", "--", "true"),
    ("cp", "{name}:data", "."),
    ("cp", "--all", "file", "{name}:"),
    ("logs", "{name}"),
    ("logs", "{name}", "--follow"),
    ("logs", "{name}", "--save", "bundle.tar.gz"),
    ("ssh-config", "{name}"),
    ("connect", "{name}"),
    ("ui", "{name}"),
    ("address", "{name}"),
    ("extend", "{name}"),
    ("scale", "{name}", "--count", "3", "--yes"),
]
LAUNCH = "0a1b2c3d4e5f"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An own state, and a folder with a file to copy."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("content\n")
    return tmp_path


def tagged(kind, **tags):
    pairs = {Tag.MANAGED: "true", Tag.CLUSTER: "taxi", Tag.LAUNCH: LAUNCH} | tags
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in pairs.items()]}]


def group(aws, **tags):
    """Make the security group of a cluster."""
    vpc = aws.describe_vpcs()["Vpcs"][0]["VpcId"]
    aws.create_security_group(
        GroupName="dask-bake-taxi",
        Description="of a launch",
        VpcId=vpc,
        TagSpecifications=tagged("security-group", **tags),
    )


def node(aws, role, index, **tags):
    """Start an instance with the tags of a node."""
    image = aws.register_image(Name=f"of-{role}-{index}", RootDeviceName="/dev/xvda")["ImageId"]
    own = {Tag.ROLE: role, Tag.FIRST_INDEX: str(index), Tag.COUNT: "3", Tag.NPROCS: "2"} | tags
    (made,) = aws.run_instances(
        ImageId=image,
        InstanceType="m6i.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=tagged("instance", **own),
    )["Instances"]
    return made["InstanceId"]


def nothing(aws):
    """Leave the account empty."""


def a_group_alone(aws):
    """Make a group, as a launch that was killed leaves it."""
    group(aws)


def no_head(aws):
    """Run a worker whose head is gone."""
    group(aws)
    aws.terminate_instances(InstanceIds=[node(aws, Role.HEAD, 0)])
    node(aws, Role.WORKER, 1)


def all_ended(aws):
    """Run a cluster, and end its nodes."""
    group(aws)
    aws.terminate_instances(InstanceIds=[node(aws, Role.HEAD, 0), node(aws, Role.WORKER, 1)])


def another_s(aws):
    """Run a cluster whose key is not on this machine."""
    group(aws, **{Tag.OWNER: "bob@elsewhere"})
    node(aws, Role.HEAD, 0, **{Tag.OWNER: "bob@elsewhere"})
    node(aws, Role.WORKER, 1, **{Tag.OWNER: "bob@elsewhere"})


def foreign(aws):
    """Run an instance with tags that no launch gives."""
    node(aws, Role.HEAD, 0, **{Tag.LAUNCH: "../../etc"})


def odd_tags(aws):
    """Run a node with tags of a later version, or that somebody has changed."""
    group(aws)
    node(
        aws, "archangel", 0, **{Tag.CONNECT: "pigeon", Tag.COUNT: "-1", Tag.ENDS: "x", Tag.IDLE_TIMEOUT: "y"}
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "state",
    [nothing, a_group_alone, no_head, all_ended, another_s, foreign, odd_tags],
    ids=lambda f: f.__name__,
)
def test_a_cluster_that_cannot_be_used_is_one_sentence(aws, here, state, words, capsys):
    """With its name, an exit code, and no traceback; nothing is written here."""
    state(aws)
    given = [word.format(name="taxi") for word in words]
    cut = given.index("--") if "--" in given else len(given)

    code = run([*given[:cut], *FLAGS, *given[cut:]])

    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "defect" not in out + err
    if words[0] in ("status", "address", "logs") and code == 0:  # EC2 alone can answer those
        return
    assert code in (1, 2), err
    assert "taxi" in out + err
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == (0 if words[0] == "status" and out else 1), err
    assert {path.name for path in here.iterdir()} <= {"file", "state"}
