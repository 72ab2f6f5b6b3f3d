"""A stream that cannot be written any more aborts no command."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dask_bake.system.streams import TolerantStream, escape_unencodable


def test_writing_to_a_closed_pipe_raises_nothing():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        tolerant = TolerantStream(stream)
        tolerant.write("one\n")
        tolerant.flush()
        assert os.read(reading, 9) == b"one\n"
        os.close(reading)
        for _ in range(3):
            tolerant.write("two\n")
            tolerant.flush()

        assert Path(f"/proc/self/fd/{writing}").readlink() == Path(os.devnull)


def test_a_stream_whose_file_became_a_pipe_is_left_as_it_is(tmp_path):
    reading, writing = os.pipe()
    with (tmp_path / "output").open("w") as stream:
        os.dup2(writing, stream.fileno())
        escape_unencodable(stream)
        stream.write("one\n")
        stream.flush()
        assert os.read(reading, 9) == b"one\n"
    os.close(reading)
    os.close(writing)


def test_text_is_written_unchanged():
    stream = io.StringIO()
    tolerant = TolerantStream(stream)

    assert (tolerant.write("one\n"), stream.getvalue(), tolerant.isatty()) == (4, "one\n", False)


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
def test_an_error_that_cannot_be_printed_still_has_its_exit_code(stderr):
    command = f"exec {sys.executable} -m dask_bake launch --count 1 {stderr}"

    assert subprocess.run(["sh", "-c", command], check=False).returncode == 2
