"""User-data says the role, where the scheduler is, and what the launch asks for besides; nothing else."""

import json
import shlex
import subprocess
from email import message_from_string
from pathlib import Path

import pytest
import yaml

from dask_bake.cloud_init.certificates import hand_out, new_authority
from dask_bake.cloud_init.encoding import SESSION_PATH, environment_file, sshd_environment
from dask_bake.cloud_init.merge import KNOWN
from dask_bake.cloud_init.render import LIMIT, NodeSettings, Preload, check, masked, render
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Role

KEY = "ssh-ed25519 AAAA dask-bake dask"
ROOTFS = Path(__file__).parents[3] / "packer/rootfs"
STRANGE = [
    '"',
    "{{ 1 }}",
    "a: b # c",
    "- x",
    "é",
    "😀",
    "'",
    "$(reboot)",
    "a b",
    "\\",
    "",
    'it\'s "$HOME" \\n',
]


def rendered(role, **changes):
    values = {"cluster": "dask", "public_key": KEY, "scheduler": "tcp://10.0.0.5:8786"}
    return render(role, NodeSettings(**{**values, "nprocs": 2, "nthreads": 4, **changes}))


def files(role, **changes):
    """The files that a node is given, by path."""
    told = yaml.safe_load(rendered(role, **changes))
    return {file["path"]: file for file in told.get("write_files", ())}


def options(role, **changes):
    """The further words of the role's program."""
    lines = files(role, **changes)[f"/etc/dask-bake/{role}.env"]["content"].splitlines()
    values = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    return shlex.split(values.get("DASK_BAKE_OPTIONS", ""))


def complaint(role=Role.WORKER, **changes):
    """The words that a user's mistake gets."""
    with pytest.raises(UsageError) as caught:
        rendered(role, **changes)
    return caught.value.message


def test_the_head_is_told_its_cluster_and_that_the_scheduler_is_here():
    text = rendered(Role.HEAD, scheduler="tcp://127.0.0.1:8786")

    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text) == {
        "ssh_authorized_keys": [KEY],
        "write_files": [
            {"path": "/etc/dask-bake/head.env", "permissions": "0644", "content": "DASK_BAKE_CLUSTER=dask\n"},
            {
                "path": "/etc/dask/dask-bake.yaml",
                "permissions": "0644",
                "content": '{\n  "scheduler-address": "tcp://127.0.0.1:8786"\n}\n',
            },
            {
                "path": "/etc/dask-bake/limits.env",
                "permissions": "0644",
                "content": "DASK_BAKE_ROLE=head\nDASK_BAKE_CLUSTER=dask\n"
                "DASK_BAKE_LIFETIME=43200\nDASK_BAKE_IDLE=1800\n",
            },
        ],
    }


def test_a_worker_is_told_where_the_scheduler_is_and_how_many_processes_to_run():
    worker, dask, limits = yaml.safe_load(rendered(Role.WORKER))["write_files"]

    assert (worker["path"], worker["content"]) == (
        "/etc/dask-bake/worker.env",
        "DASK_BAKE_CLUSTER=dask\nDASK_BAKE_SCHEDULER=tcp://10.0.0.5:8786\n"
        "DASK_BAKE_NPROCS=2\nDASK_BAKE_NTHREADS=4\n",
    )
    assert yaml.safe_load(dask["content"]) == {"scheduler-address": "tcp://10.0.0.5:8786"}
    assert (limits["path"], limits["content"]) == (
        "/etc/dask-bake/limits.env",
        "DASK_BAKE_ROLE=worker\nDASK_BAKE_CLUSTER=dask\nDASK_BAKE_LIFETIME=43200\nDASK_BAKE_HEAD=10.0.0.5\n",
    )


@pytest.mark.parametrize("role", list(Role))
def test_nothing_is_installed_or_run_at_boot_and_no_secret_is_told(role):
    text = rendered(role)

    assert set(yaml.safe_load(text)) == {"ssh_authorized_keys", "write_files"}
    assert "PRIVATE" not in text


@pytest.mark.parametrize("value", STRANGE)
def test_a_value_stays_one_value_whatever_it_holds(value):
    document = yaml.safe_load(rendered(Role.HEAD, cluster=value, public_key=value))

    assert document["ssh_authorized_keys"] == [value]
    assert shlex.split(document["write_files"][0]["content"]) == [f"DASK_BAKE_CLUSTER={value}"]


def test_every_value_is_json():
    assert f"  - {json.dumps(KEY)}\n" in rendered(Role.WORKER)


# ---- what a launch asks for besides


