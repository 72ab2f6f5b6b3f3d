"""Files for the nodes: SSH key, certificates, and the texts of the user's files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dask_bake.cloud_init.certificates import NodeTls, create_authority, issue, issue_for_nodes
from dask_bake.cloud_init.render import render
from dask_bake.cloud_init.settings import NodeSettings, Preload
from dask_bake.errors import UsageError
from dask_bake.launch.placement import WorkerLayout
from dask_bake.models.cloud import Role
from dask_bake.models.cluster import SCHEDULER_PORT
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.text_files import read_text
from dask_bake.ssh.keypair import KeyPair, new_key, read_key
from dask_bake.ssh.keystore import ClientTls, Keys

IMPORTED = ("ssh-rsa ", "ssh-ed25519 ")
"""Key types that ImportKeyPair accepts."""


@dataclass(frozen=True)
class Bootstrap:
    """Data for the nodes besides the options: public key, certificates, texts of the user's files."""

    public_key: str
    tls: Mapping[Role, NodeTls] = field(default_factory=dict)
    preloads: tuple[Preload, ...] = ()
    extra: str | None = None

    def user_data(
        self, options: LaunchOptions, role: Role, layout: WorkerLayout, *, head_address: str, user: str | None
    ) -> str:
        """Return the user-data of a node of that role.

        Args:
            user: the login user, if it is not the image's own.
        """
        scheme = "tls" if options.tls else "tcp"
        settings = NodeSettings(
            cluster=options.name,
            public_key=self.public_key,
            scheduler=f"{scheme}://{head_address}:{SCHEDULER_PORT}",
            nprocs=layout.nprocs,
            nthreads=layout.nthreads,
            memory_limit=options.memory_limit,
            worker_options=options.worker_arguments,
            scheduler_options=options.scheduler_arguments,
            environment=options.env,
            preloads=self.preloads,
            tls=self.tls.get(role),
            user=user,
            dask=options.dask,
            notebook=options.notebook and options.dask,
            extra=self.extra,
            max_lifetime=options.max_lifetime,
            idle_timeout=options.idle_timeout,
            keep_on_failure=options.keep_on_failure,
            credentials=options.credential_source,
        )
        return render(role, settings)


def keys_for(options: LaunchOptions) -> Keys:
    """Return the SSH key and, with ``--tls``, a CA for the cluster with a client certificate."""
    if not options.tls:
        return Keys(key_pair(options))
    authority = create_authority(options.name)
    return Keys(key_pair(options), ClientTls(authority, issue(authority, "client")))


def key_pair(options: LaunchOptions) -> KeyPair:
    """Return the user's SSH key, or a new one for the cluster."""
    if options.keypair is not None:
        pair = read_key(options.keypair)
        if not options.provision and options.keyname is None and not pair.public.startswith(IMPORTED):
            raise UsageError(
                f"--no-provision imports the key as an EC2 key pair, and --keypair {options.keypair} is"
                f" {pair.public.split()[0]}: EC2 accepts only RSA and ED25519",
                hint="ssh-keygen -t ed25519 makes one; without --keypair the cluster gets a key of its own",
            )
        return pair
    return new_key(f"dask-bake {options.name}")


def bootstrap_files(options: LaunchOptions, keys: Keys) -> Bootstrap:
    """Return the data for the nodes; it never includes the CA's private key."""
    return Bootstrap(
        public_key=keys.pair.public,
        tls={} if keys.tls is None else issue_for_nodes(keys.tls.authority),
        preloads=tuple(_preload(each) for each in options.preload),
        extra=None if options.user_data is None else read_text(options.user_data, "--user-data"),
    )


def _preload(given: str) -> Preload:
    if not given.endswith(".py"):
        return Preload(given, None)
    path = Path(given)
    return Preload(path.name, read_text(path, "--preload"))
