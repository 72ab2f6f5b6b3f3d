"""Isolate a test process: dummy credentials, an empty home, no network beyond loopback."""

import os
import socket
from pathlib import Path

import dask.config
import pytest

from dask_bake.local.credentials import Credentials

LOOPBACK = ("127.", "::1", "localhost")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
LOGIN_NAME = "tester"
KEY_PAIR = Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
"""The same, as the key pair of a local cloud that is a test's."""


class OutsideError(AssertionError):
    """A test tried to reach another machine."""


def isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Set dummy credentials, this home and a login name, and refuse connections beyond loopback."""
    dropped = ("AWS_", "DASK_", "XDG_", "CLUSTERFILE", "SUDO_USER")
    for name in [name for name in os.environ if name.startswith(dropped) or name == "CI"]:
        patch.delenv(name)
    files = {"AWS_CONFIG_FILE": "aws-config", "AWS_SHARED_CREDENTIALS_FILE": "aws-credentials", "HOME": ""}
    patch.setenv("LOGNAME", LOGIN_NAME)
    for name, value in {**CREDENTIALS, **{name: str(home / file) for name, file in files.items()}}.items():
        patch.setenv(name, value)
    # dask determines its home at import, which may have happened already.
    patch.setattr(dask.config, "paths", [str(home / ".config" / "dask")])
    connect = socket.socket.connect

    def connect_here(self, address):
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(LOOPBACK):
            raise OutsideError(f"a test tried to reach {address}")
        return connect(self, address)

    patch.setattr(socket.socket, "connect", connect_here)
