"""Errors as Python and notebooks show them: one sentence, its hint, and no frames of ours."""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

from dask_bake.errors import BakeError
from dask_bake.hints import complete, flags_of
from dask_bake.system.text import printable

P = ParamSpec("P")
T = TypeVar("T")
DEBUG = "DASK_BAKE_DEBUG"
"""The variable that keeps the whole traceback, as on the command line."""


def explained(function: Callable[P, T]) -> Callable[P, T]:
    """Make the errors of a public function ready to be shown; its keywords say which cloud was chosen."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except BakeError as error:
            raise ready(error, cloud_flags(kwargs)) from None

    return call


def cloud_flags(keywords: dict[str, object]) -> tuple[str, ...]:
    """Return the flags by which the caller chose the cloud, for commands in hints."""
    cloud, region, profile = (
        None if (value := keywords.get(name)) is None else str(value)
        for name in ("cloud", "region", "profile")
    )
    return flags_of(cloud=cloud, region=region, profile=profile)


def ready(error: BakeError, flags: Sequence[str]) -> BakeError:
    """Return the error with its hint in its text, printable, and without the frames in which it was raised.

    The frames of a defect stay.
    """
    error.hint = error.hint and printable(complete(error.hint, flags))
    error.args = ("\nHint: ".join(filter(None, (printable(error.message), error.hint))),)
    if error.defect is None and not os.environ.get(DEBUG):
        error.__cause__ = None
        return error.with_traceback(None)
    return error
