"""The user's own cloud-config adds to dask-bake's, or is refused."""

from pathlib import Path

import pytest
import yaml

from dask_bake.cloud_init.merge import SUPPORTED_KEYS
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Role
from user_data import mime_parts, refusal, rendered

ROOTFS = Path(__file__).parents[3] / "packer/rootfs"
EXTRA = """#cloud-config
packages: [htop]
users: [{name: bob}]
ssh_authorized_keys: [ssh-ed25519 BBBB bob]
write_files:
- {path: /etc/mine, content: "1"}
"""
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


@pytest.mark.parametrize("role", list(Role))
def test_the_user_s_part_follows_ours_and_is_appended(role):
    ours, theirs = mime_parts(rendered(role, extra=EXTRA))

    assert [part.get_content_type() for part in (ours, theirs)] == ["text/cloud-config"] * 2
    assert "Merge-Type" not in ours
    assert theirs["Merge-Type"] == "list(append)+dict(no_replace,recurse_list)+str()"
    without = yaml.safe_load(rendered(role))
    assert yaml.safe_load(ours.get_payload()) == {**without, "users": ["default"]}
    assert theirs.get_payload() == EXTRA


def test_characters_outside_ascii_arrive_unchanged():
    """cloud-init decodes the bytes of a part as UTF-8."""
    extra = '#cloud-config\nruncmd: ["echo é 😀"] # ü\n'
    _, theirs = mime_parts(rendered(Role.HEAD, extra=extra))
    arrived = theirs.get_payload(decode=True).decode()

    assert arrived.startswith("#cloud-config\n")
    assert yaml.safe_load(arrived) == {"runcmd": ["echo é 😀"]}


def test_a_text_that_contains_the_boundary_stays_one_part():
    extra = "#cloud-config\nruncmd:\n- |\n--dask-bake--\n--dask-bake-\n"
    with pytest.raises(UsageError):
        rendered(Role.HEAD, extra=extra)
    extra = "#cloud-config\n# \n#--dask-bake\nruncmd: [a]\n"
    assert mime_parts(rendered(Role.HEAD, extra=extra))[1].get_payload() == extra


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("#!/bin/sh\ntrue\n", "--user-data is a script"),
        ("runcmd: [a]\n", "--user-data does not start with the line #cloud-config"),
        ("#cloud-config-archive\n- a\n", "--user-data does not start with the line #cloud-config"),
        ("", "--user-data does not start with the line #cloud-config"),
        ("#cloud-config\n", "--user-data must be a mapping, not None"),
        ("#cloud-config\n- a\n", "--user-data must be a mapping, not ['a']"),
        (
            "#cloud-config\na: [\n",
            "--user-data is not valid YAML in line 3: expected the node content, but found '<stream end>'",
        ),
        *(
            (f"#cloud-config\n{key}: {value}\n", f"--user-data: the nodes do not support the key {key!r}")
            for key, value in {"ntp": "{}", "user": "bob", "merge_how": "[]", "ssh_keys": "{}"}.items()
        ),
        ("#cloud-config\nusers: bob\n", "--user-data: users must be a list, not 'bob'"),
        ("#cloud-config\nwrite_files: [a]\n", "--user-data: an entry of write_files has no path: 'a'"),
        (
            "#cloud-config\nwrite_files: [{path: /etc/dask-bake/head.env}]\n",
            "--user-data cannot write /etc/dask-bake/head.env, which belongs to dask-bake",
        ),
    ],
)
def test_a_part_that_nodes_would_ignore_or_that_would_break_them_is_refused(extra, message):
    assert refusal(extra=extra) == message


def test_each_supported_key_has_its_module_on_a_node():
    settings = yaml.safe_load((ROOTFS / "etc/cloud/cloud.cfg.d/95-dask-bake.cfg").read_text())
    run = {name for stage in ("init", "config", "final") for name in settings[f"cloud_{stage}_modules"]}

    assert set(MODULES) <= run
    assert set().union(*MODULES.values()) == SUPPORTED_KEYS
