"""Keywords of ``launch()`` and ``BakeCluster``: the options of ``dask-bake launch``, as Python values."""

import difflib
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from dask_bake.commands.launch_options import configured_options
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Connect, CredentialSource
from dask_bake.options.configuration import read_configuration
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.launch_table import OPTIONS
from dask_bake.options.values import LONGEST_NAME, integer

SUFFIX_BYTES = 2
"""Random bytes in the name of a ``BakeCluster`` that was given none."""


class NodeKeywords(TypedDict, total=False):
    """Options of a launch by their names in Python; values are as in a configuration file."""

    count: int
    image_name: str
    ami: str
    timeout: int
    file: Path | str
    allow_mismatch: bool
    type: str | Sequence[str]
    head_type: str | Sequence[str]
    nprocs: int | str
    nthreads: int
    memory_limit: str
    worker_options: str
    scheduler_options: str
    preload: str | Sequence[str]
    env: Mapping[str, str] | Sequence[str]
    user_data: Path | str
    volume_type: str
    volume_size: int
    volume_initialization_rate: int
    placement_group: str
    tag: Mapping[str, str] | Sequence[str]
    tags: Mapping[str, str] | str
    provision: bool
    dask: bool
    notebook: bool
    zone: str | Sequence[str]
    spot: bool
    spot_with_fallback: bool
    min_workers: int
    keep_size: bool
    max_lifetime: int | str
    idle_timeout: int | str
    keep_on_failure: bool
    vpc_id: str
    subnet_id: str
    private: bool
    connect: Connect | str
    bastion: str
    cidr: str | Sequence[str]
    allow_wide_cidr: bool
    security_group: str
    security_group_id: str
    tls: bool
    keyname: str
    keypair: Path | str
    username: str
    iaminstance_name: str
    credentials: CredentialSource | str


class LaunchKeywords(NodeKeywords, total=False):
    """The same with the cluster's name."""

    name: str


def launch_options(keywords: Mapping[str, Any], function: str) -> LaunchOptions:
    """Return the checked options: keyword, then configuration, then default.

    Raises:
        TypeError: for a keyword that is none, as Python does.
    """
    names = {option.name for option in OPTIONS}
    for name in keywords:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            meant = f". Did you mean '{near[0]}'?" if near else ""
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'{meant}")
    return configured_options(keywords)


def cluster_options(keywords: Mapping[str, Any], n_workers: int | None) -> LaunchOptions:
    """Return the options of a ``BakeCluster``; without a name, a new one is made for each.

    Args:
        n_workers: the number of worker processes, for whole nodes; in place of ``count``.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    options = launch_options(given, "BakeCluster")
    if not options.runs_dask:
        raise UsageError(
            "a BakeCluster needs Dask on its nodes, and dask=False or provision=False starts none",
            hint="launch(dask=False) launches such a cluster",
        )
    if "name" not in given and "name" not in read_configuration():
        suffix = secrets.token_hex(SUFFIX_BYTES)
        stem = options.name[: LONGEST_NAME - len(suffix) - 1].rstrip("-")
        options = replace(options, name=f"{stem}-{suffix}")
    if n_workers is None:
        return options
    if "count" in given:
        raise UsageError(
            "count and n_workers both give the size",
            hint="count is in nodes and includes the head; n_workers is in worker processes",
        )
    if options.nprocs is None:
        raise UsageError(
            'n_workers cannot be combined with nprocs="auto"',
            hint="count=4 gives three worker nodes, each with as many worker processes as Dask chooses",
        )
    workers = max(1, integer(n_workers, "n_workers"))
    return replace(options, count=math.ceil(workers / options.nprocs) + 1)
