"""A stream to which one can always write: what nobody can read any more is lost, and the work goes on."""

import os
from contextlib import suppress
from typing import Any, TextIO


class Lossy:
    """The stream, until it is full, or its reader or terminal has gone: from then on it leads nowhere.

    So ``dask-bake launch 2>&1 | tee log`` is undone by Ctrl-C, which ends ``tee`` as well.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text, or loses it."""
        try:
            return self._stream.write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        """Brings out what was written, or loses it."""
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self) -> None:
        # What is still in the stream's buffer goes there, too.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
