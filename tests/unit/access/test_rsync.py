"""rsync's command line and output."""

from pathlib import Path

import pytest

from dask_bake.access.locations import Copy
from dask_bake.access.rsync import failure, progress, rsync_command, totals


def test_paths_of_this_machine_cannot_be_taken_for_another_machine_or_an_option():
    copy = Copy(("a:b", "-x", "/c"), "d", True, "taxi", None)
    command = rsync_command(copy, Path("/tmp/x/ssh"))
    assert command[command.index("--") :] == ["--", "./a:b", "./-x", "/c", "node:d"]
    assert command[command.index("-e") + 1] == 'sh "/tmp/x/ssh"'


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("  1,234,567  45%   12.34MB/s    0:00:12 (xfr#1, to-chk=0/1)", (1_234_567, 45)),
        ("sent 12 bytes  received 3 bytes", None),
    ],
)
def test_progress_is_read_from_its_lines(line, seen):
    assert progress(line) == seen


def test_totals_and_the_cause_of_a_failure_are_read():
    stats = ["Number of regular files transferred: 1,002", "Total transferred file size: 2,000,000 bytes"]
    assert totals(stats) == (1002, 2_000_000)
    complaints = [
        'rsync: [sender] link_stat "/home/admin/x" failed: No such file or directory (2)',
        "rsync error: some files/attrs were not transferred (code 23) at main.c(1865)",
    ]
    assert (
        failure(complaints, 23).message == 'link_stat "/home/admin/x" failed: No such file or directory (2)'
    )
    assert failure([], 12).message == "rsync ended with 12"
