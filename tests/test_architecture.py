"""Imports go down only, and each outside package has its one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "launcher" / "dask_bake"

# From the top down; a package, or a module beside them, imports from itself and from the rows below its own.
ROWS = (
    ("__main__",),
    ("cli",),
    ("api", "commands"),
    ("view",),
    ("bake",),
    ("launch",),
    ("ssh",),
    ("clusters", "images", "clouds"),
    ("iam",),
    ("ec2",),
    ("cloud_init", "environment"),
    ("local",),
    ("options",),
    ("events",),  # above the models, as what is seen of a cluster is an event
    ("models",),
    ("system",),
    ("errors", "hints", "assets", "__init__"),
)
ROW_OF = {name: number for number, row in enumerate(ROWS) for name in row}
ONLY_PLACES = {
    "boto3": ("ec2.client",),
    "botocore": ("ec2", "local.moto.app"),
    "packerpy": ("bake.packer.process",),
    "cryptography": ("ssh.keystore", "cloud_init.certificates"),
    "jinja2": ("cloud_init.render",),
    "distributed": ("api", "options.dask_checks"),
    "cyclonedx": ("images.sbom",),
    "packageurl": ("images.sbom",),
    "rattler": ("environment.conda",),
    "rich": ("view",),
}
KNOW_THE_LOCAL_CLOUD = ("local", "clouds", "commands.local")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    """A module's name within ours; a package's own for its ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def is_in(module: str, places: tuple[str, ...]) -> bool:
    """Whether it is one of these modules, or in one of these packages."""
    return any(f"{module}.".startswith(f"{place}.") for place in places)


def imported(path: Path) -> Iterator[str]:
    """The modules that the file imports, wherever in it, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(name: str) -> str | None:
    """Which of our packages that is, or module beside them; ``None`` for anybody else's."""
    package, _, rest = name.partition(".")
    if package != "dask_bake":
        return None
    first = rest.split(".")[0]
    return first if first in ROW_OF else "__init__"


def upward(path: Path) -> set[str]:
    """What the file imports from above its own row, or from its neighbours in it."""
    here = dotted(path).split(".")[0]
    names = {own(name) for name in imported(path)} - {None, here}
    return {name for name in names if name is not None and ROW_OF[name] <= ROW_OF[here]}


def test_every_package_has_its_row():
    there = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert there == set(ROW_OF)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_every_module_imports_from_its_own_package_or_from_below(path):
    assert upward(path) == set()


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_each_outside_package_is_used_in_its_place_alone(path):
    for name in imported(path):
        package = name.split(".")[0]
        if package in ONLY_PLACES:
            assert is_in(dotted(path), ONLY_PLACES[package]), f"{dotted(path)} imports {package}"


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_the_local_cloud_is_known_only_where_it_is_started(path):
    if not is_in(dotted(path), KNOW_THE_LOCAL_CLOUD):
        assert "local" not in [own(name) for name in imported(path)]


def test_the_command_line_starts_without_what_its_commands_need():
    """``--help`` is at once because these import click and nothing else from outside."""
    paths = sorted((PACKAGE / "cli").rglob("*.py"))
    for path in paths:
        tree = ast.parse(path.read_text())
        named = [node.names[0].name for node in tree.body if isinstance(node, ast.Import)]
        assert set(named) <= {"os", "signal", "sys", "click"}
    assert paths
