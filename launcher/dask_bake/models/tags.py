"""The EC2 tags by which dask-bake finds what it created; the cloud is the only record."""

from enum import StrEnum

Tags = tuple[tuple[str, str], ...]


class Tag:
    """Tag keys."""

    MANAGED = "dask-bake:managed"
    CLUSTER = "dask-bake:cluster"
    LAUNCH = "dask-bake:launch-id"
    CREATED = "dask-bake:created"
    ENDS = "dask-bake:ends"
    IDLE_TIMEOUT = "dask-bake:idle-timeout"
    OWNER = "dask-bake:owner"
    OWNER_ARN = "dask-bake:owner-arn"
    ROLE = "dask-bake:role"
    COUNT = "dask-bake:count"
    FIRST_INDEX = "dask-bake:first-index"
    NEXT_INDEX = "dask-bake:next-index"
    TYPES = "dask-bake:types"
    SUBNETS = "dask-bake:subnets"
    MARKET = "dask-bake:market"
    DISK = "dask-bake:disk"
    KEEP_SIZE = "dask-bake:keep-size"
    REPLACEMENT = "dask-bake:replacement"
    NPROCS = "dask-bake:nprocs"
    NTHREADS = "dask-bake:nthreads"
    DIGEST = "dask-bake:digest"
    PYTHON = "dask-bake:python"
    DASK = "dask-bake:dask"
    DISTRIBUTED = "dask-bake:distributed"
    NUMPY = "dask-bake:numpy"
    PANDAS = "dask-bake:pandas"
    INSTALLER = "dask-bake:installer"
    ENVIRONMENT = "dask-bake:environment"
    BASE = "dask-bake:base"
    BASE_NAME = "dask-bake:base-name"
    USER = "dask-bake:user"
    CONNECT = "dask-bake:connect"
    BASTION = "dask-bake:bastion"
    ENDPOINT = "dask-bake:endpoint"
    TLS = "dask-bake:tls"
    CREDENTIALS = "dask-bake:credentials"
    WITHOUT_DASK = "dask-bake:without-dask"
    VERIFIED = "dask-bake:verified"
    MANIFEST = "dask-bake:manifest-"


CLIENT_TAGS = (Tag.PYTHON, Tag.DISTRIBUTED)
"""Tags of an image, and of the nodes launched from it, with the versions that a client has to have."""
DEFAULT_ENVIRONMENT = "dask"
"""Value of ``Tag.ENVIRONMENT`` for an environment.yml without a name; dask-bake's own has this name."""


class Verified(StrEnum):
    """Values of ``Tag.VERIFIED``; an image without one is not ready yet, and one that failed never is."""

    YES = "yes"
    SKIPPED = "skipped"
    FAILED = "failed"


READY = (Verified.YES, Verified.SKIPPED)
"""Values of the tag ``verified`` with which an image can be used."""
