"""What a node is told at boot: role and values in, checked cloud-config text out."""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from dask_bake.assets import userdata_directory
from dask_bake.certificates import NodeTls
from dask_bake.errors import UsageError
from dask_bake.models import Role

LIMIT = 16_384
PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]*)PRIVATE KEY-----.*?(-----END (?P=kind)PRIVATE KEY-----|\Z)", re.DOTALL
)


@dataclass(frozen=True)
class Preload:
    """Code that each worker process loads: a module's name; or a file's name, with its text."""

    name: str
    source: str | None


@dataclass(frozen=True)
class NodeSettings:
    """What the nodes of a role are told.

    Args:
        scheduler: its address, such as ``tcp://10.0.0.4:8786``.
        worker_options: further words of ``dask worker``.
        scheduler_options: further words of ``dask scheduler``.
        environment: variables for scheduler, workers, Jupyter's kernels and shells.
        user: the login user to be, where it is not the image's own.
        extra: the user's own ``#cloud-config``, which is merged.
    """

    cluster: str
    public_key: str
    scheduler: str
    nprocs: int
    nthreads: int
    memory_limit: str = "auto"
    worker_options: tuple[str, ...] = ()
    scheduler_options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    preloads: tuple[Preload, ...] = ()
    tls: NodeTls | None = None
    user: str | None = None
    dask: bool = True
    notebook: bool = True
    extra: str | None = None


def render(role: Role, settings: NodeSettings) -> str:
    """The user-data of a node: a ``#cloud-config`` whose every value is JSON, and that was parsed again."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(userdata_directory()),
        undefined=jinja2.StrictUndefined,
        finalize=json.dumps,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - this is YAML; json.dumps is what makes a value safe in it
    )
    environment.globals.update(environment_file=environment_file, yaml_file=yaml_file)
    text = environment.get_template(f"{role}.yaml.j2").render(
        cluster=settings.cluster,
        public_key=settings.public_key,
        nprocs=settings.nprocs,
        nthreads=settings.nthreads,
        scheduler=settings.scheduler,
    )
    return check(text)


def masked(text: str) -> str:
    """The text with a note in place of each private key, also of those in JSON."""
    return PRIVATE_KEY.sub("(a private key, not shown)", text)


def check(text: str) -> str:
    """The text, if cloud-init would read it as meant and EC2 would take it."""
    import yaml

    if not text.startswith("#cloud-config\n"):
        raise ValueError("user-data must begin with the line #cloud-config")
    if not isinstance(yaml.safe_load(text), dict):
        raise ValueError("user-data must be a mapping")  # noqa: TRY004 - the text is wrong, not its type
    return check_size(text)


def check_size(text: str) -> str:
    """The text, if it is within EC2's limit on user-data."""
    size = len(text.encode())
    if size > LIMIT:
        raise UsageError(f"the user-data is {size} bytes, and EC2 takes {LIMIT}")
    return text


def environment_file(**values: Any) -> str:
    """The lines of a systemd ``EnvironmentFile``, which a shell reads the same way."""
    return "".join(f"{key}={_quote(str(value))}\n" for key, value in values.items())


def yaml_file(values: dict[str, Any]) -> str:
    """A YAML document, written as JSON, which is YAML."""
    return json.dumps(values, indent=2) + "\n"


def _quote(value: str) -> str:
    if not value.isprintable():
        raise UsageError(f"{value!r} cannot be handed to a node: it holds a control character")
    return shlex.quote(value)
