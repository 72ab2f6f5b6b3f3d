"""Fixtures of a bake."""

from pathlib import Path

import pytest

from baking import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bake's surroundings, with a small template."""
    source = tmp_path / "packer"
    for name in ("dask.pkr.hcl", "variables.pkr.hcl", "newer.hcl", "scripts/10-a.sh", "rootfs/etc/x"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    return Bench(source, tmp_path / "cache")