def test_a_memory_limit_preloads_and_options_are_words_of_the_worker():
    asked = {
        "memory_limit": "4 GiB",
        "preloads": (Preload("set_up.py", "x = 'é'\n"), Preload("dask_cuda.initialize", None)),
        "worker_options": ("--resources", "GPU=2 b='c'"),
    }

    assert options(Role.WORKER, **asked) == [
        *("--memory-limit", "4 GiB"),
        *("--preload", "/etc/dask-bake/preload/set_up.py", "--preload", "dask_cuda.initialize"),
        *("--resources", "GPU=2 b='c'"),
    ]
    assert files(Role.WORKER, **asked)["/etc/dask-bake/preload/set_up.py"]["content"] == "x = 'é'\n"
    assert options(Role.HEAD, **asked) == []


def test_options_of_the_scheduler_are_for_the_head_alone():
    words = ("--idle-timeout", "1 hour")

    assert options(Role.HEAD, scheduler_options=words) == list(words)
    assert options(Role.WORKER, scheduler_options=words) == []


def test_a_preload_must_be_a_python_file_and_the_only_one_of_its_name():
    assert complaint(preloads=(Preload("a.txt", ""),)) == "--preload a.txt is no Python file"
    twice = (Preload("a.py", "1"), Preload("a.py", "2"))
    assert complaint(preloads=twice) == "--preload gives two files named a.py"
    assert len(options(Role.WORKER, preloads=(Preload("a.py", "1"), Preload("a.py", "1")))) == 4


@pytest.mark.parametrize("role", list(Role))
def test_variables_are_told_to_units_and_to_sessions(role):
    told = files(role, environment=(("A", "1 2"), ("B", "é")))

    assert told["/etc/dask-bake/launch.env"]["content"] == "A='1 2'\nB='é'\n"
    line = f'SetEnv "PATH={SESSION_PATH}" "A=1 2" "B=é"\n'
    assert told["/etc/ssh/sshd_config.d/40-dask-bake.conf"]["content"] == line


def test_a_shell_reads_variables_as_they_were_meant(tmp_path):
    values = {f"V{number}": value for number, value in enumerate(STRANGE)}
    (tmp_path / "launch.env").write_text(environment_file(values))
    names = " ".join(f'"${name}"' for name in values)
    script = f". {tmp_path}/launch.env; printf '%s\\0' {names}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split("\0")[:-1] == STRANGE


def test_sshd_s_line_has_quotes_and_backslashes_escaped_and_a_path_of_the_user_s_own():
    assert (
        sshd_environment({"PATH": "/a", "B": 'c "d" \\e #f'}) == r'SetEnv "PATH=/a" "B=c \"d\" \\e #f"' + "\n"
    )


def test_sessions_have_the_path_that_the_image_gives_them():
    """sshd heeds one SetEnv alone, so user-data's has it as well."""
    settings = (ROOTFS / "etc/ssh/sshd_config.d/50-dask-bake.conf").read_text()
    assert f"\nSetEnv PATH={SESSION_PATH}\n" in settings


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "\x00", "\udc80"])
def test_a_control_character_is_refused_by_its_variable_s_name(value):
    said = complaint(environment=(("ONE", "1"), ("TWO", value)))
    assert said == f"the value of TWO cannot be handed to a node: {value!r} holds a control character"


def test_what_cannot_be_a_variable_s_name_is_refused():
    assert complaint(environment=(("A;reboot", "1"),)) == "'A;reboot' cannot be the name of a variable"


@pytest.mark.parametrize("role", list(Role))
def test_without_dask_no_unit_has_its_file_but_variables_are_told(role):
    told = files(role, dask=False, environment=(("A", "1"),), tls=hand_out(new_authority("dask"))[role])

    limits = "/etc/dask-bake/limits.env"
    assert set(told) == {
        "/etc/dask-bake/launch.env",
        "/etc/ssh/sshd_config.d/40-dask-bake.conf",
        limits,
    }
    assert set(files(role, dask=False)) == {limits}


def test_limits_reach_the_watch_over_a_node():
    asked = {"max_lifetime": 0, "idle_timeout": 90, "keep_on_failure": True}
    told = {role: files(role, **asked)["/etc/dask-bake/limits.env"]["content"].splitlines() for role in Role}

    assert told[Role.HEAD][2:] == [
        *("DASK_BAKE_LIFETIME=0", "DASK_BAKE_IDLE=90", "DASK_BAKE_KEEP_ON_FAILURE=true"),
    ]
    assert told[Role.WORKER][2:] == [
        *("DASK_BAKE_LIFETIME=0", "DASK_BAKE_HEAD=10.0.0.5", "DASK_BAKE_KEEP_ON_FAILURE=true"),
    ]


def test_without_notebook_the_head_has_the_file_that_keeps_jupyter_s_socket_down():
    condition = "ConditionPathExists=!/etc/dask-bake/no-notebook\n"

    assert "/etc/dask-bake/no-notebook" in files(Role.HEAD, notebook=False)
    assert "/etc/dask-bake/no-notebook" not in files(Role.HEAD)
    assert condition in (ROOTFS / "etc/systemd/system/dask-jupyter.socket").read_text()


