"""Names of packages and URLs: comparison, conda's names on pip's index, removal of secrets."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

USER_INFO = re.compile(r"(?<=://)[^/\s]+@")
TOKEN = re.compile(r"""(?P<before>https?://\S*?/)t/[^/\s\'\")]+/?""")
"""conda's URLs with a token: https://host/t/TOKEN/channel."""


@dataclass(frozen=True)
class KnownNames:
    """conda's well-known names, compared as pip's index does (PEP 503)."""

    same: frozenset[str]
    conda_only: frozenset[str]
    renamed: Mapping[str, str]


@cache
def known_names() -> KnownNames:
    """Return the content of names.toml."""
    content = tomllib.loads(Path(__file__).with_name("names.toml").read_text(encoding="utf-8"))
    return KnownNames(
        frozenset(content["same"].split()),
        frozenset(map(normalized_name, content["conda_only"].split())),
        dict(content["renamed"]),
    )


def pip_name(name: str) -> str:
    """Return the name on pip's index of conda's Python package; the same if no other is known."""
    return known_names().renamed.get(normalized_name(name), name)


def normalized_name(name: str) -> str:
    """Return a project's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def without_secrets(text: str) -> str:
    """Return the text without the passwords and tokens in its URLs."""
    return TOKEN.sub(r"\g<before>", USER_INFO.sub("", text))
