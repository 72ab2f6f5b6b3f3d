"""Packer through packer-py: a fake executable with the output of the real one, and the real template."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from current_packer import FOLDER, SETTINGS_OF_CURRENT, needs_current_packer
from dask_bake.assets import packer_directory
from dask_bake.bake.options import BakeOptions
from dask_bake.bake.packer.packer import (
    MINIMUM_PLUGIN,
    SETTINGS,
    TIDIED_WITHIN,
    PackerBuilder,
    find_packer,
    insert_newer,
    packer_executable,
)
from dask_bake.bake.plan import Site, packer_variables
from dask_bake.bake.recipe import pack_rootfs, stage
from dask_bake.commands.bake import directories_of
from dask_bake.errors import BakeError, CapacityError
from dask_bake.events import Event, Note, Output, PhaseEnded, PhaseStarted
from dask_bake.models.cloud import Cloud
from dask_bake.models.ec2 import Image
from dask_bake.ssh.keypair import new_key

FAKES = Path(__file__).parents[3] / "support/bin"
LAUNCHER = Path(__file__).parents[4] / "launcher"
CACHE = directories_of(os.environ).cache / "packer"  # before a test has a home of its own


@pytest.fixture
def packer(tmp_path: Path) -> PackerBuilder:
    return find_packer(log=tmp_path / "state" / "bake.log", cache=tmp_path / "cache", path=str(FAKES))


def test_a_build_returns_the_id_on_the_artifact_line(packer: PackerBuilder, tmp_path: Path) -> None:
    assert packer.build(tmp_path, {"region": "us-east-1"}, {}, [].append) == "ami-0baked"


def test_each_phase_has_a_start_and_an_end_event(packer: PackerBuilder, tmp_path: Path) -> None:
    events: list[Event] = []
    packer.build(tmp_path, {}, {}, events.append)
    phases = [
        "start instance",
        "boot",
        "upload",
        "configure",
        "install",
        "compile",
        "check",
        "clean",
        "snapshot",
        "tidy up",
    ]
    phase_events = [each for each in events if not isinstance(each, Output)]
    assert [each.phase for each in phase_events if isinstance(each, PhaseStarted)] == phases
    assert [each.phase for each in phase_events if isinstance(each, PhaseEnded)] == phases


def test_output_lines_have_no_prefix_of_packer(packer: PackerBuilder, tmp_path: Path) -> None:
    events: list[Event] = []
    packer.build(tmp_path, {}, {}, events.append)
    assert Output("No volumes to clean up, skipping") in events
    assert Output("us-east-1: ami-0baked") not in events


def test_variables_go_through_a_file_and_credentials_through_the_environment(
    packer: PackerBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PACKER_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    packer.build(tmp_path, {"image_tags": {"a": "b"}}, {"AWS_ACCESS_KEY_ID": "theirs"}, [].append)
    call = json.loads((tmp_path / "calls").read_text())
    assert call["variables"] == [{"image_tags": {"a": "b"}}]
    assert call["settings"] == {
        "AWS_ACCESS_KEY_ID": "theirs",
        "CHECKPOINT_DISABLE": "1",
        "PACKER_CACHE_DIR": str(tmp_path / "cache"),
        "PACKER_LOG": "",
    }
    assert call["arguments"][:2] == ["build", "-machine-readable"]
    assert call["arguments"][3:] == [str(tmp_path)]
    assert os.environ["AWS_ACCESS_KEY_ID"] == "mine"


def test_a_failing_script_is_named_with_its_last_lines(
    packer: PackerBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PACKER", "script-fails")
    with pytest.raises(BakeError) as caught:
        packer.build(tmp_path, {}, {}, [].append)
    lines = caught.value.message.splitlines()
    reason = "Script exited with non-zero exit status: 1.Allowed exit codes are: [0]"
    assert lines[0] == f"20-environment.sh failed: {reason}"
    assert lines[-2] == "  ERROR: No matching distribution found for dask, sorry"
    assert caught.value.hint == f"the full output is in {tmp_path}/state/bake.log"


@pytest.mark.parametrize(
    ("scene", "words", "hint"),
    [
        (
            "quota",
            "snapshot failed: Error creating AMI: ResourceLimitExceeded",
            "dask-bake images prune --keep 2 removes old images",
        ),
        ("expired", "snapshot failed: Error creating AMI: RequestExpired", "the credentials have expired"),
        ("hangs", "20-environment.sh failed: it did not end in time", "--timeout gives the scripts longer"),
    ],
)
def test_a_refusal_by_aws_has_a_hint(
    scene: str, words: str, hint: str, packer: PackerBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PACKER", scene)
    with pytest.raises(BakeError) as caught:
        packer.build(tmp_path, {}, {}, [].append)
    assert caught.value.message.startswith(words)
    assert (caught.value.hint or "").startswith(hint)
    assert f"the full output is in {tmp_path}/state/bake.log" in (caught.value.hint or "")


def test_a_lack_of_capacity_has_the_zones_that_ec2_recommends(
    packer: PackerBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PACKER", "capacity")
    with pytest.raises(CapacityError) as caught:
        packer.build(tmp_path, {}, {}, [].append)
    assert caught.value.code == "InsufficientInstanceCapacity"
    assert caught.value.zones == ("us-east-1b", "us-east-1c")
    assert caught.value.message.startswith("packer failed: Error launching source instance: ")


def test_the_log_has_packer_s_complete_output(
    packer: PackerBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PACKER", "script-fails")
    with pytest.raises(BakeError):
        packer.build(tmp_path, {}, {}, [].append)
    log = (tmp_path / "state" / "bake.log").read_text()
    assert "==> amazon-ebs.dask: Deleting temporary keypair...\n" in log


def test_a_template_that_packer_rejects_is_an_error_with_packer_s_reason(
    packer: PackerBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PACKER", "template-fails")
    with pytest.raises(BakeError) as caught:
        packer.build(tmp_path, {}, {}, [].append)
    assert caught.value.message == (
        'packer failed: exit code 1\n  Error: Unset variable "region"\n  A used variable must be set'
    )


def test_a_build_that_names_no_image_is_an_error(
    packer: PackerBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PACKER", "no-image")
    with pytest.raises(BakeError, match="reported no image"):
        packer.build(tmp_path, {}, {}, [].append)


def test_without_packer_the_hint_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(BakeError) as caught:
        find_packer(log=tmp_path / "log", cache=tmp_path, path=str(tmp_path))
    assert caught.value.message == "Packer is not installed"
    assert "make setup" in (caught.value.hint or "")


def test_packer_is_found_in_the_cache_if_path_has_none(tmp_path: Path) -> None:
    """setup.sh puts it there on a Debian release without a package of Packer."""
    cached = tmp_path / "bin" / "packer"
    cached.parent.mkdir()
    cached.symlink_to(FAKES / "packer")
    assert packer_executable(tmp_path, path=str(tmp_path)) == str(cached)
    assert packer_executable(tmp_path, path=str(FAKES)) == str(FAKES / "packer")


def test_a_version_of_packer_that_is_too_old_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PACKER_VERSION", "1.5.1")
    with pytest.raises(BakeError) as caught:
        find_packer(log=tmp_path / "log", cache=tmp_path, path=str(FAKES))
    assert caught.value.message == f"{FAKES}/packer is Packer 1.5.1; 1.6.6 is needed"


@pytest.mark.parametrize(("version", "calls"), [("1.6.6", 0), ("1.7.0", 1), ("1.14.1-dev", 1)])
def test_plugins_are_installed_for_versions_of_packer_without_them(
    version: str, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PACKER_VERSION", version)
    packer = find_packer(log=tmp_path / "log", cache=tmp_path, path=str(FAKES))
    monkeypatch.setenv("FAKE_PACKER_CALLS", str(tmp_path / "calls"))
    packer.init(Path("plugins.pkr.hcl"), [].append)
    seen = (tmp_path / "calls").read_text().splitlines() if calls else []
    assert [json.loads(each)["arguments"] for each in seen] == [
        ["init", "-machine-readable", "plugins.pkr.hcl"]
    ] * calls


@pytest.mark.parametrize(
    ("version", "plugin"), [("1.15.0", "1.8.2"), ("1.10.0", "1.3.3"), ("1.9.5", ""), ("1.11.0", "1.10.0")]
)
def test_a_plugin_that_is_there_is_used_where_none_can_be_downloaded(
    version: str, plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packer before 1.10 has one of its own."""
    for name, value in (("_VERSION", version), ("", "offline"), ("_PLUGIN", plugin)):
        monkeypatch.setenv(f"FAKE_PACKER{name}", value)
    events: list[Event] = []
    find_packer(log=tmp_path / "log", cache=tmp_path, path=str(FAKES)).init(Path("x.pkr.hcl"), events.append)

    assert Note("packer init failed; the Amazon plugin that is installed is used.") in events


