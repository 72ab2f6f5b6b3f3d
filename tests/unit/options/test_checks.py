"""A launch that cannot work is refused with the option, the value and a hint."""

from pathlib import Path

import pytest

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Connect, CredentialSource
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.launch_table import OPTIONS, Option
from dask_bake.options.parse import checked
from dask_bake.options.settings_table import CLOUD, IMAGE
from dask_bake.ssh.keypair import new_key

BASTION = {"connect": Connect.BASTION, "bastion": "me@gate", "cidr": ("10.0.0.5/32",)}
TOO_MANY = tuple((f"k{n}", "v") for n in range(31))

REFUSALS = [
    # Numbers
    (
        {"count": 1},
        "--count must be at least 2, not 1",
        "it includes the head node: --count 2 is a head and one worker node",
    ),
    (
        {"nprocs": 0},
        "--nprocs must be at least 1, not 0",
        "--nprocs 8 starts 8 worker processes on each worker node",
    ),
    ({"nthreads": -1}, "--nthreads must be at least 1, not -1", "leave it out for vCPUs / nprocs"),
    ({"timeout": 0}, "--timeout must be at least 1, not 0", "it is in seconds; the default is 300"),
    (
        {"min_workers": 0},
        "--min-workers must be at least 1, not 0",
        "it counts worker processes; leave it out to require all of them",
    ),
    (
        {"volume_size": 0},
        "--volume-size must be at least 1, not 0",
        "it is in GiB; leave it out for the image's own size",
    ),
    (
        {"volume_size": 65537},
        "--volume-size must be at most 65536 GiB for gp3, not 65537",
        "EBS has no larger volumes",
    ),
    (
        {"volume_type": "gp2", "volume_size": 16385},
        "--volume-size must be at most 16384 GiB for gp2, not 16385",
        "--volume-type gp3 can be larger",
    ),
    (
        {"volume_type": "standard", "volume_size": 1025},
        "--volume-size must be at most 1024 GiB for standard, not 1025",
        "--volume-type gp3 can be larger",
    ),
    (
        {"volume_initialization_rate": 99},
        "--volume-initialization-rate must be 100 to 300 MiB/s, not 99",
        "leave it out to load blocks on first access, at no charge",
    ),
    # Names
    *(
        (
            {"name": name},
            f"{name!r} is not a valid cluster name",
            "use lower-case letters, digits and '-', start with a letter, at most 32 characters",
        )
        for name in ("My cluster", "", "Dask", "a" * 33, "dask\n")
    ),
    (
        {"username": "Me"},
        "--username: 'Me' is not a valid user name",
        "use lower-case letters, digits, '-' and '_', at most 32 characters",
    ),
    ({"username": "root"}, "--username root: root cannot log in", "choose a user that can use sudo"),
    ({"username": "dask"}, "--username dask: the workers run as this user", "choose another name"),
    (
        {"iaminstance_name": "arn:aws:iam::1:instance-profile/s3"},
        "--iaminstance-name: 'arn:aws:iam::1:instance-profile/s3' is not a valid instance profile name",
        "give the name only, not the ARN",
    ),
    (
        {"credentials": CredentialSource.PROFILE},
        "--credentials profile requires --iaminstance-name: the profile whose role tasks use",
        "--credentials forward gives them your own credentials",
    ),
    (
        {"credentials": CredentialSource.FORWARD, "dask": False},
        "--no-dask starts no Dask, and --credentials requires it",
        "give one of the two",
    ),
    (
        {"credentials": CredentialSource.FORWARD, "provision": False},
        "--no-provision passes no user-data to the nodes, and --credentials requires it",
        "give one of the two",
    ),
    *(
        (
            {"env": (("A", "1"), (name, "x")), "iaminstance_name": "s3"},
            f"--env {name} and --credentials profile cannot be combined: tasks would use only one of them",
            "leave --env out; others can read the variables of a launch",
        )
        for name in ("AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    ),
    (
        {"type": ("m6i.large", "huge")},
        "--type: 'huge' is not an instance type",
        "for example m6i.2xlarge; separate several with commas",
    ),
    (
        {"type": ("g5",)},
        "--type: 'g5' is not an instance type",
        "for example g5.xlarge; separate several with commas",
    ),
    (
        {"head_type": ("M6I.large",)},
        "--head-type: 'M6I.large' is not an instance type",
        "for example m6i.2xlarge; separate several with commas",
    ),
    ({"ami": "ami-1\n"}, "--ami contains a control character: 'ami-1\\n'", "write it on one line"),
    (
        {"zone": ("us-east-1a", "\x1b[31m")},
        "--zone contains a control character: '\\x1b[31m'",
        "write it on one line",
    ),
    (
        {"keyname": "caf\udce9"},
        "--keyname contains a control character: 'caf\\udce9'",
        "write it on one line",
    ),
    # Dask
    (
        {"memory_limit": "lots"},
        "--memory-limit: 'lots' is not an amount of memory",
        "4GiB, 0.2 (of the node's memory), auto, or 0 for no limit",
    ),
    ({"worker_options": "--nthreads 4"}, "--worker-options cannot contain --nthreads", "use --nthreads"),
    (
        {"worker_options": "--name=one"},
        "--worker-options cannot contain --name",
        "each worker is named by its address, as names must be unique",
    ),
    (
        {"worker_options": "--resources 'GPU=2"},
        "--worker-options cannot be split into arguments: No closing quotation",
        "close the quotation",
    ),
    (
        {"worker_options": "--lifetime"},
        "--worker-options would be refused by dask worker: Option '--lifetime' requires an argument.",
        "dask worker --help lists its options",
    ),
    (
        {"worker_options": "--help"},
        "--worker-options cannot contain --help: dask worker would exit",
        "leave it out",
    ),
    (
        {"worker_options": "lifetime 5m"},
        "--worker-options has an unexpected argument: 'lifetime'",
        "--worker-options '--name value …'",
    ),
    (
        {"worker_options": "--no-nanny", "nprocs": 2},
        "--worker-options contains --no-nanny, which dask worker accepts for one process only",
        "use --nprocs 1, or leave it out",
    ),
    ({"scheduler_options": "--port 1"}, "--scheduler-options cannot contain --port", "dask-bake sets it"),
    (
        {"scheduler_options": "--idle-timeout 5m stray"},
        "--scheduler-options has an unexpected argument: 'stray'",
        "--scheduler-options '--name value …'",
    ),
    (
        {"env": (("A-B", "1"),)},
        "--env: 'A-B' is not a valid variable name",
        "use letters, digits and '_'",
    ),
    (
        {"env": (("A", "1\n2"),)},
        "--env A: the value contains a control character",
        "write it on one line",
    ),
    (
        {"preload": ("my module",)},
        "--preload: 'my module' is not a module name",
        "package.module, or a file that ends in .py",
    ),
    (
        {"preload": ("/no/such.py",)},
        "--preload /no/such.py cannot be read: No such file or directory",
        "give the path of a file on this machine",
    ),
    (
        {"provision": False, "env": (("A", "1"),)},
        "--no-provision passes no user-data to the nodes, and --env requires it",
        "give one of the two",
    ),
    (
        {"dask": False, "nthreads": 2},
        "--no-dask starts no Dask, and --nthreads requires it",
        "give one of the two",
    ),
    (
        {"dask": False, "nprocs": 2},
        "--no-dask starts no Dask, and --nprocs requires it",
        "give one of the two",
    ),
    (
        {"provision": False, "nprocs": 2},
        "--no-provision starts no Dask, and --nprocs requires it",
        "give one of the two",
    ),
    (
        {"provision": False, "min_workers": 1},
        "--no-provision starts no Dask, and --min-workers requires it",
        "give one of the two",
    ),
    # Volumes, tags
    (
        {"volume_type": "fast"},
        "--volume-type: 'fast' is not an EBS volume type",
        "choose one of gp2, gp3, standard",
    ),
    (
        {"volume_type": "io2"},
        "--volume-type io2 is not supported for root volumes",
        "choose one of gp2, gp3, standard",
    ),
    (
        {"tag": (("AWS:x", "1"),)},
        "--tag AWS:x: keys that start with aws: or dask-bake: are reserved",
        "choose another key",
    ),
    (
        {"tags": (("dask-bake:managed", "no"),)},
        "--tags dask-bake:managed: keys that start with aws: or dask-bake: are reserved",
        "choose another key",
    ),
    (
        {"tag": (("k" * 129, ""),)},
        f"--tag {'k' * 40}: EC2 allows 128 characters in a key and 256 in a value",
        "shorten it",
    ),
    (
        {"tag": (("who", "me & you"),)},
        "--tag 'who': EC2 does not allow '&' in tags",
        "use letters, digits, spaces and + - = . _ : / @",
    ),
    (
        {"tag": (("who", "me\n"),)},
        "--tag 'who': EC2 does not allow '\\n' in tags",
        "use letters, digits, spaces and + - = . _ : / @",
    ),
    (
        {"tag": (("a", "1"),), "tags": (("a", "2"),)},
        "--tag and --tags give different values of a",
        "give it once",
    ),
    (
        {"tag": TOO_MANY},
        "--tag gives 31 tags, and at most 25 are possible",
        "EC2 allows 50 tags per instance, and dask-bake sets up to 25",
    ),
    # Capacity
    (
        {"spot": True, "spot_with_fallback": True},
        "--spot and --spot-with-fallback cannot be combined",
        "without Spot capacity --spot fails, and --spot-with-fallback uses On-Demand Instances",
    ),
    (
        {"count": 3, "nprocs": 2, "min_workers": 5},
        "--min-workers is 5, but --count 3 with --nprocs 2 starts only 4",
        "--count 4 starts enough",
    ),
    # Network
    (
        {"private": True},
        "--private gives the head node no public address, and --connect is not set",
        "--connect bastion, ssm or eice; or direct, if this machine is in the VPC or its VPN",
    ),
    (
        {"connect": Connect.BASTION},
        "--connect bastion requires --bastion",
        "--bastion HOST, as in your SSH configuration",
    ),
    ({"bastion": "gate"}, "--bastion requires --connect bastion", "add it, or leave --bastion out"),
    (
        {**BASTION, "bastion": "-oProxyCommand=x"},
        "--bastion: '-oProxyCommand=x' is not a host name",
        "user@host, or a host of your SSH configuration",
    ),
    (
        {**BASTION, "bastion": "[2001:db8::1]:22"},  # the value of a tag, and EC2 allows no brackets there
        "--bastion: '[2001:db8::1]:22' is not a host name",
        "user@host, or a host of your SSH configuration",
    ),
    (
        {**BASTION, "cidr": ()},
        "--connect bastion requires --cidr: the address or the security group of the bastion",
        "--cidr 10.0.0.5/32, or --cidr sg-0123456789abcdef0",
    ),
    (
        {"connect": Connect.SSM},
        "--connect ssm requires --iaminstance-name: the SSM Agent registers with an instance profile",
        "give a profile with AmazonSSMManagedInstanceCore; --connect eice requires none",
    ),
    (
        {"connect": Connect.EICE, "cidr": ("192.0.2.7/32",)},
        "--cidr has no effect with --connect eice, which opens no port",
        "leave --cidr out",
    ),
    (
        {"cidr": ("0.0.0.0/0",), "allow_wide_cidr": True},
        "--cidr 0.0.0.0/0 contains all addresses of the internet",
        "leave --cidr out to allow your own address only",
    ),
    (
        {"cidr": ("10.0.0.0/7",), "allow_wide_cidr": True},
        "--cidr 10.0.0.0/7 contains 33,554,432 addresses",
        "at most a /8 can be allowed, or a /16 of IPv6",
    ),
    (
        {"cidr": ("10.0.0.0/8", "192.0.2.7/32", "11.0.0.0/8"), "allow_wide_cidr": True},
        "--cidr: the blocks together are 10.0.0.0/7, which contains 33,554,432 addresses",
        "at most a /8 can be allowed, or a /16 of IPv6",
    ),
    (
        {"cidr": ("2001::/16", "2000::/16"), "allow_wide_cidr": True},
        f"--cidr: the blocks together are 2000::/15, which contains {2**113:,} addresses",
        "at most a /8 can be allowed, or a /16 of IPv6",
    ),
    (
        {"cidr": ("192.0.2.0/23",)},
        "--cidr 192.0.2.0/23 contains 512 addresses",
        "--allow-wide-cidr allows it; without --cidr only your own address is allowed",
    ),
    (
        {"cidr": tuple(f"192.0.2.{n}/32" for n in range(61))},
        "--cidr gives 61 blocks, and a security group allows 60 rules",
        "give fewer or wider blocks",
    ),
    (
        {"security_group": "mine", "security_group_id": "sg-01234567"},
        "--security-group and --security-group-id cannot be combined",
        "give one of them",
    ),
    # Access, files
    (
        {"keypair": Path("/no/such/key")},
        "--keypair /no/such/key cannot be read: No such file or directory",
        "give the path of a private key file",
    ),
    (
        {"keypair": Path(__file__)},
        f"--keypair {__file__} contains no private key",
        "give the file without .pub",
    ),
    (
        {"provision": False, "keyname": "mine"},
        "--no-provision with --keyname mine requires --keypair: the nodes accept no other key",
        "--keypair FILE is its private key; without --keyname dask-bake creates a key",
    ),
    (
        {"provision": False, "username": "me"},
        "--no-provision with --username me: without user-data the nodes do not create that user",
        "leave --username out, or give the --keyname of a key pair that the image gives that user",
    ),
    (
        {"file": Path("/no/such/cluster.yaml")},
        "--file /no/such/cluster.yaml: the folder /no/such does not exist",
        "mkdir -p /no/such",
    ),
    (
        {"file": Path("x" * 300)},
        f"--file {'x' * 100}… cannot be written: File name too long",
        "for example --file cluster.yaml",
    ),
    ({"file": Path("/")}, "--file / is a folder", "--file /cluster.yaml"),
    (
        {"user_data": Path("/no/such.yaml")},
        "--user-data /no/such.yaml cannot be read: No such file or directory",
        "give the path of a file on this machine",
    ),
]
"""Every message of the checks, with its hint; other tests assert exit codes and the value that is named."""


@pytest.mark.parametrize(("options", "message", "hint"), REFUSALS)
def test_wrong_options_are_refused_with_message_and_hint(options, message, hint):
    with pytest.raises(UsageError) as caught:
        checked(LaunchOptions(**options))

    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == (message, hint, 2)


def test_an_unknown_option_of_dask_is_refused():
    with pytest.raises(UsageError, match=r"refused by dask worker: No such option:? .?--lifetimes") as caught:
        checked(LaunchOptions(worker_options="--lifetimes 5m"))

    assert caught.value.hint == "dask worker --help lists its options"


def test_two_preload_files_with_the_same_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "setup.py").write_text("x = 1\n")
    files = tuple(str(tmp_path / folder / "setup.py") for folder in ("a", "b"))

    with pytest.raises(UsageError, match="have the same file name"):
        checked(LaunchOptions(preload=files))


def test_user_data_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "extra.yaml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(UsageError, match=r"extra\.yaml is not a text file"):
        checked(LaunchOptions(user_data=path))


@pytest.mark.parametrize(
    "options",
    [{"memory_limit": amount} for amount in ("4GiB", "4 GiB", "0.2", "auto", "0", "1e9", "512m")]
    + [
        {"worker_options": "--lifetime 5m --resources 'GPU=2 MEM=1' --no-nanny", "nprocs": 1},
        {"scheduler_options": "--idle-timeout=1h --dashboard-prefix x"},
        {"preload": ("package.module", "dask_cuda.initialize")},
        {"tag": (("Größe", "5 km/h"),)},
        {"tag": TOO_MANY[:25]},
        {"cidr": ("192.0.2.0/24", "2001:db8::/56", "sg-0123456789abcdef0")},
        {"cidr": ("10.0.0.0/8", "2001::/16"), "allow_wide_cidr": True},
        BASTION,
        {"private": True, "connect": Connect.DIRECT},
        {"connect": Connect.SSM, "iaminstance_name": "ssm+core"},
        {"credentials": CredentialSource.NONE, "dask": False},
        {
            "credentials": CredentialSource.NONE,
            "iaminstance_name": "s3",
            "env": (("AWS_ACCESS_KEY_ID", "x"),),
        },
        {"iaminstance_name": "s3", "provision": False},
        {"type": ("u-6tb1.metal", "m6i.large"), "head_type": ("im4gn.large",)},
    ],
    ids=str,
)
def test_unusual_options_are_accepted(options):
    assert checked(LaunchOptions(**options))


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
    """Return the error that the value causes, or ``None`` if it is accepted."""
    try:
        parsed = option.parse(value, option.flag)
        if option in OPTIONS:
            checked(LaunchOptions(**{option.name: parsed}))
    except UsageError as error:
        return error
    return None


@pytest.mark.parametrize("option", [*OPTIONS, *CLOUD, *IMAGE], ids=lambda option: option.key)
def test_any_value_is_accepted_or_refused_with_a_message_that_names_the_option(option):
    errors = [error for value in ODD_VALUES if (error := refusal(option, value)) is not None]

    named = option.flag if option.name != "name" else "name"
    assert [error.message for error in errors if named not in error.message] == []
    assert [error.message for error in errors if not error.hint] == []
    assert [error.message for error in errors if len(error.message) > 300] == []


def test_without_user_data_an_ec2_key_pair_is_accepted_with_its_private_key(tmp_path):
    path = tmp_path / "mine.pem"
    path.write_text(new_key("me").private)

    assert checked(LaunchOptions(provision=False, username="me", keyname="mine", keypair=path))
