"""Why a node powered itself off, read from its console."""

import pytest

from dask_bake.clusters.node_end import death_reason, end_reason, memory_trouble

CONSOLE = "booting\n\x1b[32mDASK-BAKE-END idle: no client, task or session for 30 min\r\nreboot: Power down\n"
BOOT = """cloud-init[70]: ci-info: |   1   |  10.87.0.0  |
cloud-init[70]: of an earlier stage
cloud-init[126]: Cloud-init v. 22.4.2 running 'modules:final' at Mon, 30 Nov 2026 18:43:23 +0000.
"""
FAILED = """cloud-init[126]: 2026-11-30 18:43:24,046 - cc_scripts_user.py[WARNING]: Failed to run module
cloud-init[126]: Cloud-init v. 22.4.2 finished at Mon, 30 Nov 2026 18:43:24 +0000. Up 9.77 seconds
[FAILED] Failed to start cloud-final.service.
DASK-BAKE-FAILED modules-final: "('scripts-user', RuntimeError('Runparts: 1 failures (runcmd)'))"
[  OK  ] Stopped target local-fs.target - Local File Systems.
"""
RECORDED = "scripts-user: Runparts: 1 failures (runcmd)"
NOT_FOUND = "/var/lib/cloud/instance/scripts/runcmd: 3: nosuchcommand: not found"


@pytest.mark.parametrize(
    ("console", "reason"),
    [
        (CONSOLE, "no client, task or session for 30 min"),
        (
            f"DASK-BAKE-END lifetime: its lifetime of 12 h is over\n{CONSOLE}",
            "no client, task or session for 30 min",
        ),
        ("DASK-BAKE-WARNING idle: this cluster ends in 5 min\n", ""),
        (
            "[  12.3] sh[7]: DASK-BAKE-END lifetime: its lifetime of 60 s is over",
            "its lifetime of 60 s is over",
        ),
        (f"DASK-BAKE-END idle: \x07{'x' * 400}", "x" * 300),
        ("", ""),
    ],
)
def test_the_reason_of_an_end_is_the_last_that_the_head_printed(console, reason):
    assert end_reason(console) == reason


@pytest.mark.parametrize(
    ("console", "reason"),
    [
        (
            f"{BOOT}cloud-init[126]: one\ncloud-init[126]: {NOT_FOUND}\n{FAILED}",
            f"cloud-init failed in modules-final: {NOT_FOUND} ({RECORDED})",
        ),
        (
            f"{BOOT}[   12.345678] cloud-init[126]: {NOT_FOUND}\r\n{FAILED}",
            f"cloud-init failed in modules-final: {NOT_FOUND} ({RECORDED})",
        ),
        (BOOT + FAILED, f"cloud-init failed in modules-final: {RECORDED}"),
        (
            'DASK-BAKE-FAILED init: "the metadata service does not answer"\n',
            "cloud-init failed in init: the metadata service does not answer",
        ),
        (
            """DASK-BAKE-FAILED init: "('bootcmd', E('Unexpected error.\\\\nExit code: 3'))"\n""",
            "cloud-init failed in init: bootcmd: Unexpected error; Exit code: 3",
        ),
        ("DASK-BAKE-FAILED init: no JSON\n", "cloud-init failed in init: no JSON"),
    ],
)
def test_a_failed_boot_is_told_with_the_last_output_of_the_failing_command(console, reason):
    assert end_reason(console) == reason


KILLED = "[ 42.1] Out of memory: Killed process 71 (python) total-vm:9kB\n"


@pytest.mark.parametrize(
    ("console", "state_reason", "reason"),
    [
        (
            f"{KILLED}DASK-BAKE-END lifetime: its lifetime of 12 h is over\n",
            "",
            "its lifetime of 12 h is over",
        ),
        ("", "Server.SpotInstanceTermination: Spot", "EC2 reclaimed it, as it was a spot instance"),
        (
            "DASK-BAKE-WARNING spot: EC2 reclaims this node; x",
            "",
            "EC2 reclaimed it, as it was a spot instance",
        ),
        ("Kernel panic - not syncing: no \x1b[1minit\r\n", "", "its kernel stopped: no init"),
        (KILLED, "Client.UserInitiatedShutdown", "its memory ran out: the kernel ended python"),
        ("booting", "Client.UserInitiatedShutdown", ""),
    ],
)
def test_what_a_node_died_of_is_read_from_console_and_state(console, state_reason, reason):
    assert death_reason(console, state_reason) == reason


def test_the_last_process_that_memory_ran_out_for_is_named_with_their_number():
    assert memory_trouble(KILLED + KILLED.replace("python", "dask worker")) == (
        "its memory ran out: the kernel ended dask worker, the last of 2 processes"
    )
    assert memory_trouble("Killed process 7 (python)") == ""