@pytest.mark.parametrize(
    ("plugin", "there"), [("", "none is installed"), ("1.2.9", "the installed one is 1.2.9")]
)
def test_without_a_plugin_that_is_new_enough_a_bake_says_what_is_there(
    plugin: str, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_VERSION", "1.15.0"), ("", "offline"), ("_PLUGIN", plugin)):
        monkeypatch.setenv(f"FAKE_PACKER{name}", value)
    packer = find_packer(log=tmp_path / "log", cache=tmp_path, path=str(FAKES))
    with pytest.raises(BakeError) as caught:
        packer.init(Path("plugins.pkr.hcl"), [].append)

    first, last = caught.value.message.splitlines()
    assert first == f"packer init failed, and Packer needs the Amazon plugin 1.3.3: {there}"
    assert "no such host" in last
    assert "packer plugins install --path FILE" in (caught.value.hint or "")


def test_the_oldest_plugin_is_that_of_the_file_for_packer_init() -> None:
    text = (packer_directory() / "plugins.pkr.hcl").read_text()
    assert f'">= {".".join(map(str, MINIMUM_PLUGIN))}"' in text


@pytest.mark.parametrize(("version", "has_newer"), [("1.6.6", False), ("1.7.0", True), ("1.15.0", True)])
def test_the_template_has_what_that_packer_knows(
    version: str, has_newer: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packer 1.6 rejects a template with metadata_options."""
    monkeypatch.setenv("FAKE_PACKER_VERSION", version)
    packer = find_packer(log=tmp_path / "log", cache=tmp_path, path=str(FAKES))
    staged = tmp_path / "stage"
    stage(packer_directory(), staged, {"environment.yml": b"name: dask"})
    before = (staged / "dask.pkr.hcl").read_text()
    packer.build(staged, {}, {}, [].append)
    packer.build(staged, {}, {}, [].append)

    text, newer = (staged / "dask.pkr.hcl").read_text(), (packer_directory() / "newer.hcl").read_text()
    assert text.count(newer) == int(has_newer)
    assert (text == before) is not has_newer


def test_packer_is_interrupted_if_handling_its_output_fails(
    packer: PackerBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def notify(event: Event) -> None:
        if isinstance(event, Output):
            raise BrokenPipeError

    monkeypatch.setenv("FAKE_PACKER", "slow")
    with pytest.raises(BrokenPipeError):
        packer.build(tmp_path, {}, {}, notify)
    assert "Cleanly cancelled builds" in (tmp_path / "state" / "bake.log").read_text()


def test_packer_is_killed_if_it_does_not_end_after_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reading of the clock is ten seconds later."""

    def notify(event: Event) -> None:
        if isinstance(event, Output):
            raise BrokenPipeError

    jumps = itertools.count(0, 10)
    monkeypatch.setenv("FAKE_PACKER", "hung")
    packer = PackerBuilder(
        str(FAKES / "packer"),
        (1, 6, 6),
        log=tmp_path / "log",
        cache=tmp_path,
        clock=lambda: float(next(jumps)),
    )
    with pytest.raises(BrokenPipeError):
        packer.build(tmp_path, {}, {}, notify)
    assert not [each for each in psutil.Process().children() if str(FAKES) in " ".join(each.cmdline())]


def test_the_template_as_it_is_staged_is_valid(tmp_path: Path) -> None:
    real = packer_executable(CACHE)
    if real is None:
        pytest.skip("Packer is not installed")
    check_template(tmp_path, real, SETTINGS)


@needs_current_packer
def test_the_template_with_what_newer_packer_knows_is_valid(tmp_path: Path) -> None:
    check_template(tmp_path, str(FOLDER / "packer"), {**SETTINGS, **SETTINGS_OF_CURRENT}, is_newer=True)


def check_template(
    folder: Path, executable: str, settings: dict[str, str], *, is_newer: bool = False
) -> None:
    """Have this Packer validate the template as it is staged."""
    stage(packer_directory(), folder / "stage", {"environment.yml": b"name: dask"})
    pack_rootfs(folder / "stage")
    if is_newer:
        insert_newer(folder / "stage")
    (folder / "key").write_text(new_key("test").private)
    options = BakeOptions(kms_key="alias/mine")
    site = Site("subnet-1", "sg-1", folder / "key", folder / "key", (("Name", "x"),))
    cloud = Cloud("aws", "us-east-1", "address")
    now = datetime.now(UTC)
    given = packer_variables(
        *(options, cloud, site),
        name="dask-bake-0",
        tags=(("a", "b"),),
        base=Image("ami-1", "debian", "available", now),
        deprecate_at=now + timedelta(days=1),
    )
    (folder / "values.json").write_text(json.dumps(given))
    command = [executable, "validate", f"-var-file={folder}/values.json", str(folder / "stage")]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **settings}
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


BAKE = """
import sys
from pathlib import Path
from dask_bake.bake.packer.packer import find_packer
folder = Path(sys.argv[1])
packer = find_packer(log=folder / "bake.log", cache=folder, path=sys.argv[2])
try:
    packer.build(folder, {}, {}, lambda event: print(event, flush=True))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("scene", ["slow", "deaf"])
def test_after_ctrl_c_packer_s_clean_up_is_waited_for(scene: str, tmp_path: Path) -> None:
    """A terminal sends SIGINT to both processes; after ``kill -INT`` dask-bake interrupts Packer."""
    command = [sys.executable, "-c", BAKE, str(tmp_path), str(FAKES)]
    environment = {**os.environ, "FAKE_PACKER": scene, "PYTHONPATH": str(LAUNCHER)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "Waiting for SSH" in line)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        lines = [line.strip() for line in process.stdout]
    assert lines[-1] == "interrupted"
    assert "Output(line='Deleting temporary keypair...')" in lines
    assert time.monotonic() - began < TIDIED_WITHIN / 2
