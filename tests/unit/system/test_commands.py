"""The system's programs as the local cloud runs them: what they say, that they fail, that they do not end."""

import pytest

from dask_bake.errors import BakeError
from dask_bake.local.commands import run


def test_what_a_program_prints_is_returned():
    assert run(["cat"], text="said\n") == "said\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sh", "-c", "echo one; echo two >&2; exit 3"], "`sh -c .*` failed: two"),
        (["no-such-program"], "no-such-program is not installed"),
        (["sleep", "600"], "`sleep 600` did not end within 0 s"),
    ],
)
def test_a_program_that_fails_or_does_not_end_is_one_sentence(command, said):
    with pytest.raises(BakeError, match=said):
        run(command, seconds=0.3)
