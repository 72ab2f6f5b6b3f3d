"""What no launch can be is refused in a sentence that names the option, the value and the way out."""

from pathlib import Path

import pytest

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Connect
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.launch_table import OPTIONS, Option
from dask_bake.options.settings_table import IMAGE, WHERE
from dask_bake.ssh.keystore import new_key

BASTION = {"connect": Connect.BASTION, "bastion": "me@gate", "cidr": ("10.0.0.5/32",)}
TOO_MANY = tuple((f"k{n}", "v") for n in range(39))

REFUSALS = [
    # Numbers
    ({"count": 1}, "--count counts the head: at least 2, not 1", "--count 2 is a head and one worker"),
    (
        {"nprocs": 0},
        "--nprocs is the worker processes of a node: at least 1, not 0",
        "--nprocs 8 gives each worker node 8 processes",
    ),
    (
        {"nthreads": -1},
        "--nthreads is the threads of a worker process: at least 1, not -1",
        "leave it out for vCPUs / nprocs",
    ),
    ({"timeout": 0}, "--timeout is in seconds: at least 1, not 0", "the default is 300"),
    (
        {"min_workers": 0},
        "--min-workers is worker processes: at least 1, not 0",
        "leave it out to have all or none",
    ),
    (
        {"volume_size": 0},
        "--volume-size is in GiB: at least 1, not 0",
        "leave it out for the image's own size",
    ),
    (
        {"volume_size": 65537},
        "--volume-size is in GiB: at most 65536 for gp3, not 65537",
        "EBS has no larger volumes",
    ),
    (
        {"volume_type": "gp2", "volume_size": 16385},
        "--volume-size is in GiB: at most 16384 for gp2, not 16385",
        "--volume-type gp3 can be larger",
    ),
    (
        {"volume_type": "standard", "volume_size": 1025},
        "--volume-size is in GiB: at most 1024 for standard, not 1025",
        "--volume-type gp3 can be larger",
    ),
    (
        {"volume_initialization_rate": 99},
        "--volume-initialization-rate is in MiB/s: 100 to 300, not 99",
        "leave it out: then EBS loads what is read, and charges nothing for that",
    ),
    # Names
    (
        {"name": "My cluster"},
        "'My cluster' cannot be a cluster's name",
        "use lower-case letters, digits and '-', beginning with a letter, at most 32 of them",
    ),
    (
        {"username": "Me"},
        "--username is 'Me', which cannot be a user's name",
        "use lower-case letters, digits, '-' and '_', at most 32 of them",
    ),
    (
        {"username": "root"},
        "--username is root, and root may not log in",
        "take a user who may use sudo",
    ),
    (
        {"username": "dask"},
        "--username is dask, which is whom the workers run as",
        "take another name",
    ),
    (
        {"iaminstance_name": "arn:aws:iam::1:instance-profile/s3"},
        "--iaminstance-name is 'arn:aws:iam::1:instance-profile/s3', which cannot be a profile's name",
        "the name alone, without what stands before it in an ARN",
    ),
    (
        {"type": ("m6i.large", "huge")},
        "--type is 'huge', which is no instance type",
        "such as m6i.2xlarge; several with commas between them",
    ),
    (
        {"head_type": ("M6I.large",)},
        "--head-type is 'M6I.large', which is no instance type",
        "such as m6i.2xlarge; several with commas between them",
    ),
    (
        {"ami": "ami-1\n"},
        "--ami is 'ami-1\\n', which holds a control character",
        "write it on one line",
    ),
    (
        {"zone": ("us-east-1a", "\x1b[31m")},
        "--zone is '\\x1b[31m', which holds a control character",
        "write it on one line",
    ),
    (
        {"keyname": "caf\udce9"},
        "--keyname is 'caf\\udce9', which holds a control character",
        "write it on one line",
    ),
    # Dask
    (
        {"memory_limit": "lots"},
        "--memory-limit is 'lots', which is no amount of memory",
        "4GiB, 0.2 (of the node's), auto, or 0 for no limit",
    ),
    (
        {"worker_options": "--nthreads 4"},
        "--worker-options holds --nthreads",
        "--nthreads does that",
    ),
    (
        {"worker_options": "--name=one"},
        "--worker-options holds --name",
        "each worker is called by its address, for two of one name cannot join",
    ),
    (
        {"worker_options": "--resources 'GPU=2"},
        "--worker-options cannot be split into words: No closing quotation",
        "close the quotation",
    ),
    (
        {"worker_options": "--lifetime"},
        "--worker-options would be refused by dask worker: Option '--lifetime' requires an argument.",
        "dask worker --help tells what there is",
    ),
    (
        {"worker_options": "--help"},
        "--worker-options holds --help, after which dask worker ends",
        "leave it out",
    ),
    (
        {"worker_options": "lifetime 5m"},
        "--worker-options holds 'lifetime', which belongs to no option",
        "--worker-options '--name value …'",
    ),
    (
        {"worker_options": "--no-nanny", "nprocs": 2},
        "--worker-options holds --no-nanny, which dask worker takes for one process alone",
        "--nprocs 1, or leave it out",
    ),
    (
        {"scheduler_options": "--port 1"},
        "--scheduler-options holds --port",
        "dask-bake sees to that itself",
    ),
    (
        {"scheduler_options": "--idle-timeout 5m stray"},
        "--scheduler-options holds 'stray', which belongs to no option",
        "--scheduler-options '--name value …'",
    ),
    (
        {"env": (("A-B", "1"),)},
        "--env 'A-B': that cannot be the name of a variable",
        "use letters, digits and '_'",
    ),
    (
        {"env": (("A", "1\n2"),)},
        "--env A: its value holds a control character",
        "write it on one line",
    ),
    (
        {"preload": ("my module",)},
        "--preload is 'my module', which is no module",
        "package.module, or a file that ends in .py",
    ),
    (
        {"preload": ("/no/such.py",)},
        "--preload /no/such.py cannot be read: No such file or directory",
        "it is a file of this machine",
    ),
    (
        {"provision": False, "env": (("A", "1"),)},
        "--no-provision gives the nodes no user-data, and --env is told to them by it",
        "leave one of the two out",
    ),
    (
        {"dask": False, "nthreads": 2},
        "--no-dask starts no Dask, and --nthreads is for Dask",
        "leave one of the two out",
    ),
    (
        {"dask": False, "nprocs": 2},
        "--no-dask starts no Dask, and --nprocs is for Dask",
        "leave one of the two out",
    ),
    (
        {"provision": False, "nprocs": 2},
        "--no-provision starts no Dask, and --nprocs is for Dask",
        "leave one of the two out",
    ),
    (
        {"provision": False, "min_workers": 1},
        "--no-provision starts no Dask, and --min-workers is for Dask",
        "leave one of the two out",
    ),
    # Disks, tags
    ({"volume_type": "fast"}, "--volume-type is 'fast'", "it can be gp2, gp3, standard"),
    (
        {"volume_type": "io2"},
        "--volume-type io2 cannot be a node's root volume as it is",
        "it can be gp2, gp3, standard",
    ),
    (
        {"tag": (("AWS:x", "1"),)},
        "--tag AWS:x: tags of that beginning are not yours to set",
        "take another key",
    ),
    (
        {"tags": (("dask-bake:managed", "no"),)},
        "--tags dask-bake:managed: tags of that beginning are not yours to set",
        "take another key",
    ),
    (
        {"tag": (("k" * 129, ""),)},
        f"--tag {'k' * 40}: EC2 takes keys of 128 characters and values of 256",
        "shorten it",
    ),
    (
        {"tag": (("who", "me & you"),)},
        "--tag 'who': EC2 takes no '&' in a tag",
        "letters, digits, spaces and + - = . _ : / @ are fine",
    ),
    (
        {"tag": (("who", "me\n"),)},
        "--tag 'who': EC2 takes no '\\n' in a tag",
        "letters, digits, spaces and + - = . _ : / @ are fine",
    ),
    (
        {"tag": (("a", "1"),), "tags": (("a", "2"),)},
        "--tag and --tags both give a, and differ",
        "give it once",
    ),
    (
        {"tag": TOO_MANY},
        "--tag gives 39 tags: at most 38 fit beside dask-bake's own",
        "EC2 takes 50 on an instance",
    ),
    # Capacity
    (
        {"spot": True, "spot_with_fallback": True},
        "--spot and --spot-with-fallback differ in what happens without spot capacity",
        "--spot then fails, --spot-with-fallback takes on-demand instances: give one",
    ),
    (
        {"count": 3, "nprocs": 2, "min_workers": 5},
        "--min-workers is 5, and --count 3 with --nprocs 2 makes 4",
        "--count 4 makes enough",
    ),
    # The network
    (
        {"private": True},
        "--private leaves the head without a public address, and nothing says how you get there",
        "--connect bastion, ssm or eice; or direct, if this machine is in the VPC or its VPN",
    ),
    (
        {"connect": Connect.BASTION},
        "--connect bastion needs the bastion",
        "--bastion HOST, as your ssh knows it",
    ),
    (
        {"bastion": "gate"},
        "--bastion is for --connect bastion",
        "add that, or leave --bastion out",
    ),
    (
        {**BASTION, "bastion": "-oProxyCommand=x"},
        "--bastion is '-oProxyCommand=x', which is no host",
        "user@host, or a name of your ssh configuration",
    ),
    (
        {**BASTION, "bastion": "[2001:db8::1]:22"},  # a tag's value, and EC2 takes no brackets there
        "--bastion is '[2001:db8::1]:22', which is no host",
        "user@host, or a name of your ssh configuration",
    ),
    (
        {**BASTION, "cidr": ()},
        "--connect bastion needs --cidr: the address, or the security group, that the bastion comes from",
        "--cidr 10.0.0.5/32, or --cidr sg-0123456789abcdef0",
    ),
    (
        {"connect": Connect.SSM},
        "--connect ssm needs --iaminstance-name: a node's agent registers with an instance profile",
        "one with AmazonSSMManagedInstanceCore; --connect eice needs none",
    ),
    (
        {"connect": Connect.EICE, "cidr": ("192.0.2.7/32",)},
        "--cidr opens a port, and --connect eice needs none",
        "leave --cidr out",
    ),
    (
        {"cidr": ("0.0.0.0/0",), "allow_wide_cidr": True},
        "--cidr 0.0.0.0/0 is the whole world",
        "leave --cidr out: then it is your own address",
    ),
    (
        {"cidr": ("10.0.0.0/7",), "allow_wide_cidr": True},
        "--cidr 10.0.0.0/7 is 33,554,432 addresses",
        "nothing is opened to more than a /8, or a /16 of IPv6",
    ),
    (
        {"cidr": ("10.0.0.0/8", "192.0.2.7/32", "11.0.0.0/8"), "allow_wide_cidr": True},
        "--cidr opens 10.0.0.0/7 altogether, which is 33,554,432 addresses",
        "nothing is opened to more than a /8, or a /16 of IPv6",
    ),
    (
        {"cidr": ("2001::/16", "2000::/16"), "allow_wide_cidr": True},
        f"--cidr opens 2000::/15 altogether, which is {2**113:,} addresses",
        "nothing is opened to more than a /8, or a /16 of IPv6",
    ),
    (
        {"cidr": ("192.0.2.0/23",)},
        "--cidr 192.0.2.0/23 is 512 addresses",
        "--allow-wide-cidr insists; without --cidr it is your own address alone",
    ),
    (
        {"cidr": tuple(f"192.0.2.{n}/32" for n in range(61))},
        "--cidr gives 61 blocks, and a security group takes 60 rules",
        "give fewer, or wider ones",
    ),
    (
        {"security_group": "mine", "security_group_id": "sg-01234567"},
        "--security-group and --security-group-id are two groups",
        "give one of them",
    ),
    # Access, files
    (
        {"keypair": Path("/no/such/key")},
        "--keypair /no/such/key cannot be read: No such file or directory",
        "it is the private key's file",
    ),
    (
        {"keypair": Path(__file__)},
        f"--keypair {__file__} holds no private key",
        "it is the file without .pub",
    ),
    (
        {"provision": False, "keyname": "mine"},
        "--no-provision and --keyname mine: no other key enters, and that one is not here",
        "--keypair FILE is its private half; without --keyname the cluster gets a key of its own",
    ),
    (
        {"provision": False, "username": "me"},
        "--no-provision and --username: nothing would tell the nodes of that user",
        "leave --username out, or name with --keyname a key pair that the image gives to them",
    ),
    (
        {"file": Path("/no/such/cluster.yaml")},
        "--file /no/such/cluster.yaml: there is no folder /no/such",
        "mkdir -p /no/such",
    ),
    (
        {"file": Path("x" * 300)},
        f"--file {'x' * 100}… cannot be written: File name too long",
        "--file cluster.yaml",
    ),
    ({"file": Path("/")}, "--file / is a folder", "--file /cluster.yaml"),
    (
        {"user_data": Path("/no/such.yaml")},
        "--user-data /no/such.yaml cannot be read: No such file or directory",
        "it is a file of this machine",
    ),
]


