"""What a launch brings along: its SSH key, its certificates, and the texts of the user's files."""

from pathlib import Path

from dask_bake.option_checks import read_text
from dask_bake.options import LaunchOptions
from dask_bake.plan import Handout
from dask_bake.secrets_folder import KeyPair, new_key, read_key
from dask_bake.userdata import Preload


def key_pair(options: LaunchOptions) -> KeyPair:
    """The user's key, or a new one for the cluster."""
    if options.keypair is not None:
        return read_key(options.keypair)
    return new_key(f"dask-bake {options.name}")


def handout(options: LaunchOptions, pair: KeyPair) -> Handout:
    """What the nodes are handed."""
    return Handout(
        public_key=pair.public,
        preloads=tuple(_preload(each) for each in options.preload),
        extra=None if options.user_data is None else read_text(options.user_data, "--user-data"),
    )


def _preload(given: str) -> Preload:
    if not given.endswith(".py"):
        return Preload(given, None)
    path = Path(given)
    return Preload(path.name, read_text(path, "--preload"))
