"""The user of this machine, by name."""

import getpass
import os
import socket


def login_name() -> str:
    """Return the user's login name; for root by sudo, that of who called it; "" if the user has none."""
    if os.geteuid() == 0 and (caller := os.environ.get("SUDO_USER", "")):
        return caller
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user that is in no list of users, as in some containers
        return ""


def user_at_host() -> str:
    """Return the user with the host's short name, such as ``anna@laptop``; "" for a user without a name."""
    name = login_name()
    return f"{name}@{socket.gethostname().partition('.')[0]}" if name else ""
