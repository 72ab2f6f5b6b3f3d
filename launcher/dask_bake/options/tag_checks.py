"""Which tags a launch may have: EC2's rules, and none of dask-bake's own."""

import re

from dask_bake.errors import UsageError
from dask_bake.options.launch import LaunchOptions

OWN_TAGS = ("aws:", "dask-bake:")
TAG_KEY, TAG_VALUE, MOST_TAGS = 128, 256, 50
TAG = re.compile(r"[\w \t+\-=._:/@]*")
"""What EC2 takes in tags (EC2 user guide, tag restrictions): letters, digits, spaces and + - = . _ : / @."""
OUR_OWN_TAGS = 12
"""How many tags dask-bake itself may put on an instance, beside the user's."""


def check_tags(options: LaunchOptions) -> None:
    """Raises a ``UsageError`` for the first tag that cannot be."""
    for flag, pairs in (("--tags", options.tags), ("--tag", options.tag)):
        for key, value in pairs:
            _check_tag(flag, key, value)
    both = dict(options.tags).keys() & dict(options.tag).keys()
    for key in sorted(both):
        if dict(options.tags)[key] != dict(options.tag)[key]:
            raise UsageError(f"--tag and --tags both give {key}, and differ", hint="give it once")
    if len(options.all_tags) > MOST_TAGS - OUR_OWN_TAGS:
        raise UsageError(
            f"--tag gives {len(options.all_tags)} tags: at most {MOST_TAGS - OUR_OWN_TAGS} fit beside"
            " dask-bake's own",
            hint=f"EC2 takes {MOST_TAGS} on an instance",
        )


def _check_tag(flag: str, key: str, value: str) -> None:
    wrong = sorted({character for character in key + value if not TAG.fullmatch(character)})
    if wrong:
        raise UsageError(
            f"{flag} {key[:40]!r}: EC2 takes no {wrong[0]!r} in a tag",
            hint="letters, digits, spaces and + - = . _ : / @ are fine",
        )
    if key.lower().startswith(OWN_TAGS):
        raise UsageError(
            f"{flag} {key}: tags of that beginning are not yours to set", hint="take another key"
        )
    if len(key) > TAG_KEY or len(value) > TAG_VALUE:
        raise UsageError(
            f"{flag} {key[:40]}: EC2 takes keys of {TAG_KEY} characters and values of {TAG_VALUE}",
            hint="shorten it",
        )
