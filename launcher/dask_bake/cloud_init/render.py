"""What a node is told at boot: role and values in, checked cloud-config text out."""

import re

from dask_bake.assets import userdata_directory
from dask_bake.cloud_init.encoding import yaml_value
from dask_bake.cloud_init.files import files_of
from dask_bake.cloud_init.merge import check_extra, join
from dask_bake.cloud_init.settings import NodeSettings, Preload
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Role

__all__ = ["LIMIT", "NodeSettings", "Preload", "masked", "render"]

LIMIT = 16_384
PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]*)PRIVATE KEY-----.*?(-----END (?P=kind)PRIVATE KEY-----|\Z)", re.DOTALL
)


def render(role: Role, settings: NodeSettings) -> str:
    """The user-data of a node: a ``#cloud-config`` whose every value is JSON, and that was parsed again.

    Raises:
        UsageError: when something of the user's cannot be told, or all of it is too much.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(userdata_directory()),
        undefined=jinja2.StrictUndefined,
        finalize=yaml_value,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - this is YAML; yaml_value is what makes a value safe in it
    )
    files = tuple(files_of(role, settings))
    ours = check(environment.get_template(f"{role}.yaml.j2").render(settings=settings, files=files))
    text = ours
    if settings.extra is not None:
        check_extra(settings.extra)
        text = join(ours, settings.extra)
    rooms = {file.path: len(yaml_value(file.content)) for file in files}
    rooms["--user-data"] = len(text) - len(ours)
    largest = max(rooms, key=lambda name: rooms[name])
    return check_size(text, f"; the largest part of a {role}'s is {largest}, with {rooms[largest]}")


def masked(text: str) -> str:
    """The text with a note in place of each private key, also of those in JSON."""
    return PRIVATE_KEY.sub("(a private key, not shown)", text)


def check(text: str) -> str:
    """The text, if cloud-init would read it as meant."""
    import yaml

    if not text.startswith("#cloud-config\n"):
        raise ValueError("user-data must begin with the line #cloud-config")
    if not isinstance(yaml.safe_load(text), dict):
        raise ValueError("user-data must be a mapping")  # noqa: TRY004 - the text is wrong, not its type
    return text


def check_size(text: str, largest: str = "") -> str:
    """The text, if it is within EC2's limit on user-data."""
    size = len(text.encode())
    if size > LIMIT:
        raise UsageError(
            f"the user-data is {size} bytes, and EC2 takes {LIMIT}{largest}",
            hint="bake what is large into the image, or let the nodes fetch it from S3",
        )
    return text
