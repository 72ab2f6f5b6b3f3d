"""A channel's address without the credentials that it may hold: what locks, images and messages show."""

import re

USER_INFO = re.compile(r"(?<=://)[^/\s]+@")
TOKEN = re.compile(r"""(?P<before>https?://\S*?/)t/[^/\s\'\")]+/?""")
"""conda's own way: https://host/t/TOKEN/channel."""


def without_secrets(text: str) -> str:
    """The text, in which no address holds a password or a token."""
    return TOKEN.sub(r"\g<before>", USER_INFO.sub("", text))
