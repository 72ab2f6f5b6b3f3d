"""Measure each phase of a bake with pip and with conda, and the scripts alone, run without a cloud.

It needs root and the local cloud, and takes 10 minutes on 2 cores. pip bakes the default environment; conda
bakes it too, from a channel of the same wheels that this process serves. Each bakes without a cache, with
one, and with nothing to do. The floor runs the same scripts on the same payload in the same Debian tree,
without EC2, Packer, SSH or a boot.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

HOME = Path(__file__).parents[1]
sys.path[:0] = [str(HOME / "tests/support"), str(HOME / "launcher")]

from rich.table import Table  # noqa: E402

from conda_channel import serve, small_channel  # noqa: E402
from dask_bake.assets import packer_directory  # noqa: E402
from dask_bake.bake.recipe import pack_rootfs, stage  # noqa: E402
from dask_bake.environment.options import EnvironmentOptions  # noqa: E402
from dask_bake.environment.request import Directories, read_request  # noqa: E402
from dask_bake.environment.resolve import prepare  # noqa: E402
from dask_bake.events import Event  # noqa: E402
from dask_bake.local.settings import read_settings  # noqa: E402
from dask_bake.models.cloud import InstallerChoice  # noqa: E402
from dask_bake.system import xdg  # noqa: E402

NAMES = (
    "dask[array,dataframe,diagnostics,distributed]",
    "bokeh",
    "pandas",
    "pyarrow",
    "s3fs",
    "ipython",
    "jupyterlab",
)
FLOOR = ("20-conda.sh", "30-wheels.sh", "40-compile.sh")
REPEATS = 5
Figures = dict[str, float]


def measure() -> dict[str, Figures]:
    """Bake, and return the figures of each kind of bake."""
    with tempfile.TemporaryDirectory() as name, serve(channel()) as served:
        work = Path(name)
        (work / "environment.yml").write_text(environment(served.url))
        columns: dict[str, Figures] = {}
        for installer in ("pip", "conda"):
            cache = work / f"cache-{installer}"
            fresh, image = bake(work, installer, cache)
            repeated, image = bake(work, installer, cache)
            columns[f"{installer}, fresh"] = fresh
            columns[f"{installer}, again"] = {**repeated, **sizes(image)}
            columns[f"{installer}, floor"] = floor(work, installer, cache)
            columns[f"{installer}, again"]["nothing to do"] = nothing_to_do(work, installer, cache)
    return columns


def tables(columns: Mapping[str, Figures]) -> list[Table]:
    """Return the table of all bakes."""
    return [table(columns)]


def channel() -> Path:
    """Return a channel with the packages of the default environment, cached for the user."""
    cache = xdg.cache_home(os.environ) / "dask-bake" / "bench-channel"
    cache.mkdir(parents=True, exist_ok=True)
    return small_channel(cache, *NAMES)


def environment(url: str) -> str:
    """Return the default environment with that channel, without conda and mamba, which have no wheels."""
    lines = (packer_directory() / "environment.yml").read_text().splitlines()
    kept = [line for line in lines if line.strip() not in ("- conda", "- mamba", "- conda-forge")]
    kept[kept.index("channels:")] = f"channels: [{url}]"
    return "\n".join(kept) + "\n"


def bake(work: Path, installer: str, cache: Path, *flags: str) -> tuple[Figures, str]:
    """Bake an image again; return the seconds of each phase, and the image."""
    result = dask_bake(work, installer, cache, "--force", *flags)
    phases = {each["phase"]: each["seconds"] for each in result["phases"]}
    return {**phases, "all": result["seconds"], "packages, MB": result["package_bytes"] / 1e6}, result[
        "image"
    ]


def dask_bake(work: Path, installer: str, cache: Path, *flags: str) -> Mapping[str, object] | dict:
    """Run ``dask-bake bake --json`` in the local cloud, and return its result."""
    command = [sys.executable, "-m", "dask_bake", "bake", "--json", "--cloud", "local", *flags]
    command += ["--env", str(work / "environment.yml"), "--installer", installer]
    environ = {**os.environ, "XDG_CACHE_HOME": str(cache), "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def nothing_to_do(work: Path, installer: str, cache: Path) -> float:
    """Return the median time of bakes that find an existing image, each in a new process."""
    seconds = []
    for _ in range(REPEATS):
        began = time.monotonic()
        assert not dask_bake(work, installer, cache)["built"]
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


def sizes(image: str) -> Figures:
    """Return the MB that the image adds to its base."""
    command = [sys.executable, "-m", "dask_bake", "images", "show", image, "--json", "--cloud", "local"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {"snapshot layer, MB": json.loads(done.stdout)["bytes"] / 1e6}


def floor(work: Path, installer: str, cache: Path) -> Figures:
    """Return the seconds of the same scripts in the same tree, run on the host."""
    options = EnvironmentOptions(file=work / "environment.yml", installer=InstallerChoice(installer))
    places = Directories(packer_directory(), work / "state", cache / "dask-bake")
    ready = prepare(read_request(options, places, notify=ignore), notify=ignore)
    template = work / f"floor-{installer}"
    stage(packer_directory(), template, ready.files)
    payload = pack_rootfs(template)
    began = time.monotonic()
    ready.bring(payload, ignore)
    figures = {"packages": time.monotonic() - began}
    for name, content in {**ready.files, "manifest.json": b"{}"}.items():
        (payload / name).write_bytes(content)
    for program in (packer_directory() / "scripts").glob("*.py"):
        (payload / program.name).write_bytes(program.read_bytes())
    with tree(work, payload) as root:
        for script in FLOOR:
            text = (packer_directory() / "scripts" / script).read_text()
            phase = text.partition('echo "PHASE: ')[2].partition('"')[0]
            (root / "run.sh").write_text(text)
            began = time.monotonic()
            command = [
                "chroot",
                str(root),
                "env",
                "DASK_BAKE_PAYLOAD=/payload",
                "SUDO_USER=nobody",
                "bash",
                "/run.sh",
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            figures[phase] = time.monotonic() - began
    present = "install wheels" if installer == "conda" else "install conda packages"
    figures.pop(present)
    return {**figures, "all": sum(figures.values())}


@contextmanager
def tree(work: Path, payload: Path) -> Iterator[Path]:
    """Mount the local cloud's Debian tree, writable, with the payload."""
    base = next(read_settings().layers.glob("base-*"))
    folders = {name: work / f"tree-{payload.parent.name}-{name}" for name in ("upper", "work", "root")}
    for folder in folders.values():
        folder.mkdir()
    options = f"lowerdir={base},upperdir={folders['upper']},workdir={folders['work']}"
    root = folders["root"]
    with ExitStack() as mounts:
        mount(mounts, "overlay", root, "-o", options)
        subprocess.run(["cp", "-r", str(payload), str(root / "payload")], check=True)
        (root / "dev/shm").mkdir(parents=True, exist_ok=True)
        mount(mounts, "proc", root / "proc")
        mount(mounts, "tmpfs", root / "dev/shm")
        yield root


def mount(mounts: ExitStack, kind: str, place: Path, *options: str) -> None:
    """Mount a file system until the stack closes."""
    subprocess.run(["mount", "-t", kind, kind, *options, str(place)], check=True)
    mounts.callback(subprocess.run, ["umount", str(place)], check=True)


def table(columns: Mapping[str, Figures]) -> Table:
    """Return a table with a row for each phase and a column for each bake."""
    rows = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    rows = [name for name in rows if name != "all" and "MB" not in name and name != "nothing to do"]
    rows += ["all", "nothing to do", "packages, MB", "snapshot layer, MB"]
    found = Table(
        title=f"{os.cpu_count()} cores, Python {platform.python_version()}; seconds, or MB", box=None
    )
    found.add_column()
    for name in columns:
        found.add_column(name, justify="right")
    for row in rows:
        found.add_row(row, *(f"{figures[row]:.1f}" if row in figures else "" for figures in columns.values()))
    return found


def ignore(_: Event) -> None:
    """Show no progress."""
