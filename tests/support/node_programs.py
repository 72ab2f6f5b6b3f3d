"""Load a node's programs into the test's process, and fake the commands that they run."""

from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

LIBEXEC = Path(__file__).parents[2] / "packer/rootfs/usr/libexec/dask-bake"


def load(name: str) -> ModuleType:
    """Load a program that has no suffix. The modules beside it are on pytest's path: import those."""
    loader = SourceFileLoader(name.replace("-", "_"), str(LIBEXEC / name))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


class FakeCommands:
    """Commands that only record their command lines."""

    def __init__(self, folder: Path, *names: str) -> None:
        self._log = folder / "commands.log"
        self.path = folder / "bin"
        self.path.mkdir()
        for name in names:
            program = self.path / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >>{self._log}\n')
            program.chmod(0o755)

    @property
    def lines(self) -> list[str]:
        """The recorded command lines."""
        return list(self._read())

    def _read(self) -> Iterator[str]:
        if self._log.exists():
            yield from self._log.read_text().splitlines()
