"""Make stdout and stderr tolerant: of a closed pipe, and of characters that their encoding lacks."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


def escape_unencodable(*streams: TextIO | None) -> None:
    """Make the streams write a character that their encoding lacks as an escape such as ``\\xfc``."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            # A stream whose descriptor became a pipe later still counts as seekable, and cannot be.
            with suppress(OSError):
                stream.reconfigure(errors="backslashreplace")


class OutputError(OSError):
    """The standard output cannot be written, for example as its disk is full."""


class ReportingStream:
    """A text stream that raises ``OutputError``; a pipe whose reader is gone stays a ``BrokenPipeError``.

    After the error it leads to /dev/null, so that the interpreter does not fail at its end for the same
    reason.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text."""
        if text == "":
            return 0  # click asks in this way whether the stream takes text, and ignores errors
        with _output_errors(self._stream):
            return self._stream.write(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with _output_errors(self._stream):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class TolerantStream:
    """A text stream that leads to /dev/null once it cannot be written: full, its reader or terminal gone.

    So ``dask-bake launch 2>&1 | tee log`` cleans up after a Ctrl-C, which ends ``tee`` as well.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or discard it."""
        try:
            return self._stream.write(text)
        except OSError:
            _discard_output(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush the stream, or discard its buffer."""
        try:
            self._stream.flush()
        except OSError:
            _discard_output(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _output_errors(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        _discard_output(stream)
        raise
    except OSError as error:
        _discard_output(stream)
        raise OutputError(error.errno, error.strerror) from error


def _discard_output(stream: TextIO) -> None:
    """Lead the stream to /dev/null, with what is in its buffer."""
    with suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
