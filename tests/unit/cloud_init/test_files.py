"""Each role gets the files that its systemd units wait for, with the values of the launch."""

import json
from pathlib import Path

import pytest
import yaml

import dask_bake_credentials
from dask_bake.cloud_init.certificates import create_authority, issue_for_nodes
from dask_bake.cloud_init.encoding import SESSION_PATH
from dask_bake.cloud_init.files import CREDENTIAL_SERVICE
from dask_bake.cloud_init.settings import Preload
from dask_bake.models.cloud import CredentialSource, Role
from user_data import files, options, refusal, rendered

ROOTFS = Path(__file__).parents[3] / "packer/rootfs"
LIMITS = "/etc/dask-bake/limits.env"


def test_the_head_gets_the_cluster_name_the_local_scheduler_and_its_limits():
    written = files(Role.HEAD, scheduler="tcp://127.0.0.1:8786")

    assert {path: file["content"] for path, file in written.items()} == {
        "/etc/dask-bake/head.env": "DASK_BAKE_CLUSTER=dask\n",
        "/etc/dask/dask-bake.yaml": '{\n  "scheduler-address": "tcp://127.0.0.1:8786"\n}\n',
        LIMITS: "DASK_BAKE_ROLE=head\nDASK_BAKE_CLUSTER=dask\n"
        "DASK_BAKE_LIFETIME=43200\nDASK_BAKE_IDLE=1800\n",
    }


def test_a_worker_gets_the_scheduler_address_and_the_number_of_processes():
    worker, dask, limits = yaml.safe_load(rendered(Role.WORKER))["write_files"]

    assert (worker["path"], worker["content"]) == (
        "/etc/dask-bake/worker.env",
        "DASK_BAKE_CLUSTER=dask\nDASK_BAKE_SCHEDULER=tcp://10.0.0.5:8786\n"
        "DASK_BAKE_NPROCS=2\nDASK_BAKE_NTHREADS=4\n",
    )
    assert yaml.safe_load(dask["content"]) == {"scheduler-address": "tcp://10.0.0.5:8786"}
    assert (limits["path"], limits["content"]) == (
        LIMITS,
        "DASK_BAKE_ROLE=worker\nDASK_BAKE_CLUSTER=dask\nDASK_BAKE_LIFETIME=43200\nDASK_BAKE_HEAD=10.0.0.5\n",
    )


def test_memory_limit_preloads_and_options_are_arguments_of_the_worker():
    settings = {
        "memory_limit": "4 GiB",
        "preloads": (Preload("set_up.py", "x = 'é'\n"), Preload("dask_cuda.initialize", None)),
        "worker_options": ("--resources", "GPU=2 b='c'"),
    }

    assert options(Role.WORKER, **settings) == [
        *("--memory-limit", "4 GiB"),
        *("--preload", "/etc/dask-bake/preload/set_up.py", "--preload", "dask_cuda.initialize"),
        *("--resources", "GPU=2 b='c'"),
    ]
    assert files(Role.WORKER, **settings)["/etc/dask-bake/preload/set_up.py"]["content"] == "x = 'é'\n"
    assert options(Role.HEAD, **settings) == []


def test_scheduler_options_are_arguments_of_the_head_only():
    words = ("--idle-timeout", "1 hour")

    assert options(Role.HEAD, scheduler_options=words) == list(words)
    assert options(Role.WORKER, scheduler_options=words) == []


def test_a_preload_file_must_be_python_and_have_a_name_of_its_own():
    assert refusal(preloads=(Preload("a.txt", ""),)) == "--preload a.txt is not a Python file"
    twice = (Preload("a.py", "1"), Preload("a.py", "2"))
    assert refusal(preloads=twice) == "--preload gives two files named a.py"
    assert len(options(Role.WORKER, preloads=(Preload("a.py", "1"), Preload("a.py", "1")))) == 4


@pytest.mark.parametrize("role", list(Role))
def test_variables_reach_units_and_ssh_sessions(role):
    written = files(role, environment=(("A", "1 2"), ("B", "é")))

    assert written["/etc/dask-bake/launch.env"]["content"] == "A='1 2'\nB='é'\n"
    line = f'SetEnv "PATH={SESSION_PATH}" "A=1 2" "B=é"\n'
    assert written["/etc/ssh/sshd_config.d/40-dask-bake.conf"]["content"] == line


@pytest.mark.parametrize("role", list(Role))
def test_without_dask_a_node_gets_variables_and_limits_only(role):
    tls = issue_for_nodes(create_authority("dask"))[role]

    assert set(files(role, dask=False, environment=(("A", "1"),), tls=tls)) == {
        "/etc/dask-bake/launch.env",
        "/etc/ssh/sshd_config.d/40-dask-bake.conf",
        LIMITS,
    }
    assert set(files(role, dask=False)) == {LIMITS}


