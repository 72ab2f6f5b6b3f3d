"""Files of the user's that are text, or the sentence that says why one is not."""

from pathlib import Path

from dask_bake.errors import UsageError


def read_text(path: Path, flag: str) -> str:
    """The file's text; ``flag`` is what named it."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{flag} {path} is no text", hint="it should be UTF-8") from error
    except OSError as error:
        raise UsageError(
            f"{flag} {path} cannot be read: {error.strerror}", hint="it is a file of this machine"
        ) from error
