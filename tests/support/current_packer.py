"""HashiCorp's current Packer and its plugin, as ``make packer-current`` builds them."""

import os

import pytest

from dask_bake.commands.bake import directories_of

FOLDER = directories_of(os.environ).cache / "packer-current"  # before a test has a home of its own
SETTINGS_OF_CURRENT = {"PACKER_PLUGIN_PATH": str(FOLDER / "plugins")}
needs_current_packer = pytest.mark.skipif(
    not (FOLDER / "go.sum").exists(), reason="make packer-current builds the current Packer"
)
