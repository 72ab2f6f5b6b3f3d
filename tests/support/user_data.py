"""Render user-data, and read its parts."""

import shlex
from email import message_from_string

import pytest
import yaml

from dask_bake.cloud_init.render import render
from dask_bake.cloud_init.settings import NodeSettings
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Role

KEY = "ssh-ed25519 AAAA dask-bake dask"
UNUSUAL = [
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
"""Values that templates, shells, YAML or sshd could misread."""


def rendered(role, **changes):
    """Return a node's user-data; its settings are the defaults with these changes."""
    values = {"cluster": "dask", "public_key": KEY, "scheduler": "tcp://10.0.0.5:8786"}
    return render(role, NodeSettings(**{**values, "nprocs": 2, "nthreads": 4, **changes}))


def files(role, **changes):
    """Return the node's files by path."""
    document = yaml.safe_load(rendered(role, **changes))
    return {file["path"]: file for file in document.get("write_files", ())}


def options(role, **changes):
    """Return the additional arguments of the role's program."""
    lines = files(role, **changes)[f"/etc/dask-bake/{role}.env"]["content"].splitlines()
    values = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    return shlex.split(values.get("DASK_BAKE_OPTIONS", ""))


def refusal(role=Role.WORKER, **changes):
    """Return the message of the error that the settings cause."""
    with pytest.raises(UsageError) as caught:
        rendered(role, **changes)
    return caught.value.message


def mime_parts(text):
    """Return the parts of the user-data, as a mail reader splits it."""
    message = message_from_string(text)
    assert (message.get_content_type(), message.defects) == ("multipart/mixed", [])
    return message.get_payload()
