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
PARAMETER = r"[\w.-]*(?:token|key|secret|passw(?:or)?d|auth|sig|signature|credential)=[^&#\s\'\")]+"
QUERY = re.compile(rf"(?P<before>[?&]){PARAMETER}(?:&{PARAMETER})*(?P<more>&)?", re.IGNORECASE)
"""Secrets in the query of a URL: ?access_token=…, &X-Amz-Signature=…."""

OF_OTHER_LANGUAGES = ("r-", "bioconductor-", "perl-", "xorg-")
"""Prefixes that conda gives to packages of R, Perl and X.org."""


@dataclass(frozen=True)
class KnownNames:
    """conda's well-known names, compared as pip's index does (PEP 503)."""

    same: frozenset[str]
    conda_only: frozenset[str]
    renamed: Mapping[str, str]

    def is_conda_only(self, name: str) -> bool:
        """Return whether a name is of a program or library that is no Python project."""
        return normalized_name(name) in self.conda_only or name.lower().startswith(OF_OTHER_LANGUAGES)


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
    text = TOKEN.sub(r"\g<before>", USER_INFO.sub("", text))
    return QUERY.sub(lambda found: found["before"] if found["more"] else "", text)
