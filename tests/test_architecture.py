"""Imports go down only, and each third-party library is imported in one place."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "launcher" / "dask_bake"

# From the top down; a package, or a module beside them, imports from itself and from the rows below its own.
ROWS = (
    ("__main__",),
    ("cli",),
    ("api", "client"),
    ("commands",),
    ("view",),
    ("bake", "scaling"),
    ("access", "forwarding", "launch", "notebooks"),
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
# The same within the local cloud: EC2's operations above the machines, these above moto's records of them.
LOCAL_ROWS = (
    ("control", "server"),
    ("cleanup", "gateway", "server_process"),
    ("ec2", "iam"),
    ("machines",),
    ("moto",),
    ("network", "samples", "storage"),
    ("query_protocol",),
    ("faults",),
    ("admin_client",),
    ("pidfile", "requirements", "signature"),
    ("credentials",),
    ("settings", "user_namespace", "__init__"),
)
MOST_MODULES = 13
"""Maximal number of modules in a package."""
ONLY_PLACES = {
    "boto3": ("ec2.client",),
    "botocore": ("ec2", "local.moto.app", "local.signature"),
    "packerpy": ("bake.packer.process",),
    "cryptography": ("ssh.keypair", "cloud_init.certificates"),
    "jinja2": ("cloud_init.render",),
    "distributed": (
        "client",
        "forwarding.scheduler",
        "options.dask_checks",
        "scaling.head_program",
        "ssh.dask_comm",
    ),
    "tornado": ("ssh.dask_comm",),
    "cyclonedx": ("images.sbom",),
    "packageurl": ("images.sbom",),
    "rattler": ("environment.conda",),
    "rich": ("view",),
    "moto": ("local.moto", "local.samples.s3"),
    "werkzeug": ("local",),
    "packaging": ("environment.pip.target",),
    "uv": ("environment.pip.host_pip",),
    "numpy": ("local.samples.taxi_rides",),
}
KNOW_THE_LOCAL_CLOUD = ("local", "clouds", "commands.local")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    """Return a module's name within dask_bake; for ``__init__`` the package's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def is_in(module: str, places: tuple[str, ...]) -> bool:
    """Return whether it is one of these modules, or in one of these packages."""
    return any(f"{module}.".startswith(f"{place}.") for place in places)


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of the file's syntax tree."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def imported(path: Path) -> Iterator[str]:
    """Return the dotted names of all modules that the file imports."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_of(folder: Path) -> set[str]:
    """Return the modules and packages in a folder."""
    paths = {*folder.glob("*.py"), *(path.parent for path in folder.glob("*/__init__.py"))}
    return {path.stem for path in paths}


def part(name: str, rows: tuple[tuple[str, ...], ...], package: str = "dask_bake") -> str | None:
    """Return the part of a package that a dotted name is in; ``None`` for a name from elsewhere."""
    if not f"{name}.".startswith(f"{package}."):
        return None
    first = name.removeprefix(package).lstrip(".").split(".")[0]
    return first if any(first in row for row in rows) else "__init__"


def upward(path: Path, rows: tuple[tuple[str, ...], ...], package: str = "dask_bake") -> set[str]:
    """Return the parts of the package that the file imports from its own row or from rows above."""
    row_of = {name: number for number, row in enumerate(rows) for name in row}
    here = part(f"dask_bake.{dotted(path)}", rows, package)
    assert here is not None
    names = {part(name, rows, package) for name in imported(path)} - {None, here}
    return {name for name in names if name is not None and row_of[name] <= row_of[here]}


@pytest.mark.parametrize(
    ("folder", "rows"), [(PACKAGE, ROWS), (PACKAGE / "local", LOCAL_ROWS)], ids=["dask_bake", "local"]
)
def test_every_package_has_a_row(folder, rows):
    assert parts_of(folder) == {name for row in rows for name in row}


def test_modules_import_from_their_own_package_or_lower_rows():
    # The package itself hands out the public names, which it imports when they are used.
    found = {dotted(path): upward(path, ROWS) for path in modules() if dotted(path) != "__init__"}
    assert {name: parts for name, parts in found.items() if parts} == {}


def test_modules_of_the_local_cloud_import_from_lower_rows():
    paths = [path for path in modules() if is_in(dotted(path), ("local",))]
    found = {dotted(path): upward(path, LOCAL_ROWS, "dask_bake.local") for path in paths}
    assert {name: parts for name, parts in found.items() if parts} == {}


def test_there_are_no_import_cycles():
    paths = {f"dask_bake.{dotted(path)}": path for path in modules()}
    graph = {
        name: {found if found in paths else found.rpartition(".")[0] for found in imported(path)} - {name}
        for name, path in paths.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def test_each_third_party_library_is_imported_in_one_place():
    found = {(dotted(path), name.split(".")[0]) for path in modules() for name in imported(path)}
    elsewhere = {
        (module, library)
        for module, library in found
        if library in ONLY_PLACES and not is_in(module, ONLY_PLACES[library])
    }
    assert elsewhere == set()


def test_subprocesses_are_started_in_one_place():
    """In system.subprocesses, which waits for every process that it stops."""
    starts = {"subprocess.run", "subprocess.call", "subprocess.check_output", "subprocess.Popen", "os.system"}
    found = {
        dotted(path)
        for path in modules()
        for node in nodes(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in starts
    }
    assert found == {"system.subprocesses"}


def test_the_local_cloud_is_imported_only_where_it_is_started():
    found = {dotted(path) for path in modules() if "local" in [part(name, ROWS) for name in imported(path)]}
    assert {module for module in found if not is_in(module, KNOW_THE_LOCAL_CLOUD)} == set()


def test_the_command_line_imports_only_click():
    """``--help`` is fast because these modules import nothing but click."""
    paths = sorted((PACKAGE / "cli").rglob("*.py"))
    for path in paths:
        tree = ast.parse(path.read_text())
        named = [node.names[0].name for node in tree.body if isinstance(node, ast.Import)]
        assert set(named) <= {"os", "signal", "sys", "click"}
    assert paths


def test_a_package_has_few_modules_and_a_docstring():
    sizes: dict[Path, int] = {}
    for path in modules():
        sizes[path.parent] = sizes.get(path.parent, 0) + (path.stem != "__init__")
    assert {str(folder): size for folder, size in sizes.items() if size > MOST_MODULES} == {}
    for folder in sizes:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


NOT_OF_THE_PACKAGE = ("docs", "examples", "node", "packer", "test_setup.py")
"""Folders and files of tests/unit that test something outside of the package."""
OF_SEVERAL_MODULES = (
    "launch/test_interrupted_anywhere.py",
    "options/test_fuzz.py",
    "view/test_foreign_text.py",
)


def test_unit_tests_are_in_the_file_of_their_module():
    unit = Path(__file__).parent / "unit"
    paths = [path.relative_to(unit) for path in unit.rglob("test_*.py")]
    tested = [path for path in paths if path.parts[0] not in NOT_OF_THE_PACKAGE]
    modules_of = {path: PACKAGE / path.parent / path.name.removeprefix("test_") for path in tested}
    without = {path.as_posix() for path, module in modules_of.items() if not module.is_file()}
    assert without == set(OF_SEVERAL_MODULES)