@pytest.mark.parametrize(("wrong", "sentence", "way_out"), REFUSALS)
def test_what_cannot_be_is_refused_in_a_sentence_with_a_way_out(wrong, sentence, way_out):
    with pytest.raises(UsageError) as caught:
        LaunchOptions(**wrong)

    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == (sentence, way_out, 2)


def test_an_unknown_option_of_dask_is_refused_before_a_node_meets_it():
    with pytest.raises(UsageError, match=r"refused by dask worker: No such option:? .?--lifetimes") as caught:
        LaunchOptions(worker_options="--lifetimes 5m")

    assert caught.value.hint == "dask worker --help tells what there is"


def test_two_files_of_one_name_cannot_both_be_loaded(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "setup.py").write_text("x = 1\n")
    files = tuple(str(tmp_path / folder / "setup.py") for folder in ("a", "b"))

    with pytest.raises(UsageError, match="have one name, by which the nodes keep them"):
        LaunchOptions(preload=files)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "extra.yaml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(UsageError, match=r"extra\.yaml is no text"):
        LaunchOptions(user_data=path)


@pytest.mark.parametrize(
    "fine",
    [{"memory_limit": amount} for amount in ("4GiB", "4 GiB", "0.2", "auto", "0", "1e9", "512m")]
    + [
        {"worker_options": "--lifetime 5m --resources 'GPU=2 MEM=1' --no-nanny", "nprocs": 1},
        {"scheduler_options": "--idle-timeout=1h --dashboard-prefix x"},
        {"preload": ("package.module", "dask_cuda.initialize")},
        {"tag": (("Größe", "5 km/h"),)},
        {"tag": TOO_MANY[:38]},
        {"cidr": ("192.0.2.0/24", "2001:db8::/56", "sg-0123456789abcdef0")},
        {"cidr": ("10.0.0.0/8", "2001::/16"), "allow_wide_cidr": True},
        BASTION,
        {"private": True, "connect": Connect.DIRECT},
        {"connect": Connect.SSM, "iaminstance_name": "ssm+core"},
        {"type": ("u-6tb1.metal", "m6i.large"), "head_type": ("im4gn.large",)},
    ],
    ids=str,
)
def test_what_is_unusual_and_can_be_is_taken(fine):
    assert LaunchOptions(**fine)


