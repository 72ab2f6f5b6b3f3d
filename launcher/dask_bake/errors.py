"""Errors for users: a message, a hint and an exit code.

Every other exception is a defect of dask-bake: where it may have left something, ``unexpected`` makes it a
``BakeError``, and elsewhere the command line does. ``ec2/errors.py`` translates botocore's exceptions.
"""

from collections.abc import Sequence

LONGEST_TEXT = 300
"""Characters of an unexpected exception in a message."""


class BakeError(Exception):
    """A failure after which nothing that the command created is left.

    Args:
        message: what failed, with the value that was wrong.
        hint: the command or change that helps.
        defect: the unexpected exception that caused the error, if one did.
    """

    exit_code = 1
    may_have_happened = False
    """True if the operation may have succeeded despite the error."""

    def __init__(self, message: str, *, hint: str | None = None, defect: Exception | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.defect = defect


class UsageError(BakeError):
    """A request that cannot be carried out as it is; nothing was tried, and the hint is never missing."""

    exit_code = 2
    hint: str

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)


class NoClusterError(UsageError):
    """A name that no cluster has; for ``down`` there is nothing left to do."""


class NotReadyError(BakeError):
    """A failure of instances that were started to become ready."""


class InstanceReclaimedError(NotReadyError):
    """An instance that EC2 ended for a reason of its own; elsewhere a launch may succeed."""


class TransientError(BakeError):
    """A temporary refusal by EC2; retrying may succeed."""


class OutcomeUnknownError(TransientError):
    """A request without a definite response: the operation may have succeeded."""

    may_have_happened = True


class NotAwsResponseError(OutcomeUnknownError):
    """A response that did not come from EC2, for example a proxy's HTML page."""


class QuotaError(BakeError):
    """A quota of the account that is too small, in every zone of the region."""


class CapacityError(BakeError):
    """A lack of capacity for the instances; ``zones`` are those that EC2 recommends instead."""

    def __init__(self, message: str, *, hint: str | None, code: str, zones: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.zones = zones


class CommandInterruptedError(BakeError):
    """Ctrl-C during a command that changes something; the message says what may have changed."""

    exit_code = 130


class LeftoverError(BakeError):
    """A failure after which something that costs money may be left; the message names each resource."""

    exit_code = 3


def merge_errors(errors: Sequence[BakeError]) -> LeftoverError:
    """Merge several errors into one, with each of their hints about leftovers once."""
    hints = [error.hint for error in errors if isinstance(error, LeftoverError)]
    return LeftoverError(
        "\n".join(error.message for error in errors),
        hint="; ".join(dict.fromkeys(filter(None, hints))),
        defect=first_defect(errors),
    )


def first_defect(errors: Sequence[BakeError]) -> Exception | None:
    """Return the unexpected exception behind the first of the errors that has one."""
    return next((error.defect for error in errors if error.defect is not None), None)


def unexpected(error: Exception, *, left: str = "") -> BakeError:
    """Return the error for an exception that dask-bake does not expect; a ``BakeError`` stays as it is.

    Args:
        left: continues the sentence; what is left.
    """
    if isinstance(error, BakeError):
        return error
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":.")
    return BakeError(f"{text[:LONGEST_TEXT]}; this is a defect in dask-bake{left}", defect=error)
