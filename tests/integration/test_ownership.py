"""Layers that an older version made get the owners that instances have on the host; only root can do that."""

import json
import subprocess
import sys
from pathlib import Path

import dask_bake
from dask_bake.local.user_namespace import OFFSET
from root import as_root

SHIFT = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dask_bake.local.storage.ownership import OFFSET, is_shifted, shift
from dask_bake.local.storage.image_store import ImageStore
from dask_bake.local.settings import Settings

settings = Settings(root=Path(sys.argv[2]))
store = ImageStore(settings)
tree = store.layer("base")
(tree / "etc").mkdir(parents=True)
(tree / "etc").chmod(0o2750)
(tree / "sudo").touch()
(tree / "sudo").chmod(0o4755)
os.setxattr(tree / "etc", "user.kept", b"x")
os.link(tree / "sudo", tree / "again")
for name, owner in (("dask", 999), ("done before", OFFSET + 999)):
    (tree / name).touch()
    os.chown(tree / name, owner, owner)
(tree / "link").symlink_to(sys.argv[3])
before = is_shifted(tree)
for _ in range(2):
    store.shift_layers()
paths = {path.name: path.lstat() for path in (tree, *tree.iterdir())}
print(json.dumps({
    "shifted": [before, is_shifted(tree)],
    "files": {name: [each.st_uid, each.st_gid, each.st_mode & 0o7777] for name, each in paths.items()},
    "folders": [folder.stat().st_mode & 0o7777 for folder in (settings.layers, settings.images)],
}))
"""


def test_old_layers_are_shifted_once_with_modes_and_links(tmp_path):
    """Also one that was shifted in part: its root folder comes last."""
    target = tmp_path / "file of the host"
    target.touch()
    before = target.stat()
    command = as_root(sys.executable, "-c", SHIFT, str(Path(dask_bake.__file__).parents[1]))

    done = subprocess.check_output([*command, str(tmp_path / "root"), str(target)], text=True)

    seen = json.loads(done)
    root = [OFFSET, OFFSET]
    assert seen["shifted"] == [False, True]
    assert seen["folders"] == [0o700, 0o700]
    assert seen["files"].pop("link")[:2] == root
    assert seen["files"].pop("base")[:2] == root
    assert seen["files"] == {
        "etc": [*root, 0o2750],
        "sudo": [*root, 0o4755],
        "again": [*root, 0o4755],
        "dask": [OFFSET + 999, OFFSET + 999, 0o644],
        "done before": [OFFSET + 999, OFFSET + 999, 0o644],
    }
    assert target.stat() == before
