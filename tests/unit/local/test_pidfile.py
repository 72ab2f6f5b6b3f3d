"""One server for each local cloud, and one for each root."""

import os
from pathlib import Path

import pytest

from dask_bake.errors import BakeError
from dask_bake.local.pidfile import is_root_held, lock_pid_file, lock_root, running_pid
from dask_bake.local.settings import Settings


class Claimed(Settings):
    """Settings with a runtime folder below the root."""

    @property
    def runtime(self) -> Path:
        return self.root / "run"


def test_only_one_server_can_lock_a_local_cloud(tmp_path):
    settings = Claimed(name="mine", root=tmp_path)
    assert running_pid(settings) is None

    held = lock_pid_file(settings)
    assert running_pid(settings) == os.getpid()
    with pytest.raises(BakeError, match="another server of the local cloud mine is running"):
        lock_pid_file(settings)

    os.close(held)
    assert (running_pid(settings), settings.pid_file.read_text()) == (None, str(os.getpid()))
    os.close(lock_pid_file(settings))


def test_only_one_server_can_lock_a_root(tmp_path):
    first, second = (Settings(name=name, root=tmp_path / "root") for name in ("first", "second"))
    assert not is_root_held(first)

    held = lock_root(first)
    assert is_root_held(second)
    with pytest.raises(BakeError, match="is in use by another local cloud"):
        lock_root(second)

    os.close(held)
    assert not is_root_held(second)
    os.close(lock_root(second))


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_root_that_others_can_change_is_refused(tmp_path, mode):
    """They could put another folder into the place of the instances."""
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(mode)

    with pytest.raises(BakeError, match="other users of this machine can change the folder") as caught:
        lock_root(Settings(root=root))

    assert "DASK_BAKE_LOCAL_ROOT" in (caught.value.hint or "")
