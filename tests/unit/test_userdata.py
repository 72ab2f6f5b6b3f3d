"""User-data says the role and where the scheduler is, and nothing else."""

import json
import shlex

import pytest
import yaml

from dask_bake.errors import UsageError
from dask_bake.models import Role
from dask_bake.userdata import LIMIT, NodeSettings, check, environment_file, masked, render

KEY = "ssh-ed25519 AAAA dask-bake dask"


def rendered(role, **changes):
    values = {"cluster": "dask", "public_key": KEY, "scheduler": "tcp://10.0.0.5:8786"}
    return render(role, NodeSettings(**{**values, "nprocs": 2, "nthreads": 4, **changes}))


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
        ],
    }


def test_a_worker_is_told_where_the_scheduler_is_and_how_many_processes_to_run():
    worker, dask = yaml.safe_load(rendered(Role.WORKER))["write_files"]

    assert (worker["path"], worker["content"]) == (
        "/etc/dask-bake/worker.env",
        "DASK_BAKE_CLUSTER=dask\nDASK_BAKE_SCHEDULER=tcp://10.0.0.5:8786\n"
        "DASK_BAKE_NPROCS=2\nDASK_BAKE_NTHREADS=4\n",
    )
    assert yaml.safe_load(dask["content"]) == {"scheduler-address": "tcp://10.0.0.5:8786"}


@pytest.mark.parametrize("role", list(Role))
def test_nothing_is_installed_or_run_at_boot_and_no_secret_is_told(role):
    text = rendered(role)

    assert set(yaml.safe_load(text)) == {"ssh_authorized_keys", "write_files"}
    assert "PRIVATE" not in text


@pytest.mark.parametrize("value", ['"', "{{ 1 }}", "a: b # c", "- x", "é", "'", "$(reboot)", "a b", "\\"])
def test_a_value_stays_one_value_whatever_it_holds(value):
    document = yaml.safe_load(rendered(Role.HEAD, cluster=value, public_key=value))

    assert document["ssh_authorized_keys"] == [value]
    assert shlex.split(document["write_files"][0]["content"]) == [f"DASK_BAKE_CLUSTER={value}"]


def test_a_control_character_is_refused():
    with pytest.raises(UsageError, match="control character"):
        environment_file(DASK_BAKE_CLUSTER="a\nb")


def test_user_data_larger_than_ec2_takes_is_refused():
    with pytest.raises(UsageError, match=f"and EC2 takes {LIMIT}"):
        rendered(Role.HEAD, public_key="x" * LIMIT)


@pytest.mark.parametrize("text", ["write_files: []\n", "#cloud-config\n- a\n"])
def test_text_that_cloud_init_would_not_take_is_not_sent(text):
    with pytest.raises(ValueError, match="user-data must"):
        check(text)


def test_every_value_is_json():
    assert f"  - {json.dumps(KEY)}\n" in rendered(Role.WORKER)


@pytest.mark.parametrize("kind", ["", "EC ", "RSA ", "OPENSSH ", "ENCRYPTED "])
def test_private_keys_are_masked_also_in_json(kind):
    key = f"-----BEGIN {kind}PRIVATE KEY-----\nAAAA\n-----END {kind}PRIVATE KEY-----"
    shown = masked(json.dumps({"one": f"a\n{key}\nb", "two": json.dumps(key)}))

    note = "(a private key, not shown)"
    assert json.loads(shown) == {"one": f"a\n{note}\nb", "two": f'"{note}"'}


def test_half_a_private_key_is_masked_too():
    assert masked("a -----BEGIN PRIVATE KEY-----\nAAAA") == "a (a private key, not shown)"
