"""Compare the documents with the code."""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import yaml

from dask_bake.cli.main import cli
from dask_bake.clusters.auto_shutdown import in_words
from dask_bake.clusters.condition import Condition, State
from dask_bake.clusters.naming import group_name, head_group_name
from dask_bake.clusters.orphans import ReapPlan
from dask_bake.images.facts import ImageFacts
from dask_bake.launch.bootstrap import keys_for
from dask_bake.options.configuration import find_setting, merge, parse_document
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.launch_table import SECTIONS
from dask_bake.options.settings_table import BAKE, CLOUD, ENVIRONMENT
from dask_bake.ssh.keystore import Keystore
from dask_bake.view import cluster_json, image_json
from dask_bake.view.reap import reap_document
from fakes import IMAGE, a_cluster, a_plan
from test_architecture import ROWS

HOME = Path(__file__).parents[1]
README = HOME / "README.md"
ARCHITECTURE = HOME / "docs/architecture.md"
NODES = HOME / "docs/nodes.md"
AWS = HOME / "docs/aws.md"
LAUNCHING = HOME / "docs/launching.md"
COMING = HOME / "docs/coming-from.md"
DOCUMENTS = (
    README,
    HOME / "CHANGELOG.md",
    HOME / "CONTRIBUTING.md",
    *sorted((HOME / "docs").glob("*.md")),
    HOME / "examples/README.md",
)
VARIABLE = re.compile(r"\bDASK_BAKE_(?!_)[A-Z_]*[A-Z]\b")
FENCE = re.compile(r"^```.*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONTROL_WORDS = re.compile(r"[|<>&;#].*")
# For those who test, not for those who use.
OF_TESTS = {"DASK_BAKE_TEST_ALL"}
# Options of pip, of systemd-nspawn and of examples.
OF_OTHERS = {
    *("--index-url", "--extra-index-url", "--find-links"),
    "--no-index",
    "--require-hashes",
    "--keep-unit",
    "--network-interface",
    "--network-namespace-path",
    "--data",
    "--forward",
    "--write",
}


OF_DASK_EC2 = (
    "keyname",
    "keypair",
    "name",
    "tags",
    "region-name",
    "vpc-id",
    "subnet-id",
    "iaminstance-name",
    "ami",
    "username",
    "type",
    "count",
    "security-group",
    "security-group-id",
    "volume-type",
    "volume-size",
    "file",
    "provision",
    "anaconda",
    "dask",
    "notebook",
    "nprocs",
    "source",
)


def source(*folders: str) -> str:
    """Return all text of these folders."""
    files = (path for folder in folders for path in (HOME / folder).rglob("*") if path.is_file())
    return "\n".join(path.read_text() for path in files if path.suffix != ".pyc")


def blocks(document: Path) -> list[str]:
    """Return the fenced code blocks."""
    return FENCE.findall(document.read_text())


def spellings(command: click.Command) -> set[str]:
    """Return every spelling of a command's options."""
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts)}


def table(document: Path, columns: int) -> Iterator[list[str]]:
    """Return the rows of the document's tables of that many columns."""
    for line in document.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if len(cells) == columns:
            yield cells


def command_lines() -> Iterator[tuple[str, str]]:
    """Return every `dask-bake …` in a block or between backticks, with the document's name."""
    for document in DOCUMENTS:
        shown = [line for block in blocks(document) for line in block.splitlines()]
        shown += re.findall(r"`([^`\n]+)`", FENCE.sub("", document.read_text()))
        for text in shown:
            for found in re.findall(r"(?:^|\$ |  )((?:\.venv/bin/)?dask-bake [a-z].*)", text):
                yield document.name, found.rstrip(" │")