ODD = (
    *(
        "",
        " ",
        "\n",
        "a\nb",
        "\x1b[31m",
        "caf\udce9",
        "é",
        "💥",
        "[bold]x[/bold]",
        "$(id)",
        "--help",
        "-",
        "'",
        '"',
    ),
    *(
        "-1",
        "0",
        "9" * 5000,
        "1e9",
        "nan",
        "0x10",
        "auto",
        "None",
        "true",
        ",",
        "a,,b",
        "a=b",
        "a:b",
        "=",
        "*",
    ),
    *("x" * 5000, "/", "/etc/passwd", "/no/such", "0.0.0.0/0", "::/0", "10.0.0.0/8", "sg-0123456789abcdef0"),
)


ODD_VALUES = (*(value for each in ODD for value in (each, (each,), {"a": each})), [], None, 7, True)


def refusal(option: Option, value: object) -> UsageError | None:
    """What is said to that value; nothing where it is taken."""
    try:
        parsed = option.parse(value, option.flag)
        if option in OPTIONS:
            LaunchOptions(**{option.name: parsed})
    except UsageError as error:
        return error
    return None


@pytest.mark.parametrize("option", [*OPTIONS, *WHERE, *IMAGE], ids=lambda option: option.key)
def test_whatever_is_written_is_taken_or_refused_in_a_sentence_that_names_the_option(option):
    said = [error for value in ODD_VALUES if (error := refusal(option, value)) is not None]

    named = option.flag if option.name != "name" else "name"
    assert [error.message for error in said if named not in error.message] == []
    assert [error.message for error in said if not error.hint] == []
    assert [error.message for error in said if len(error.message) > 300] == []


def test_without_user_data_a_key_pair_of_ec2_s_enters_with_its_private_half(tmp_path):
    path = tmp_path / "mine.pem"
    path.write_text(new_key("me").private)

    assert LaunchOptions(provision=False, username="me", keyname="mine", keypair=path)
