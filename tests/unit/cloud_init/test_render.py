"""User-data is a valid cloud-config within EC2's limit, and its private keys can be masked."""

import json
import shlex

import pytest
import yaml

from dask_bake.cloud_init.certificates import create_authority, issue_for_nodes
from dask_bake.cloud_init.render import USER_DATA_LIMIT, check_syntax, mask_private_keys
from dask_bake.cloud_init.settings import Preload
from dask_bake.models.cloud import Role
from user_data import KEY, UNUSUAL, mime_parts, refusal, rendered


def test_user_data_is_a_cloud_config_of_a_key_and_files():
    text = rendered(Role.HEAD)

    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    assert document["ssh_authorized_keys"] == [KEY]
    assert {tuple(file) for file in document["write_files"]} == {("path", "permissions", "content")}
    assert {file["permissions"] for file in document["write_files"]} == {"0644"}


@pytest.mark.parametrize("role", list(Role))
def test_nothing_is_installed_or_run_at_boot_and_there_is_no_secret(role):
    text = rendered(role)

    assert set(yaml.safe_load(text)) == {"ssh_authorized_keys", "write_files"}
    assert "PRIVATE" not in text


@pytest.mark.parametrize("value", UNUSUAL)
def test_any_value_stays_a_single_value(value):
    document = yaml.safe_load(rendered(Role.HEAD, cluster=value, public_key=value))

    assert document["ssh_authorized_keys"] == [value]
    assert shlex.split(document["write_files"][0]["content"]) == [f"DASK_BAKE_CLUSTER={value}"]


def test_values_are_json():
    assert f"  - {json.dumps(KEY)}\n" in rendered(Role.WORKER)


def test_user_data_above_the_limit_is_refused_with_its_largest_part():
    message = refusal(Role.WORKER, preloads=(Preload("big.py", "x" * USER_DATA_LIMIT),))

    assert message.startswith("the user-data has 17")
    assert message.endswith(
        f"and EC2 allows {USER_DATA_LIMIT}; the largest part for a worker node is"
        f" /etc/dask-bake/preload/big.py with {USER_DATA_LIMIT + 2}"
    )
    extra = "#cloud-config\nruncmd: [" + "é" * (USER_DATA_LIMIT // 2) + "]\n"
    assert "; the largest part for a head node is --user-data with 3" in refusal(Role.HEAD, extra=extra)


@pytest.mark.parametrize("role", list(Role))
def test_certificates_take_less_than_a_third_of_the_limit(role):
    text = rendered(role, tls=issue_for_nodes(create_authority("a" * 32))[role])
    assert len(text) < USER_DATA_LIMIT / 3


@pytest.mark.parametrize("text", ["write_files: []\n", "#cloud-config\n- a\n"])
def test_text_that_cloud_init_cannot_read_is_not_sent(text):
    with pytest.raises(ValueError, match="user-data must"):
        check_syntax(text)


@pytest.mark.parametrize("kind", ["", "EC ", "RSA ", "OPENSSH ", "ENCRYPTED "])
def test_private_keys_are_masked_also_in_json(kind):
    key = f"-----BEGIN {kind}PRIVATE KEY-----\nAAAA\n-----END {kind}PRIVATE KEY-----"
    shown = mask_private_keys(json.dumps({"one": f"a\n{key}\nb", "two": json.dumps(key)}))

    note = "(a private key, not shown)"
    assert json.loads(shown) == {"one": f"a\n{note}\nb", "two": f'"{note}"'}


def test_an_incomplete_private_key_is_masked():
    assert mask_private_keys("a -----BEGIN PRIVATE KEY-----\nAAAA") == "a (a private key, not shown)"


def test_masked_user_data_differs_in_its_keys_only():
    tls = issue_for_nodes(create_authority("dask"))[Role.HEAD]
    shown = mask_private_keys(rendered(Role.HEAD, tls=tls, extra="#cloud-config\npackages: [htop]\n"))
    document = yaml.safe_load(mime_parts(shown)[0].get_payload())
    scheduler = next(file for file in document["write_files"] if file["path"].endswith("scheduler.pem"))

    assert "PRIVATE KEY" not in shown
    assert scheduler["content"] == f"{tls.own.cert_pem}(a private key, not shown)\n"
