"""What a launch brings along: its SSH key, its certificates, and the texts of the user's files."""

from pathlib import Path

from dask_bake.certificates import hand_out, issue, new_authority
from dask_bake.options import LaunchOptions
from dask_bake.plan import Handout
from dask_bake.secrets_folder import ClientTls, KeyPair, Keys, new_key, read_key
from dask_bake.text_files import read_text
from dask_bake.userdata import Preload


def keys_for(options: LaunchOptions) -> Keys:
    """The SSH key, and with ``--tls`` an authority for the cluster with a client's certificate."""
    if not options.tls:
        return Keys(key_pair(options))
    authority = new_authority(options.name)
    return Keys(key_pair(options), ClientTls(authority, issue(authority, "client")))


def key_pair(options: LaunchOptions) -> KeyPair:
    """The user's key, or a new one for the cluster."""
    if options.keypair is not None:
        return read_key(options.keypair)
    return new_key(f"dask-bake {options.name}")


def handout(options: LaunchOptions, keys: Keys) -> Handout:
    """What the nodes are handed; the authority's key is none of it."""
    return Handout(
        public_key=keys.pair.public,
        tls={} if keys.tls is None else hand_out(keys.tls.authority),
        preloads=tuple(_preload(each) for each in options.preload),
        extra=None if options.user_data is None else read_text(options.user_data, "--user-data"),
    )


def _preload(given: str) -> Preload:
    if not given.endswith(".py"):
        return Preload(given, None)
    path = Path(given)
    return Preload(path.name, read_text(path, "--preload"))
