"""What a user may read when something is wrong: one sentence, a way out, an exit code."""

from collections.abc import Sequence


class BakeError(Exception):
    """Something failed, and nothing that this command made is left.

    Args:
        message: what went wrong, with the value that was wrong.
        hint: what to do about it.
    """

    exit_code = 1
    may_be_done = False
    """Whether what failed may have been done all the same, at an earlier try that got no clear answer."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BakeError):
    """The request itself is wrong, and nothing was tried: there always is a way out."""

    exit_code = 2
    hint: str

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)


class NotReadyError(BakeError):
    """Machines were started, and did not become what they should have."""


class TakenError(NotReadyError):
    """EC2 itself ended a machine, for a reason of its own: elsewhere it may not."""


class StoppedError(BakeError):
    """The user interrupted a command that changes what is there: the message says what may be changed."""

    exit_code = 130


class LeftoverError(BakeError):
    """Something failed, and something that costs money may be left: the message names each piece."""

    exit_code = 3


def joined(errors: Sequence[BakeError]) -> LeftoverError:
    """One error of several, with the ways out of what is left, each once."""
    hints = [error.hint for error in errors if isinstance(error, LeftoverError)]
    return LeftoverError(
        "\n".join(error.message for error in errors), hint="; ".join(dict.fromkeys(filter(None, hints)))
    )


class PassingError(BakeError):
    """EC2 does not do it now, and may do the very same later."""


class UnclearError(PassingError):
    """EC2 did not answer: whether it did what it was asked is not known."""

    may_be_done = True


class ForeignAnswerError(UnclearError):
    """There is an answer, and it is not EC2's."""


class QuotaError(BakeError):
    """The account may not have so many instances, in whatever zone of the region."""


class CapacityError(BakeError):
    """EC2 has no room for the instances here; ``zones`` are those that it says do have room."""

    def __init__(self, message: str, *, hint: str | None, code: str, zones: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.zones = zones
