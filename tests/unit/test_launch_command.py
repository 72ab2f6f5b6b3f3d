"""What `launch` does besides launching."""

import pytest

from dask_bake.errors import LeftoverError
from dask_bake.launch_command import write_metadata


def test_a_file_that_cannot_be_written_leaves_a_cluster_and_says_so(tmp_path):
    """Exit code 3, the cluster's name, and how to end it."""
    with pytest.raises(
        LeftoverError, match="could not be written: Is a directory; the cluster mine is up"
    ) as caught:
        write_metadata(tmp_path, {}, name="mine")

    assert caught.value.exit_code == 3
    assert "dask-bake down mine" in (caught.value.hint or "")
