"""Render the user-data of a node from its role and settings, and check the result."""

import re

from dask_bake.assets import userdata_directory
from dask_bake.cloud_init.encoding import yaml_value
from dask_bake.cloud_init.files import node_files
from dask_bake.cloud_init.merge import check_user_config, merge
from dask_bake.cloud_init.settings import NodeSettings
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Role

USER_DATA_LIMIT = 16_384
"""Bytes of user-data that EC2 accepts (EC2 user guide, user data)."""
PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]*)PRIVATE KEY-----.*?(-----END (?P=kind)PRIVATE KEY-----|\Z)", re.DOTALL
)


def render(role: Role, settings: NodeSettings) -> str:
    """Return the user-data of a node: a ``#cloud-config`` in which every value is JSON.

    Raises:
        UsageError: if a value of the user cannot be encoded, or the result is too large.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(userdata_directory()),
        undefined=jinja2.StrictUndefined,
        finalize=yaml_value,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - the result is YAML, not HTML; yaml_value escapes each value
    )
    files = tuple(node_files(role, settings))
    own = check_syntax(environment.get_template(f"{role}.yaml.j2").render(settings=settings, files=files))
    text = own
    if settings.extra is not None:
        check_user_config(settings.extra)
        text = merge(own, settings.extra)
    sizes = {file.path: len(yaml_value(file.content)) for file in files}
    sizes["--user-data"] = len(text) - len(own)
    largest = max(sizes, key=lambda name: sizes[name])
    return check_size(text, f"; the largest part for a {role} node is {largest} with {sizes[largest]}")


def mask_private_keys(text: str) -> str:
    """Replace each private key in the text, also inside JSON, by a note."""
    return PRIVATE_KEY.sub("(a private key, not shown)", text)


def check_syntax(text: str) -> str:
    """Return the text, or raise a ``ValueError`` if cloud-init cannot read it as a ``#cloud-config``."""
    import yaml

    if not text.startswith("#cloud-config\n"):
        raise ValueError("user-data must begin with the line #cloud-config")
    if not isinstance(yaml.safe_load(text), dict):
        raise ValueError("user-data must be a mapping")  # noqa: TRY004 - the text is wrong, not its type
    return text


def check_size(text: str, largest: str = "") -> str:
    """Return the text, or raise a ``UsageError`` if it exceeds ``USER_DATA_LIMIT``."""
    size = len(text.encode())
    if size > USER_DATA_LIMIT:
        raise UsageError(
            f"the user-data has {size} bytes, and EC2 allows {USER_DATA_LIMIT}{largest}",
            hint="bake large files into the image, or let the nodes download them from S3",
        )
    return text