def test_another_login_user_is_cloud_init_s_default_one_and_known_to_the_head_s_units():
    head, worker = (yaml.safe_load(rendered(role, user="alice")) for role in Role)

    assert head["user"] == worker["user"] == "alice"
    assert head["write_files"][0]["content"] == "DASK_BAKE_CLUSTER=dask\nDASK_BAKE_USER=alice\n"


def test_with_tls_each_role_has_its_own_key_and_the_head_a_client_s_as_well():
    handed = hand_out(new_authority("dask"))
    head, worker = (files(role, tls=handed[role]) for role in Role)
    keys = {
        path: (file["permissions"], file["owner"])
        for path, file in {**head, **worker}.items()
        if "owner" in file
    }
    own = handed[Role.WORKER].own

    assert keys == {
        "/etc/dask-bake/tls/scheduler.pem": ("0600", "dask:dask"),
        "/etc/dask-bake/tls/client.pem": ("0600", "root:root"),
        "/etc/dask-bake/tls/worker.pem": ("0600", "dask:dask"),
    }
    assert worker["/etc/dask-bake/tls/worker.pem"]["content"] == own.cert_pem + own.key_pem
    assert "PRIVATE KEY" in own.key_pem
    assert "PRIVATE KEY" not in head["/etc/dask-bake/tls/ca.pem"]["content"]


def test_with_tls_dask_speaks_nothing_else_and_a_task_connects_with_its_worker_s_key():
    handed = hand_out(new_authority("dask"))
    head, worker = (
        json.loads(files(role, tls=handed[role])["/etc/dask/dask-bake.yaml"]["content"]) for role in Role
    )
    folder = "/etc/dask-bake/tls"

    assert worker["distributed"]["comm"] == {
        "default-scheme": "tls",
        "require-encryption": True,
        "tls": {
            "ca-file": f"{folder}/ca.pem",
            "worker": {"cert": f"{folder}/worker.pem"},
            "client": {"cert": f"{folder}/worker.pem"},
        },
    }
    assert head["distributed"]["comm"]["tls"] == {
        "ca-file": f"{folder}/ca.pem",
        "scheduler": {"cert": f"{folder}/scheduler.pem"},
        "client": {"cert": f"{folder}/client.pem"},
    }


# ---- the user's own cloud-config


EXTRA = """#cloud-config
packages: [htop]
users: [{name: bob}]
ssh_authorized_keys: [ssh-ed25519 BBBB bob]
write_files:
- {path: /etc/mine, content: "1"}
"""


def parts(text):
    """The parts of the user-data, as a mail's."""
    message = message_from_string(text)
    assert (message.get_content_type(), message.defects) == ("multipart/mixed", [])
    return message.get_payload()


@pytest.mark.parametrize("role", list(Role))
def test_the_user_s_own_part_comes_after_ours_and_adds_to_it(role):
    ours, theirs = parts(rendered(role, extra=EXTRA))

    assert [part.get_content_type() for part in (ours, theirs)] == ["text/cloud-config"] * 2
    assert "Merge-Type" not in ours
    assert theirs["Merge-Type"] == "list(append)+dict(no_replace,recurse_list)+str()"
    without = yaml.safe_load(rendered(role))
    assert yaml.safe_load(ours.get_payload()) == {**without, "users": ["default"]}
    assert theirs.get_payload() == EXTRA


def test_what_is_not_ascii_arrives_as_the_same_values():
    """Mail has no other characters; cloud-init decodes the bytes of a part as UTF-8."""
    extra = '#cloud-config\nruncmd: ["echo é 😀"] # ü\n'
    _, theirs = parts(rendered(Role.HEAD, extra=extra))
    arrived = theirs.get_payload(decode=True).decode()

    assert arrived.startswith("#cloud-config\n")
    assert yaml.safe_load(arrived) == {"runcmd": ["echo é 😀"]}


