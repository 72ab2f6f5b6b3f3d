"""The variables of an environment: parsed, checked, and written for /etc/environment of the image."""

import re
import shlex
from collections.abc import Mapping

from dask_bake.errors import UsageError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
UNSAFE = re.compile(r"[#'\"\\]|[^\x20-\x7e]")
"""pam_env(7) reads ``/etc/environment`` for sessions, and has no escapes for these."""
SECRET = re.compile(r"token|password|secret|://[^/@\s]+@", re.IGNORECASE)
HINT = "dask-bake launch --env KEY=VALUE sets it on the nodes of one cluster"


def parse_variables(given: object, origin: str) -> tuple[tuple[str, str], ...]:
    """Return the variables in an environment.yml, whose values are texts as written.

    Raises:
        UsageError: if one of them cannot be in an image.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise UsageError(f"{origin} has variables that are not KEY: VALUE", hint='variables: {KEY: "value"}')
    for key, value in given.items():
        _check(str(key), value, origin)
    return tuple(given.items())


def variables_file(variables: tuple[tuple[str, str], ...]) -> bytes:
    """Return the lines for /etc/environment."""
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in variables).encode()


def _check(key: str, value: object, origin: str) -> None:
    if not NAME.fullmatch(key):
        raise UsageError(f"{origin}: {key!r} is no name of a variable", hint="use letters, digits and '_'")
    if not isinstance(value, str):
        raise UsageError(f"{origin}: the value of {key} is not a text", hint=f'{key}: "value"')
    if UNSAFE.search(value):
        raise UsageError(f"{origin}: an image cannot hold the value of {key}: {value!r}", hint=HINT)
    if key == "PATH" or SECRET.search(f"{key}={value}"):
        what = "replace PATH" if key == "PATH" else f"hold a secret, as {key} seems to be"
        raise UsageError(f"{origin}: an image cannot {what}", hint=HINT)
