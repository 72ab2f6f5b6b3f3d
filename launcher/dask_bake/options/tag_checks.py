"""Checks of the user's tags: EC2's restrictions, and prefixes that dask-bake reserves."""

import re

from dask_bake.errors import UsageError
from dask_bake.options.launch import LaunchOptions

RESERVED_PREFIXES = ("aws:", "dask-bake:")
LONGEST_KEY, LONGEST_VALUE, MOST_TAGS = 128, 256, 50
TAG_CHARACTERS = re.compile(r"[\w \t+\-=._:/@]*")
"""Letters, digits, spaces and + - = . _ : / @ (EC2 user guide, tag restrictions)."""
OWN_TAGS = 25
"""Number of tags that dask-bake itself may put on an instance."""


def check_tags(options: LaunchOptions) -> None:
    """Raise a ``UsageError`` for the first tag that EC2 would refuse or that dask-bake reserves."""
    for flag, pairs in (("--tags", options.tags), ("--tag", options.tag)):
        for key, value in pairs:
            _check_tag(flag, key, value)
    both = dict(options.tags).keys() & dict(options.tag).keys()
    for key in sorted(both):
        if dict(options.tags)[key] != dict(options.tag)[key]:
            raise UsageError(f"--tag and --tags give different values of {key}", hint="give it once")
    if len(options.all_tags) > MOST_TAGS - OWN_TAGS:
        raise UsageError(
            f"--tag gives {len(options.all_tags)} tags, and at most {MOST_TAGS - OWN_TAGS} are possible",
            hint=f"EC2 allows {MOST_TAGS} tags per instance, and dask-bake sets up to {OWN_TAGS}",
        )


def _check_tag(flag: str, key: str, value: str) -> None:
    invalid = sorted({character for character in key + value if not TAG_CHARACTERS.fullmatch(character)})
    if invalid:
        raise UsageError(
            f"{flag} {key[:40]!r}: EC2 does not allow {invalid[0]!r} in tags",
            hint="use letters, digits, spaces and + - = . _ : / @",
        )
    if key.lower().startswith(RESERVED_PREFIXES):
        raise UsageError(
            f"{flag} {key}: keys that start with {' or '.join(RESERVED_PREFIXES)} are reserved",
            hint="choose another key",
        )
    if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
        raise UsageError(
            f"{flag} {key[:40]}: EC2 allows {LONGEST_KEY} characters in a key and {LONGEST_VALUE} in a value",
            hint="shorten it",
        )