def test_a_text_that_holds_the_boundary_stays_one_part():
    extra = "#cloud-config\nruncmd:\n- |\n--dask-bake--\n--dask-bake-\n"
    with pytest.raises(UsageError):
        rendered(Role.HEAD, extra=extra)
    extra = "#cloud-config\n# \n#--dask-bake\nruncmd: [a]\n"
    assert parts(rendered(Role.HEAD, extra=extra))[1].get_payload() == extra


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("#!/bin/sh\ntrue\n", "--user-data is a script"),
        ("runcmd: [a]\n", "--user-data does not begin with the line #cloud-config"),
        ("#cloud-config-archive\n- a\n", "--user-data does not begin with the line #cloud-config"),
        ("", "--user-data does not begin with the line #cloud-config"),
        ("#cloud-config\n", "--user-data is no mapping, but None"),
        ("#cloud-config\n- a\n", "--user-data is no mapping, but ['a']"),
        ("#cloud-config\na: [\n", "--user-data is no YAML in line 3: expected the node content, but found"),
        ("#cloud-config\nntp: {}\n", "--user-data has 'ntp', which a node does not act on"),
        ("#cloud-config\nuser: bob\n", "--user-data has 'user', which a node does not act on"),
        ("#cloud-config\nmerge_how: []\n", "--user-data has 'merge_how', which a node does not act on"),
        ("#cloud-config\nssh_keys: {}\n", "--user-data has 'ssh_keys', which a node does not act on"),
        ("#cloud-config\nusers: bob\n", "--user-data: users is 'bob'"),
        ("#cloud-config\nwrite_files: [a]\n", "--user-data: 'a' of write_files has no path"),
        (
            "#cloud-config\nwrite_files: [{path: /etc/dask-bake/head.env}]\n",
            "--user-data writes /etc/dask-bake/head.env, which is dask-bake's own",
        ),
    ],
)
def test_what_a_node_would_not_act_on_or_would_no_longer_be_one_after_is_refused(extra, said):
    assert complaint(extra=extra).startswith(said)


MODULES = {
    "bootcmd": {"bootcmd"},
    "disk_setup": {"device_aliases", "disk_setup", "fs_setup"},
    "final-message": {"final_message"},
    "mounts": {"mount_default_fields", "mounts", "swap"},
    "package-update-upgrade-install": {
        *("package_reboot_if_required", "package_update", "package_upgrade", "packages"),
    },
    "runcmd": {"runcmd"},
    "set_hostname": {"fqdn", "hostname"},
    "ssh": {"ssh_authorized_keys"},
    "timezone": {"timezone"},
    "users-groups": {"groups", "users"},
    "write-files": {"write_files"},
}


def test_every_key_that_is_taken_has_its_module_on_a_node():
    told = yaml.safe_load((ROOTFS / "etc/cloud/cloud.cfg.d/95-dask-bake.cfg").read_text())
    run = {name for stage in ("init", "config", "final") for name in told[f"cloud_{stage}_modules"]}

    assert set(MODULES) <= run
    assert set().union(*MODULES.values()) == KNOWN


# ---- size and secrets


def test_user_data_larger_than_ec2_takes_is_refused_with_what_is_large_in_it():
    said = complaint(Role.WORKER, preloads=(Preload("big.py", "x" * LIMIT),))

    assert said.startswith("the user-data is 17")
    largest = "/etc/dask-bake/preload/big.py"
    assert said.endswith(
        f"and EC2 takes {LIMIT}; the largest part of a worker's is {largest}, with {LIMIT + 2}"
    )
    extra = "#cloud-config\nruncmd: [" + "é" * (LIMIT // 2) + "]\n"
    assert "; the largest part of a head's is --user-data, with 3" in complaint(Role.HEAD, extra=extra)


@pytest.mark.parametrize("role", list(Role))
def test_certificates_leave_most_of_the_room_to_the_user(role):
    text = rendered(role, tls=hand_out(new_authority("a" * 32))[role])
    assert len(text) < LIMIT / 3


@pytest.mark.parametrize("text", ["write_files: []\n", "#cloud-config\n- a\n"])
def test_text_that_cloud_init_would_not_take_is_not_sent(text):
    with pytest.raises(ValueError, match="user-data must"):
        check(text)


@pytest.mark.parametrize("kind", ["", "EC ", "RSA ", "OPENSSH ", "ENCRYPTED "])
def test_private_keys_are_masked_also_in_json(kind):
    key = f"-----BEGIN {kind}PRIVATE KEY-----\nAAAA\n-----END {kind}PRIVATE KEY-----"
    shown = masked(json.dumps({"one": f"a\n{key}\nb", "two": json.dumps(key)}))

    note = "(a private key, not shown)"
    assert json.loads(shown) == {"one": f"a\n{note}\nb", "two": f'"{note}"'}


def test_half_a_private_key_is_masked_too():
    assert masked("a -----BEGIN PRIVATE KEY-----\nAAAA") == "a (a private key, not shown)"


def test_masked_user_data_is_what_it_was_but_for_its_keys():
    tls = hand_out(new_authority("dask"))[Role.HEAD]
    shown = masked(rendered(Role.HEAD, tls=tls, extra=EXTRA))
    told = yaml.safe_load(parts(shown)[0].get_payload())
    scheduler = next(file for file in told["write_files"] if file["path"].endswith("scheduler.pem"))

    assert "PRIVATE KEY" not in shown
    assert scheduler["content"] == f"{tls.own.cert_pem}(a private key, not shown)\n"
