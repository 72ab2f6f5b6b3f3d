"""Imports go down only, and each outside package has its one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "launcher" / "dask_bake"

# From the top down; a module may import from its own row and from those below it.
ROWS = (
    ("__main__",),
    ("cli",),
    ("cli_bake", "cli_cluster", "cli_images", "cli_local", "cli_reap", "cli_setup"),
    (
        "cli_opening",
        "cli_options",
        "cli_groups",
        "api",
        "launch_command",
        "cluster_command",
        "address_command",
        "config_command",
        "extend_command",
        "allow_me_command",
        "reap_command",
        "local_command",
        "bake_command",
        "images_command",
    ),
    ("terminal",),
    (
        "view",
        "view_config",
        "view_launch",
        "view_plan",
        "view_bake",
        "view_images",
        "view_image_plans",
        "view_reap",
    ),
    ("documents", "image_documents", "reap_documents", "sbom"),
    (
        "cluster",
        "readiness",
        "starting",
        "removal",
        "reap",
        "reaping",
        "inventory",
        "bake",
        "bake_explain",
        "bake_build",
        "bake_draft",
        "bake_claim",
        "proof",
        "images",
        "image_copy",
    ),
    (
        "bake_edges",
        "bake_plan",
        "builder",
        "locking",
        "conda_locking",
        "environment_request",
        "installers",
        "image_prune_plan",
        "image_copy_plan",
        "image_share_plan",
    ),
    (
        "reaching",
        "way_in",
        "tunnel",
        "ssh",
        "ways",
        "secrets_folder",
        "handing_out",
        "ec2",
        "ec2_client",
        "insistence",
        "account",
        "prices",
        "ec2_errors",
        "ec2_answers",
        "ec2_look_ups",
        "ec2_leftovers",
        "ec2_images",
        "image_errors",
        "image_answers",
        "packer",
        "wheels",
        "conda",
        "conda_archives",
        "conda_client",
        "disk",
    ),
    ("clouds",),
    (
        "edges",
        "leftovers",
        "look_around",
        "preflight",
        "quotas",
        "permissions",
        "cost",
        "plan",
        "ssh_rules",
        "placement",
        "fingerprint",
        "recipe",
        "lock",
        "lock_files",
        "packer_output",
        "phases",
        "image_facts",
        "image_differences",
    ),
    ("environment", "own_environment", "conda_settings", "channel_urls"),
    (
        "manifest",
        "ec2_requests",
        "userdata",
        "userdata_extra",
        "userdata_files",
        "userdata_settings",
        "userdata_text",
        "certificates",
        "console",
        "iam_policy",
        "iam_grants",
        "switches",
        "events",
    ),
    (
        "options",
        "cluster_file",
        "option_checks",
        "dask_checks",
        "network_checks",
        "tag_checks",
        "environment_options",
    ),
    ("configuration", "precedence", "config_table", "option_table"),
    (
        "dask_words",
        "text_files",
        "option_values",
        "bounded",
        "interrupts",
        "lossy",
        "own_commands",
        "together",
        "debian",
        "models",
        "assets",
        "errors",
        "__init__",
    ),
)
ROW_OF = {module: number for number, row in enumerate(ROWS) for module in row}
ONLY_PLACES = {
    "boto3": {"ec2_client", "clouds"},
    "botocore": {"ec2", "ec2_client", "ec2_errors", "insistence", "clouds"},
    "packerpy": {"packer"},
    "cryptography": {"secrets_folder", "certificates"},
    "jinja2": {"userdata"},
    "distributed": {"api", "dask_words"},
    "cyclonedx": {"sbom"},
    "packageurl": {"sbom"},
    "rattler": {"conda", "conda_archives", "conda_client"},
}
MAY_USE_RICH = ("view", "cli", "terminal")


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.glob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The modules that the file imports, wherever in it, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(name: str) -> str | None:
    """Which of our modules that is; ``None`` for anybody else's."""
    package, _, rest = name.partition(".")
    if package != "dask_bake":
        return None
    first = rest.split(".")[0]
    return first if first in ROW_OF or first == "local" else "__init__"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_every_module_has_its_row_and_imports_from_it_or_below(path):
    for name in imported(path):
        module = own(name)
        if module is not None and module != "local":
            assert ROW_OF[path.stem] <= ROW_OF[module], f"{path.stem} imports {module}, which is above it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_each_outside_package_is_used_in_its_place_alone(path):
    for name in imported(path):
        package = name.split(".")[0]
        assert path.stem in ONLY_PLACES.get(package, {path.stem}), f"{path.stem} imports {package}"
        if package == "rich":
            assert path.stem.startswith(MAY_USE_RICH) or path.stem.endswith("_command")


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_the_local_cloud_is_known_only_where_it_is_started(path):
    if path.stem not in ("clouds", "local_command"):
        assert "local" not in [own(name) for name in imported(path)]


def test_the_command_line_starts_without_what_its_commands_need():
    """``--help`` is at once because these import click and nothing else from outside."""
    for stem in (path.stem for path in modules() if path.stem.startswith("cli")):
        tree = ast.parse((PACKAGE / f"{stem}.py").read_text())
        named = [node.names[0].name for node in tree.body if isinstance(node, ast.Import)]
        assert set(named) <= {"os", "signal", "sys", "click"}
