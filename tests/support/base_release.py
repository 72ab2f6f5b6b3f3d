"""The Debian release that the tests' images start from: the one with this Python."""

import sys

from dask_bake.models.debian import BOOKWORM, NEWEST, release_with

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BASE = release_with(PYTHON) or NEWEST
NETWORK_STAGE = "cloud-init" if BASE == BOOKWORM else "cloud-init-network"
"""The unit of cloud-init's second stage."""
