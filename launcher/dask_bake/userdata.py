"""What a node is told at boot: role and values in, checked cloud-config text out."""

import json
import shlex
from typing import Any

from dask_bake.assets import userdata_directory
from dask_bake.errors import UsageError
from dask_bake.models import SCHEDULER_PORT, Role

LIMIT = 16_384


def render(
    role: Role,
    *,
    cluster: str,
    public_key: str,
    nprocs: int,
    nthreads: int,
    head_address: str = "127.0.0.1",
) -> str:
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
        cluster=cluster,
        public_key=public_key,
        nprocs=nprocs,
        nthreads=nthreads,
        scheduler=f"tcp://{head_address}:{SCHEDULER_PORT}",
    )
    return check(text)


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
