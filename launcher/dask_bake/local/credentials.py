"""The key pair of a local cloud: made by each start of its server, in a file that only its owner can read.

The file has the format of AWS's shared credentials file, so that ``AWS_SHARED_CREDENTIALS_FILE`` can name it.
"""

import configparser
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dask_bake.errors import BakeError, UsageError
from dask_bake.local.settings import Settings

ACCESS_KEY_PREFIX = "LOCALCLOUD"
"""Begins every local cloud's access key; AWS's begin with AKIA and ASIA."""
ACCESS_KEY_LENGTH = 20
SECTION = "default"


@dataclass(frozen=True)
class Credentials:
    """The key pair with which requests to a local cloud are signed."""

    access_key: str
    secret_key: str = field(repr=False)
    file: Path | None = field(default=None, compare=False)


def owner_uid(environ: Mapping[str, str] = os.environ) -> int:
    """Return the user that may use the server's cloud: the one who called sudo, or the server's own."""
    caller = environ.get("SUDO_UID", "")
    return int(caller) if os.geteuid() == 0 and caller.isascii() and caller.isdecimal() else os.geteuid()


def new_key_pair() -> Credentials:
    """Return a new key pair."""
    letters = string.ascii_uppercase + string.digits
    rest = (secrets.choice(letters) for _ in range(ACCESS_KEY_LENGTH - len(ACCESS_KEY_PREFIX)))
    return Credentials(ACCESS_KEY_PREFIX + "".join(rest), secrets.token_urlsafe(30))


def make_credentials(settings: Settings, owner: int) -> Credentials:
    """Make a key pair, and write it to the file of this local cloud, readable by that user only."""
    made = new_key_pair()
    settings.credentials_file.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(settings.credentials_file, flags, 0o600), "w") as file:
        file.write(
            f"[{SECTION}]\naws_access_key_id = {made.access_key}\naws_secret_access_key = {made.secret_key}\n"
        )
        os.fchown(file.fileno(), owner, -1)
    return made


def read_credentials(settings: Settings) -> Credentials:
    """Return the key pair of the running local cloud.

    Raises:
        UsageError: when it belongs to another user.
        BakeError: when there is none.
    """
    content = configparser.ConfigParser(interpolation=None)
    try:
        content.read_string(settings.credentials_file.read_text())
        pair = content[SECTION]
        return Credentials(
            pair["aws_access_key_id"], pair["aws_secret_access_key"], settings.credentials_file
        )
    except PermissionError:
        raise foreign_cloud_error(settings) from None
    except (OSError, KeyError, ValueError, configparser.Error) as error:
        raise BakeError(
            f"the local cloud {settings.name} is not running", hint="start it with dask-bake local up"
        ) from error


def foreign_cloud_error(settings: Settings) -> UsageError:
    """Return the error for a local cloud that another user of this machine started."""
    return UsageError(
        f"the local cloud {settings.name} belongs to another user of this machine",
        hint="run one of your own: set DASK_BAKE_LOCAL_NAME, DASK_BAKE_LOCAL_PORT and DASK_BAKE_LOCAL_ROOT",
    )