def test_limits_reach_both_roles():
    settings = {"max_lifetime": 0, "idle_timeout": 90, "keep_on_failure": True}
    lines = {role: files(role, **settings)[LIMITS]["content"].splitlines() for role in Role}

    assert lines[Role.HEAD][2:] == [
        *("DASK_BAKE_LIFETIME=0", "DASK_BAKE_IDLE=90", "DASK_BAKE_KEEP_ON_FAILURE=true"),
    ]
    assert lines[Role.WORKER][2:] == [
        *("DASK_BAKE_LIFETIME=0", "DASK_BAKE_HEAD=10.0.0.5", "DASK_BAKE_KEEP_ON_FAILURE=true"),
    ]


def test_without_notebook_the_head_gets_the_file_that_disables_jupyter_s_socket():
    condition = "ConditionPathExists=!/etc/dask-bake/no-notebook\n"

    assert "/etc/dask-bake/no-notebook" in files(Role.HEAD, notebook=False)
    assert "/etc/dask-bake/no-notebook" not in files(Role.HEAD)
    assert condition in (ROOTFS / "etc/systemd/system/dask-jupyter.socket").read_text()


def test_another_login_user_is_cloud_init_s_default_user_and_known_to_the_head():
    head, worker = (yaml.safe_load(rendered(role, user="alice")) for role in Role)

    assert head["user"] == worker["user"] == {"name": "alice"}
    assert head["write_files"][0]["content"] == "DASK_BAKE_CLUSTER=dask\nDASK_BAKE_USER=alice\n"


def test_with_tls_each_role_gets_its_own_key_and_the_head_one_for_clients():
    issued = issue_for_nodes(create_authority("dask"))
    head, worker = (files(role, tls=issued[role]) for role in Role)
    keys = {
        path: (file["permissions"], file["owner"])
        for path, file in {**head, **worker}.items()
        if "owner" in file
    }
    own = issued[Role.WORKER].own

    assert keys == {
        "/etc/dask-bake/tls/scheduler.pem": ("0600", "dask:dask"),
        "/etc/dask-bake/tls/client.pem": ("0600", "root:root"),
        "/etc/dask-bake/tls/worker.pem": ("0600", "dask:dask"),
    }
    assert worker["/etc/dask-bake/tls/worker.pem"]["content"] == own.cert_pem + own.key_pem
    assert "PRIVATE KEY" in own.key_pem
    assert "PRIVATE KEY" not in head["/etc/dask-bake/tls/ca.pem"]["content"]


def test_with_tls_dask_requires_encryption_and_a_client_in_a_task_uses_its_worker_s_key():
    issued = issue_for_nodes(create_authority("dask"))
    head, worker = (
        json.loads(files(role, tls=issued[role])["/etc/dask/dask-bake.yaml"]["content"]) for role in Role
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


@pytest.mark.parametrize("role", list(Role))
def test_a_node_whose_tasks_get_credentials_says_where_and_has_no_secret(role):
    written = files(role, credentials=CredentialSource.FORWARD, environment=(("A", "1"),), user="me")
    values = {
        "DASK_BAKE_CREDENTIALS": "forward",
        "DASK_BAKE_USER": "me",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:786/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/run/dask-bake/credentials-token",
    }
    lines = "".join(f"{name}={value}\n" for name, value in values.items())

    assert written["/etc/dask-bake/credentials.env"]["content"] == lines
    assert written["/etc/dask-bake/launch.env"]["content"] == "A=1\n"
    session = written["/etc/ssh/sshd_config.d/40-dask-bake.conf"]["content"]
    assert all(f'"{name}={value}"' in session for name, value in [("A", "1"), *list(values.items())[2:]])


def test_the_paths_are_those_of_the_image():
    socket = (ROOTFS / "etc/systemd/system/dask-bake-credentials.socket").read_text()
    address, path = (
        CREDENTIAL_SERVICE["AWS_CONTAINER_CREDENTIALS_FULL_URI"].removeprefix("http://").split("/")
    )
    token = CREDENTIAL_SERVICE["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
    broker, maker = (
        (ROOTFS / f"usr/libexec/dask-bake/{name}").read_text()
        for name in ("credentials", "credentials-token")
    )

    assert dask_bake_credentials.ENVIRONMENT == CREDENTIAL_SERVICE
    assert f"ListenStream={address}\n" in socket
    assert f"ListenStream={dask_bake_credentials.SOCKET}\n" in socket
    assert f'PATH = "/{path}"\nTOKEN = "{token}"' in broker
    assert f"file={token}\n" in maker
