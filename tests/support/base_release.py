"""The Debian release that the tests' images start from: the one with this Python."""

from dask_bake.models.debian import BOOKWORM, NEWEST, RUNNING_PYTHON, release_with

PYTHON = RUNNING_PYTHON
BASE = release_with(PYTHON) or NEWEST
NETWORK_STAGE = "cloud-init" if BASE == BOOKWORM else "cloud-init-network"
"""Unit of cloud-init's second stage."""