def resolved(line: str) -> tuple[click.Command, list[str]]:
    """Return the command that a command line calls, and its words up to ``--``."""
    quoted_whole = line.partition(" -- ")[0]
    words = shlex.split(CONTROL_WORDS.sub("", re.split(r"  +", quoted_whole)[0]))[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words:
        assert words[0] in command.commands, f"there is no {words[0]}: {line}"
        command = command.commands[words.pop(0)]
    return command, words


def test_the_readme_lists_every_command_with_its_help():
    """The table is `dask-bake --help` in the same order."""
    listed = [(name, what) for name, what in table(README, 2) if name.startswith("`dask-bake ")]
    expected = [
        (f"`dask-bake {name}`", cli.commands[name].get_short_help_str(200))
        for names in cli.sections.values()
        for name in names
    ]
    assert listed == expected
    assert len(expected) == sum(not command.hidden for command in cli.commands.values())


def test_the_local_cloud_s_page_lists_its_commands():
    """The table is `dask-bake local --help`."""
    local = cli.commands["local"]
    assert isinstance(local, click.Group)
    listed = re.findall(r"^dask-bake local (\w+) ", blocks(HOME / "docs/local-cloud.md")[0], re.MULTILINE)
    assert sorted(listed) == sorted(local.commands)


def test_documented_commands_exist_with_their_options():
    """No document shows a command or an option that the command line does not have."""
    lines = list(command_lines())
    for document, line in lines:
        command, words = resolved(line)
        options = spellings(command) | {"--help"}
        unknown = [word for word in words if word.startswith("-") and word not in options]
        assert unknown == [], f"{document}: {line}"
    assert len(lines) > 40


def every_command(command: click.Command) -> Iterator[click.Command]:
    """Yield a command and its subcommands."""
    yield command
    for other in command.commands.values() if isinstance(command, click.Group) else ():
        yield from every_command(other)


def test_documented_options_exist():
    """An option between backticks belongs to dask-bake or to a program that it runs."""
    ours = {name for command in every_command(cli) for name in spellings(command)}
    text = "\n".join(FENCE.sub("", document.read_text()) for document in DOCUMENTS if document != COMING)
    # There the first cell of a row has the words of others.
    text += re.sub(r"^\| .*? \|", "|", COMING.read_text(), flags=re.MULTILINE)
    assert set(re.findall(r"`(--[a-z][a-z-]+)[` =]", text)) <= ours | {"--help"} | OF_OTHERS


@pytest.mark.parametrize(
    ("title", "options"),
    [*SECTIONS, ("Cloud", CLOUD), ("Image", ENVIRONMENT + BAKE)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_page_about_launching_lists_every_option_with_its_help(title, options):
    """Section by section, in the order of the option table."""
    part = LAUNCHING.read_text().partition(f"\n### {title}\n")[2].partition("\n#")[0]
    listed = re.findall(r"^\| (`.+?`) \| (.+) \|$", part, re.MULTILINE)
    assert listed == [
        (", ".join(f"`{' '.join((flag, each.metavar)).strip()}`" for flag in each.flags), each.help)
        for each in options
    ]


def test_the_architecture_page_lists_all_packages():
    """In the right rows from the top down, except `__init__`."""
    listed = [(int(row), module.strip("`")) for row, module, _ in table(ARCHITECTURE, 3) if row.isdigit()]
    there = [(number, name) for number, row in enumerate(ROWS, start=1) for name in row if name != "__init__"]
    assert sorted(listed) == sorted(there)


def test_the_architecture_page_lists_the_local_cloud_s_modules_and_packages():
    """Each has a row."""
    part = ARCHITECTURE.read_text().partition("| local module or package |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `(\w+/?)` \| \S", part, re.MULTILINE)
    local = HOME / "launcher/dask_bake/local"
    there = {path.stem for path in local.glob("*.py")} - {"__init__"}
    there |= {f"{path.parent.name}/" for path in local.glob("*/__init__.py")}
    assert sorted(listed) == sorted(there)


def test_the_architecture_page_names_modules_and_files_that_exist():
    """In its pictures too, where a module may be named without its suffix: `launch/discovery`."""
    package = HOME / "launcher/dask_bake"
    packages = "|".join(path.parent.name for path in package.glob("*/__init__.py"))
    page = ARCHITECTURE.read_text()
    named = set(re.findall(rf"(?<![\w/.])(?:{packages})/[\w/.]*\w", page))
    named |= {path for path in re.findall(r"`([\w./-]+)`", page) if "/" in path.rstrip("/")}
    places = (HOME, package, package / "local")
    missing = {
        path
        for path in named
        if not path.startswith(("/", "~"))
        and not any((place / f"{path}{suffix}").exists() for place in places for suffix in ("", ".py"))
    }
    assert missing == set()


def test_the_nodes_page_lists_all_units():
    """Every unit of the image is described, and no other."""
    described = set(re.findall(r"^\| `(dask-[\w.@-]+)` \|", NODES.read_text(), re.MULTILINE))
    there = {path.name for path in (HOME / "packer/rootfs/etc/systemd/system").iterdir() if path.is_file()}
    assert described == there


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_are_valid(document):
    """Every relative link names a file that is there."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_documented_variables_are_those_in_use():
    """Variables read by code, units and scripts are documented, and no others."""
    read = set(VARIABLE.findall(source("launcher", "userdata", "packer", "tests/integration", ".ci")))
    documented = {name for document in DOCUMENTS for name in VARIABLE.findall(document.read_text())}
    assert documented == read - OF_TESTS


def test_every_option_of_dask_ec2_is_documented():
    """The options of its last `up`; options without a counterpart are documented as unavailable."""
    rows = {cell: ours for cell, ours in table(COMING, 2) if cell.startswith("`--")}
    launch = spellings(cli.commands["launch"])
    for name in OF_DASK_EC2:
        answer = next(ours for theirs, ours in rows.items() if theirs.startswith(f"`--{name}`"))
        assert re.match(f"`--(no-)?{name}[` ]", answer) or answer.startswith("not available"), name
        assert (f"--{name}" in launch) is not answer.startswith("not available"), name


def test_documented_settings_exist():
    """`DASK_BAKE__…` in a document, or below `bake:` in a block of YAML, is a setting."""
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    for name in re.findall(r"\bDASK_BAKE__([A-Z_]+)\b", text):
        find_setting(name.lower().replace("__", "."))
    written = [block for document in DOCUMENTS for block in blocks(document) if block.startswith("bake:")]
    for block in written:
        assert merge(parse_document(yaml.safe_load(block), "a document"))
    assert written


def test_documented_errors_are_in_the_code():
    """Errors on the troubleshooting page are in the code, word for word; … stands for a variable part."""
    messages = " ".join(re.sub(r"\"\s*f?\"", "", source("launcher", "packer")).split())
    quoted = re.findall(r"^\| `([^`]+)` \|", (HOME / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    parts = [part.strip() for text in quoted for part in text.split("…")]
    assert [part for part in parts if part not in messages] == []
    assert len(quoted) > 20


def test_the_nodes_page_lists_the_files_of_a_cluster_s_folder(tmp_path):
    """Every file of a cluster's folder, with --tls and without."""
    secrets = Keystore(tmp_path / "folder", "launch1")
    secrets.write(keys_for(LaunchOptions(tls=True)))
    secrets.pin(a_cluster().nodes[0], "ssh-ed25519 AAAA")
    part = NODES.read_text().partition("A cluster's secrets are ")[2].partition("Nothing else is kept.")[0]
    assert {path.name for path in secrets.folder.iterdir()} == set(re.findall(r"`([a-z_0-9.]+)`", part))


def test_the_aws_page_lists_what_a_launch_creates():
    """Both groups, what depends on options, and that clusters end themselves."""
    page = AWS.read_text()
    made = page.partition("`dask-bake launch` creates:")[2].partition("\n\nAll of it")[0]
    named = [f"`{name('NAME')}`" for name in (group_name, head_group_name)]
    options = ["`--min-workers`", "`--private`", "`--cidr`"]
    assert [text for text in (*named, *options, "within one VPC") if text not in " ".join(made.split())] == []
    assert "`--vpc-id`" in page.partition("## What is created")[0]
    assert f"shuts itself down, after {in_words(LaunchOptions().max_lifetime)}" in page.replace(
        "12 hours", "12 h"
    )


def test_the_readme_fits_a_terminal():
    """No line of its code blocks is wider than 80 columns."""
    assert [line for block in blocks(README) for line in block.splitlines() if len(line) > 80] == []


def test_ci_runs_the_readme_s_test_command():
    """CI runs the test command of the README."""
    assert "make test\n" in blocks(README)
    assert "\ntimed make test\n" in (HOME / ".ci/run").read_text()


def test_documented_make_targets_exist():
    """`make …` in a document is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (HOME / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        shown = re.findall(r"(?:^|`|\$ )make ([a-z-]+)", document.read_text(), re.MULTILINE)
        assert set(shown) <= targets, document.name


def test_the_security_page_names_a_test_for_each_line_about_attackers():
    """The tests exist, in the files named before them; one line says that it is not tested."""
    page = (HOME / "docs/security.md").read_text()
    part = page.partition("\n## What an attacker can do\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .* \|$", part, re.MULTILINE)[1:]
    untested = [row for row in rows if row.endswith("| not tested |")]
    assert (len(rows) > 15, len(untested)) == (True, 1)
    for row in set(rows) - set(untested):
        for named in row.rpartition(" | ")[2].split("; "):
            file, *names = re.findall(r"`([^`]+)`", named)
            text = (HOME / ("" if "/" in file else "tests/integration") / file).read_text()
            assert [name for name in names if f"def {name}(" not in text] == [], file


def test_the_keys_of_json_documents_are_documented():
    """Each is between backticks on the page about JSON."""
    cluster, plan, image = a_cluster(), a_plan(), ImageFacts(IMAGE)
    now, up = datetime(2026, 1, 2, tzinfo=UTC), Condition(State.UP)
    documents = (
        cluster_json.launch_document(cluster, registered={}, seconds=1.0, calls=()),
        cluster_json.cluster_document(cluster, {}, (), up),
        cluster_json.cluster_document(cluster)["nodes"][0],
        cluster_json.plan_document(plan),
        cluster_json.address_document(cluster),
        image_json.image_document(image, now),
        reap_document(ReapPlan(), {}, now, unreadable={}, removed=False),
    )
    documented = set(re.findall(r"`([a-z_0-9]+)`", (HOME / "docs/json.md").read_text()))
    assert {key for each in documents for key in each} - documented == set()
